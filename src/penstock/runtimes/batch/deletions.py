"""Rows of a file that are gone though the file still holds them (a Delta table's deletion vectors).

They travel as text, in a plan and in orders: a bit a row, set for one that is gone, least significant bit first, as
Arrow keeps booleans; compressed, in base64. Empty: none is gone. Runs in workers: Python 3.8; pyarrow inside the
functions.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

from penstock.runtimes.batch.plan import Cut, Piece, SourceFile


def packed(gone: Any) -> str:
    """The text for `gone`, a ``pyarrow.BooleanArray`` of a file's rows from its first on; later rows are there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(gone, min_count=0).as_py():
        return ""
    whole = pa.concat_arrays([gone, pa.array([], pa.bool_())])  # from the first bit of its buffer on
    bits = whole.buffers()[1].to_pybytes()[: (len(whole) + 7) // 8]
    return base64.b64encode(zlib.compress(bits)).decode()


def unpacked(text: str) -> Any:
    """A ``pyarrow.BooleanArray``, true for a row that is gone. Rows beyond its end are there."""
    import pyarrow as pa

    bits = zlib.decompress(base64.b64decode(text)) if text else b""
    return pa.BooleanArray.from_buffers(pa.bool_(), 8 * len(bits), [None, pa.py_buffer(bits)])


def within(text: str, start: int, stop: int) -> str:
    """`text` for the rows from `start` up to `stop` (negative: the end) alone, counted from `start`."""
    if not text or (start <= 0 and stop < 0):
        return text
    gone = unpacked(text)
    return packed(gone[start : len(gone) if stop < 0 else stop])


def piece_of(file: SourceFile, cut: Cut, path: str) -> Piece:
    """The piece of `file` that is `cut`, with what is deleted of it. Only Parquet files have deleted rows, and
    their cuts count rows."""
    return Piece(file, cut, path, within(file.deleted, cut.start, cut.stop))


def remaining(count: int, gone: Any, first: int) -> Any:
    """Which of `count` rows are still there, the first of them being number `first` in `gone`: a BooleanArray."""
    import pyarrow as pa
    import pyarrow.compute as pc

    part = gone[first : first + count]
    beyond = pa.repeat(pa.scalar(False), count - len(part))
    return pc.invert(pa.concat_arrays([part, beyond]))
