"""Parquet. Its cuts count rows: they follow row groups where they may, and lie within them where a mini-batch
shall hold a certain number of rows. Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Iterator, Sequence

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import row_ranges, schemas
from penstock.runtimes.batch.formats.interface import Refuse
from penstock.runtimes.batch.plan import Cut

_ROWS_A_BATCH = 65536


def schema(path: str, read: ReadOptions) -> Any:
    """As `penstock.runtimes.batch.formats.interface.Format.schema`; a file of zero bytes has no columns."""
    import pyarrow as pa

    if schemas.size_of(path) == 0:
        return pa.schema([])
    with _opened(path) as file:
        found = file.schema_arrow.remove_metadata()
    twice = [name for name in found.names if found.names.count(name) > 1]
    if twice:
        schemas.require(twice, found.names, path)
    return found


def cuts(path: str, read: ReadOptions, *, size: int, rows: int) -> Iterator[Cut]:
    """As `Format.cuts`. Where `rows` is 0 or 1, row groups are gathered up to `size`, never split; else a cut ends
    at a multiple of `rows` and covers about `size` bytes, so that a row group is decoded by few cuts."""
    whole = schemas.size_of(path)
    if whole == 0:
        return
    if rows <= 1 and whole <= size:
        yield Cut(0, row_ranges.WHOLE, whole, rows=-1, first_row=0)
        return
    with _opened(path) as file:
        metadata = file.metadata
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        counts = [group.num_rows for group in groups]
        weights = [_weight(group) for group in groups]
    scale = whole / max(1, sum(weights))
    yield from row_ranges.cuts(counts, [weight * scale for weight in weights], size=size, rows=rows)


def _weight(group: Any) -> int:
    """A row group's bytes in the file; its `total_byte_size` is what it is when decompressed."""
    return sum(group.column(index).total_compressed_size for index in range(group.num_columns))


def batches(
    path: str,
    cut: Cut,
    read: ReadOptions,
    *,
    schema: Any,
    columns: Sequence[str] | None,
    rows: int,
    refuse: Refuse = None,
) -> Iterator[Any]:
    """As `Format.batches`: one row group's columns at a time are decoded, and no more than they must."""
    wanted = schemas.choose(schema, columns)
    if schemas.size_of(path) == 0:
        return
    with _opened(path) as file:
        found = file.schema_arrow
        schemas.require(wanted.names, found.names, path)
        metadata = file.metadata
        stop = metadata.num_rows if cut.stop == row_ranges.WHOLE else cut.stop
        if stop > metadata.num_rows:
            raise DataError(
                f"has {metadata.num_rows} rows, where {stop} were planned", file=path, hint=_CHANGED
            )
        counts = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        groups, skip = row_ranges.overlapped(counts, cut.start, stop)
        left = stop - cut.start
        if not groups:
            return
        for batch in _decoded(file, path, groups, list(wanted.names), min(rows, _ROWS_A_BATCH)):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            part = batch.slice(skip, left) if skip or batch.num_rows > left else batch
            skip = 0
            left -= part.num_rows
            if part.schema.names != wanted.names:
                part = part.select(wanted.names)
            yield schemas.fit(part, wanted, path)
            if left == 0:
                return


_CHANGED = "The file was changed while the job ran; start a new job."


def _decoded(file: Any, path: str, groups: list[int], names: list[str], rows: int) -> Iterator[Any]:
    import pyarrow as pa

    try:
        if not names:
            for group in groups:
                count = file.metadata.row_group(group).num_rows
                yield schemas.only_rows(count)
            return
        yield from file.iter_batches(batch_size=rows, row_groups=groups, columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"this Parquet file is damaged (row groups {groups[0]} to {groups[-1]}): "
            + schemas.clipped(str(error), 200),
            file=path,
        ) from error


_footers: dict[tuple[str, int, int], Any] = {}
"""The footer of the file that was opened last: many mini-batches may be parts of one file, and a footer with
thousands of row groups takes longer to read than one of them."""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The file at `path`, its footer read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        status = os.stat(path)  # before the file is opened: what is written meanwhile has another state
        key = path, status.st_size, status.st_mtime_ns
        file = pq.ParquetFile(path, metadata=_footers.get(key), memory_map=True, pre_buffer=False)
        _footers.clear()
        _footers[key] = file.metadata
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise DataError(f"cannot be read: {error.strerror or error}", file=path) from error
        raise DataError(
            f"this is no Parquet file, or its end is missing: {schemas.clipped(str(error), 200)}",
            file=path,
            hint="Write it anew, or leave it out with a pattern.",
        ) from error
    with file:
        yield file
