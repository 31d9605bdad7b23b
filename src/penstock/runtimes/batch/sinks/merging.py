"""Staged parts made one file, in the plan's order, with bounded memory. Bytes are copied in the kernel where
nothing has to change."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import parquet, tables
from penstock.runtimes.batch.sinks import schemas, staged
from penstock.runtimes.batch.sinks.interface import Part

_CHUNK_BYTES = 2**24

NO_HEADER = b"\n"


def copy(source: BinaryIO, target: BinaryIO, start: int, stop: int) -> None:
    """The bytes of `source` from `start` up to `stop` at the end of `target`; both unbuffered, or flushed."""
    at, wanted = start, stop - start
    while wanted > 0:
        done = 0
        with contextlib.suppress(OSError):  # not between these file systems
            done = os.copy_file_range(source.fileno(), target.fileno(), min(wanted, 2**30), at)
        if not done:
            break
        at, wanted = at + done, wanted - done
    source.seek(at)
    while wanted > 0:
        data = source.read(min(wanted, _CHUNK_BYTES))
        if not data:
            raise OutputError(f"{source.name} has become shorter while it was read")
        target.write(data)
        wanted -= len(data)


def lines(parts: Sequence[Part], target: Path, before: Path | None) -> None:
    """Segments of lines, one after the other, after the content of the file `before`, if any."""
    with target.open("wb", buffering=0) as file:
        _copy_whole(before, file)
        for part in parts:
            with Path(part.path).open("rb", buffering=0) as source:
                copy(source, file, 0, part.size)


def lines_with_header(parts: Sequence[Part], target: Path, before: Path | None) -> None:
    """Segments that begin with their headers: one header, then the rows of all. The header of the file `before`
    counts, too. A segment whose header is an empty line has none; one without rows counts only where there is
    nothing else."""
    parts = [part for part in parts if part.rows] or ([] if before else parts[:1])
    header = b""
    with target.open("wb", buffering=0) as file:
        if before:
            with before.open("rb", buffering=0) as source:
                header = header_of(source)
            _copy_whole(before, file)
        for part in parts:
            with Path(part.path).open("rb", buffering=0) as source:
                own = header_of(source)
                if not header and own != NO_HEADER:
                    header = own
                    file.write(header)
                elif own not in (header, NO_HEADER):
                    raise _other_columns(part, own, header, before)
                copy(source, file, len(own), part.size)


def _other_columns(part: Part, own: bytes, header: bytes, before: Path | None) -> OutputError:
    here, there = own.decode(errors="replace").strip(), header.decode(errors="replace").strip()
    return OutputError(
        f"mini-batch {part.number} has the columns {here}, and {before or 'the file so far'} has {there}",
        hint="let the script return the same columns always, or write Parquet or JSON Lines",
    )


def _copy_whole(path: Path | None, file: BinaryIO) -> None:
    if path is None:
        return
    with path.open("rb", buffering=0) as source:
        size = os.fstat(source.fileno()).st_size
        copy(source, file, 0, size)
        source.seek(max(size - 1, 0))
        if source.read(1) not in (b"\n", b""):
            file.write(b"\n")  # or our first row would be the end of somebody's last


def header_of(source: BinaryIO) -> bytes:
    """The first line of a CSV file, with its end; a name in quotes may hold an end of line itself."""
    data = b""
    while True:
        more = source.read(_CHUNK_BYTES if data else 2**16)
        data += more
        at = _end_of_row(data)
        if at >= 0:
            return data[:at]
        if not more:
            return data


def _end_of_row(data: bytes) -> int:
    at = -1
    while (at := data.find(b"\n", at + 1)) >= 0:
        if data.count(b'"', 0, at) % 2 == 0:
            return at + 1
    return -1


def parquet_file(parts: Sequence[Part], target: Path, before: Path | None) -> None:
    """Parquet files as one, row group by row group; types are unified as in a dataset. Nothing comes before."""
    assert before is None
    chosen = staged.with_rows(list(parts))
    common = schemas.common(chosen)
    schema = common.schema
    if schema is None:
        schema = _nothing()  # no result at all, so no columns are known
    with parquet.open_writer(str(target), schema) as writer:
        groups = tables.Groups(lambda table: writer.write_table(table, tables.ROWS_MOST))
        for part in chosen:
            for table in parquet.groups_of(part.path):
                groups.add(tables.fitted(table, schema))
        groups.flush()


def _nothing() -> Any:
    import pyarrow as pa

    return pa.schema([])
