"""The rows of a mini-batch as one stream of tables, cut where calls are to be cut.

Pieces are read by their format, columns that a file does not hold (partitions) are added, the job's
transformations are applied, and where each row came from is noted. Memory is bounded by the size of a call.
Worker side: Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import bisect
import itertools
import os
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Sequence

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch import deletions, numbering
from penstock.runtimes.batch.formats import registry
from penstock.runtimes.batch.plan import Piece
from penstock.runtimes.batch.transformations import rewriting

FILE, ROW = "_file", "_row"
"""Columns of the lineage, present while a mini-batch is on its way."""


Refuse = Optional[Callable[[Piece, int, DataError], None]]
"""Takes a row that cannot be read: its piece, its number in the file, and why."""


@dataclass(frozen=True)
class Reader:
    """How the rows of a job are read: as its inputs say, in the types of `schema`, `columns` of it (None: all), at
    most `rows` at a time, and changed by `transformations`."""

    read: ReadOptions
    schema: Any
    columns: Sequence[str] | None
    rows: int
    transformations: Sequence[Mapping[str, Any]] = ()

    def stream(self, pieces: Sequence[Piece], refuse: Refuse = None) -> Iterator[Any]:
        """Every row of `pieces` in order, as tables: the columns, then `FILE` and `ROW`. A row that cannot be read
        goes to `refuse`, where the format can tell it from its neighbours.

        Raises DataError: a file that changed since it was planned, or what its format finds.
        """
        for piece in pieces:
            check_unchanged(piece)
            yield from self._of(piece, refuse)
            check_unchanged(piece)

    def _of(self, piece: Piece, refuse: Refuse) -> Iterator[Any]:
        offered = self.schema.names if self.columns is None else self.columns
        wanted = [name for name in offered if name not in piece.file.constants]
        first = max(piece.cut.first_row, 0)
        refused: list[int] = []
        gone = deletions.unpacked(piece.deleted) if piece.deleted else None

        def take(error: DataError) -> None:
            assert refuse is not None
            number = first + max(error.row, 0)
            bisect.insort(refused, number)
            refuse(piece, number, error)

        batches = registry.of(piece.file.format).batches(
            piece.path,
            piece.cut,
            self.read,
            schema=self.schema,
            columns=wanted,
            rows=self.rows,
            refuse=take if refuse is not None else None,
        )
        row = first
        for batch in batches:
            parts, row = apart(batch, row, refused)
            for start, part in parts:
                there = None if gone is None else deletions.remaining(part.num_rows, gone, start - first)
                yield self._made(part, piece, start, there)

    def _made(self, batch: Any, piece: Piece, row: int, there: Any) -> Any:
        table = _with_origin(batch, piece, row, self.schema, self.columns)
        if not self.transformations:
            return table if there is None else table.filter(there)
        origin = rewriting.Origin(piece.file.uri, row)
        return rewriting.apply(table, self.transformations, origin, carried=(FILE, ROW), there=there)


def apart(batch: Any, row: int, refused: list[int]) -> tuple[list[tuple[int, Any]], int]:
    """`batch` in parts without a gap, each with the number of its first row; and the number that comes next.

    The first row of `batch` is number `row` of its file, or the next that is not `refused`. Takes from `refused`,
    which is in order, what it has passed."""
    parts = []
    done = 0
    while done < batch.num_rows:
        while refused and refused[0] <= row:
            refused.pop(0)
            row += 1
        stop = min(batch.num_rows, done + refused[0] - row) if refused else batch.num_rows
        parts.append((row, batch.slice(done, stop - done)))
        row, done = row + stop - done, stop
    return parts, row


def _with_origin(batch: Any, piece: Piece, row: int, schema: Any, columns: Sequence[str] | None) -> Any:
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    count = batch.num_rows
    for name, value in piece.file.constants.items():
        if columns is None or name in columns:
            kind = schema.field(name).type if schema is not None and name in schema.names else pa.string()
            constant = pa.repeat(pa.scalar(value, pa.string()).cast(kind), count)
            table = table.append_column(name, constant)
    offered = schema.names if columns is None else list(columns)
    if table.column_names != offered:
        table = table.select(offered)
    same = pa.repeat(pa.scalar(0, pa.int32()), count)
    table = table.append_column(FILE, pa.DictionaryArray.from_arrays(same, pa.array([piece.file.uri])))
    return table.append_column(ROW, numbering.numbers(row, count))


def check_unchanged(piece: Piece, *, may_be_gone: bool = False) -> None:
    """A file that somebody writes while it is read would give rows of two states. Raises DataError; unless
    `may_be_gone`, for one that is not there, too."""
    if piece.file.fetch:
        return
    try:
        status = os.stat(piece.path or piece.file.uri)
    except OSError as error:
        if may_be_gone:
            return
        raise DataError(
            f"{piece.file.uri} cannot be read any more: {error.strerror}",
            hint="restore the file and resume the job, or start a new one",
        ) from error
    if status.st_size != piece.file.size or str(status.st_mtime_ns) != piece.file.stamp:
        raise DataError(
            f"{piece.file.uri} has changed since the job was planned",
            hint="start a new job; write new data to new files, or move finished files into the input folder",
        )


def made_up(schema: Any, piece: Piece) -> Any:
    """A table of one row as `Reader.stream` gives them, with the columns of `schema`, that stands in no file: zeros
    and empty texts, and missing values where a type has neither."""
    import pyarrow as pa

    def value(kind: Any) -> Any:
        if pa.types.is_null(kind):
            return pa.scalar(0)  # a text without a row says nothing of its types
        for nothing in (0, "", b""):
            try:
                return pa.scalar(nothing, kind)
            except (pa.ArrowException, TypeError, ValueError):
                continue
        return pa.scalar(None, kind)

    table = pa.table({field.name: pa.repeat(value(field.type), 1) for field in schema})
    table = table.append_column(FILE, pa.array([piece.file.uri]).dictionary_encode())
    return table.append_column(ROW, pa.array([0], pa.int64()))


def measured(tables: Iterable[Any], size: int) -> tuple[Iterator[Any], int]:
    """`tables` again, and how many of their rows take about `size` bytes in memory, going by the first that has
    any; what the same data give is always the same."""
    found = iter(tables)
    for first in found:
        if first.num_rows:
            origin = [name for name in (FILE, ROW) if name in first.column_names]
            width = first.drop_columns(origin).nbytes / first.num_rows
            return itertools.chain([first], found), max(1, int(size / max(width, 1)))
    return iter(()), 1


def in_calls(tables: Iterable[Any], sizes: Iterator[int]) -> Iterator[Any]:
    """The rows of `tables` again, in tables of exactly the sizes that `sizes` says; the last may have fewer.
    Stops where `sizes` does not (it is asked for one more than is used)."""
    import pyarrow as pa

    waiting: list[Any] = []
    held = 0
    wanted = next(sizes)
    for table in tables:
        while table.num_rows:
            take = min(wanted - held, table.num_rows)
            waiting.append(table if take == table.num_rows else table.slice(0, take))
            table = table.slice(take)
            held += take
            if held == wanted:
                yield waiting[0] if len(waiting) == 1 else pa.concat_tables(waiting)
                waiting, held, wanted = [], 0, next(sizes)
    if waiting:
        yield waiting[0] if len(waiting) == 1 else pa.concat_tables(waiting)


def call_sizes(rows: int, splits: Sequence[int]) -> Iterator[int]:
    """How many rows each call has: `rows`, cut also at each of `splits` (row numbers within the mini-batch)."""
    marks = sorted(splits)
    at = 0
    end = rows
    while True:
        while marks and marks[0] <= at:
            marks.pop(0)
        stop = min(end, marks[0]) if marks else end
        yield stop - at
        at = stop
        if at == end:
            end += rows
