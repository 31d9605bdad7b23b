"""What delimited text and JSON Lines have in common: records that end somewhere, read in blocks of whole ones.

`Records` says where they end, `Parse` makes a table of some; here they are counted, cut, and read on after one
that is bad. Python 3.8.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Iterator, Protocol, Tuple

from penstock.errors import DataError
from penstock.runtimes.batch.formats import schemas
from penstock.runtimes.batch.formats.interface import Refuse
from penstock.runtimes.batch.formats.texts import Text, lines_in
from penstock.runtimes.batch.plan import Cut

BLOCK = 1 << 20
"""Bytes that are read at a time: what a processor's cache holds."""

LONGEST = 256 << 20
"""Bytes of the longest record: one that is longer is a quote that is never closed."""

TO_THE_END = -1
"""`Cut.stop` where nobody has looked for the end: a text that is read as a whole."""

Parse = Callable[[bytes], Any]
"""A ``pyarrow.Table`` of some whole records. Raises DataError or ``pyarrow.ArrowException``."""

Explain = Callable[[bytes, Exception], Tuple[str, str, str]]
"""What is wrong with the one record that a `Parse` refused: message, column, hint."""


class Records(Protocol):
    """Where records end; see `penstock.runtimes.batch.formats.csv_boundaries.Boundaries`."""

    def end(self, data: bytes, *, final: bool) -> int: ...

    def count(self, data: bytes) -> int: ...

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]: ...


def blocks(text: Text, records: Records, start: int, stop: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The text from `start` (a record's begin) to `stop` (a record's end, or `TO_THE_END`) as pairs of an offset
    and about `size` bytes of whole records. Raises DataError for a quoted field that is never closed."""
    offset, want = start, max(1, size)
    with text.opened() as reader:
        while stop == TO_THE_END or offset < stop:
            ask = want if stop == TO_THE_END else min(want, stop - offset)
            data = reader.read_at(offset, ask)
            final = len(data) < ask or (stop != TO_THE_END and offset + ask == stop)
            if not data:
                return
            end = records.end(data, final=final)
            if end == 0 and not final and want < LONGEST:
                want *= 2
                continue
            if end == 0 or (final and end < len(data)):
                if end:
                    yield offset, data[:end]
                raise DataError(
                    "a quoted value begins in this record and is never closed",
                    file=text.path,
                    line=text.line_at(offset + end),
                    hint="Is the file cut short, or a quote missing?",
                )
            yield offset, data if end == len(data) else data[:end]
            offset += end
            want = max(1, size)


def cuts(
    path: str, encoding: str, records: Records, start: Callable[[Text], int], *, size: int, rows: int
) -> Iterator[Cut]:
    """The text at `path` in cuts, as `Format.cuts` says. `start` finds where its records begin; it is not asked for
    a text that is one cut, which begins at 0 whatever is there."""
    whole = schemas.size_of(path)
    if whole == 0:
        return
    text = Text(path, encoding) if rows > 1 or whole > size else None
    if text is None or not text.cuttable:
        yield Cut(0, TO_THE_END, whole, first_row=0)
    elif rows == 0:
        yield from _by_size(text, records, start(text), size)
    else:
        yield from _by_rows(text, records, start(text), size, rows)


def placed(cut: Cut, text: Text, start: int) -> Cut:
    """`cut` of a text whose records begin at `start`. Raises DataError for a text that is shorter than planned."""
    if text.cuttable and cut.stop > text.size:
        raise DataError(
            f"has {text.size} bytes, where {cut.stop} were planned",
            file=text.path,
            hint="The file was changed while the job ran; start a new job.",
        )
    return dataclasses.replace(cut, start=max(cut.start, start))


def _by_size(text: Text, records: Records, start: int, size: int) -> Iterator[Cut]:
    """Cuts that end at the first block's end after `size` bytes; blocks are small beside cuts. The last one may be
    half as large again, rather than leave a crumb."""
    begin = start
    for offset, data in blocks(text, records, start, text.size, min(BLOCK, max(size // 8, 1))):
        end = offset + len(data)
        if end - begin >= size and text.size - end > size // 2:
            yield Cut(begin, end, end - begin, first_row=0 if begin == start else -1)
            begin = end
    if begin < text.size:
        yield Cut(begin, text.size, text.size - begin, first_row=0 if begin == start else -1)


def _by_rows(text: Text, records: Records, start: int, size: int, rows: int) -> Iterator[Cut]:
    """Cuts of about `size` bytes that hold a multiple of `rows` records, counted one by one."""
    begin, first, row, step = start, 0, 0, 0
    for offset, data in blocks(text, records, start, text.size, BLOCK):
        found = records.count(data)
        if not step and found:
            step = max(1, int(size * found / (len(data) * rows))) * rows
        if step and row + found > first + step:
            ends = [stop for _, stop in records.spans(data)]
            while row + found > first + step:
                end = offset + ends[first + step - row - 1]
                yield Cut(begin, end, end - begin, rows=step, first_row=first)
                begin, first = end, first + step
        row += found
    if row > first:
        yield Cut(begin, text.size, text.size - begin, rows=row - first, first_row=first)


def tables(
    text: Text,
    records: Records,
    cut: Cut,
    parse: Parse,
    explain: Explain,
    *,
    skip: int = 0,
    refuse: Refuse = None,
) -> Iterator[Any]:
    """The records of `cut` as tables, the first `skip` left out. A bad record is raised, or handed to `refuse` and
    left out; `DataError.row` counts it, too."""
    reading = _Careful(text, records, parse, explain, cut.start)
    for _, data in blocks(text, records, cut.start, cut.stop, BLOCK):
        yield from reading.block(data, skip, refuse)


class _Careful:
    """Reads blocks of records one after the other; knows the row and the line at which it is."""

    def __init__(self, text: Text, records: Records, parse: Parse, explain: Explain, start: int) -> None:
        self._text, self._records, self._parse, self._explain = text, records, parse, explain
        self._start = start
        self._row = 0
        self._lines = 0
        self._first_line = 0

    def block(self, data: bytes, skip: int, refuse: Refuse) -> Iterator[Any]:
        """The good ones of the records in `data`, in order, without those whose row is less than `skip`."""
        count = self._records.count(data)
        begin = max(0, skip - self._row)
        if begin == 0:
            table = self._tried(data, count)[0]
            if table is not None:
                yield table
                begin = count
        if begin < count:
            yield from self._halved(data, list(self._records.spans(data)), begin, refuse)
        self._row += count
        self._lines += lines_in(data)

    def _tried(self, data: bytes, count: int) -> tuple[Any, Exception]:
        """The table of `count` records, or None and why."""
        import pyarrow as pa

        try:
            table = self._parse(data)
        except (pa.ArrowException, DataError, UnicodeDecodeError) as error:
            return None, error
        found = table.num_rows
        return (table if found == count else None), DataError(f"holds {found} records where one is expected")

    def _halved(self, data: bytes, spans: list[tuple[int, int]], begin: int, refuse: Refuse) -> Iterator[Any]:
        """The good ones of the records at `spans` from `begin` on: what cannot be read is halved until the bad ones
        stand alone."""
        pending = [(begin, len(spans))]
        line, seen = self._lines, 0
        while pending:
            first, stop = pending.pop()
            part = data[spans[first][0] : spans[stop - 1][1]]
            table, error = self._tried(part, stop - first)
            if table is not None:
                yield table
            elif stop - first > 1:
                middle = (first + stop) // 2
                pending += [(middle, stop), (first, middle)]
            else:
                line, seen = line + lines_in(data[seen : spans[first][0]]), spans[first][0]
                self._bad(part, line, self._row + first, error, refuse)

    def _bad(self, record: bytes, line: int, row: int, error: Exception, refuse: Refuse) -> None:
        """Tell of one bad record, `line` lines after the cut's beginning."""
        message, column, hint = self._explain(record, error)
        self._first_line = self._first_line or self._text.line_at(self._start)
        fault = DataError(
            message,
            file=self._text.path,
            line=self._first_line + line,
            row=row,
            column=column,
            hint=hint,
        )
        if refuse is None:
            raise fault from error
        refuse(fault)
