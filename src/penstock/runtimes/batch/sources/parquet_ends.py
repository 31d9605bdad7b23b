"""The end of a Parquet file in a store: its footer, which tells its columns and row groups. The format:
https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import io

from penstock.runtimes.batch.sources.stores import Entry, Store

_TAIL = 1 << 16
"""Bytes of a file's end that most footers fit in."""

_LENGTH_AND_MAGIC = 8


def read(store: Store, entry: Entry) -> bytes:
    """The last bytes of `entry`, at least its footer. What has none is for who reads it to complain of."""
    tail = _TAIL
    while True:
        out = io.BytesIO()
        store.read(entry, max(0, entry.size - tail), out)
        end = out.getvalue()
        needed = int.from_bytes(end[-_LENGTH_AND_MAGIC:-4], "little") + _LENGTH_AND_MAGIC
        if end[-4:] != b"PAR1" or needed <= len(end) or len(end) >= entry.size:
            return end
        tail = needed
