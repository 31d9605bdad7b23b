"""Staged parts made one file, in the plan's order, with bounded memory. Bytes are copied in the kernel where
nothing has to change."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import parquet, tables
from penstock.runtimes.batch.sinks import schemas, staged
from penstock.runtimes.batch.sinks.interface import Part

_CHUNK_BYTES = 2**24


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


def lines(parts: Sequence[Part], target: Path) -> None:
    """Segments of lines, one after the other."""
    with target.open("wb", buffering=0) as file:
        for part in parts:
            with Path(part.path).open("rb", buffering=0) as source:
                copy(source, file, 0, part.size)


def lines_with_header(parts: Sequence[Part], target: Path) -> None:
    """Segments of CSV, which begin with their headers: one header, then the rows of all."""
    header = b""
    with target.open("wb", buffering=0) as file:
        for part in parts:
            with Path(part.path).open("rb", buffering=0) as source:
                own = header_of(source)
                if not header:
                    header = own
                    file.write(header)
                elif own != header:
                    raise OutputError(
                        f"mini-batch {part.number} has the columns {own.decode().strip()}, and those before it"
                        f" {header.decode().strip()}",
                        hint="let the script return the same columns always, or write Parquet or JSON Lines",
                    )
                copy(source, file, len(own), part.size)


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


def parquet_file(parts: Sequence[Part], target: Path) -> None:
    """Parquet files as one, row group by row group; types are unified as in a dataset."""
    chosen = staged.with_rows(list(parts))
    common = schemas.common(part.path for part in chosen)
    if common.schema is None:
        raise OutputError(
            "there is no result at all, so no columns are known, and a Parquet file cannot be written",
            hint="see the job's errors; a folder, CSV or JSON Lines can be empty",
        )
    with parquet.open_writer(str(target), common.schema) as writer:
        groups = tables.Groups(lambda table: writer.write_table(table, tables.ROWS_MOST))
        for part in chosen:
            for table in parquet.groups_of(part.path):
                groups.add(tables.fitted(table, common.schema))
        groups.flush()
