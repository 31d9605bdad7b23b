"""What a delimited text says about itself before its first row: columns' names, and where the rows begin.
Python 3.8; pyarrow inside the functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import records, schemas
from penstock.runtimes.batch.formats.csv_boundaries import Boundaries
from penstock.runtimes.batch.formats.texts import Reader, Text

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")


@dataclass(frozen=True)
class Header:
    """`names` of all columns, none for a file without a line; `start`, the offset after the header."""

    names: tuple[str, ...]
    start: int


def has_header(read: ReadOptions) -> bool:
    """Whether a file begins with a header. With ``from_first_file`` only the first file does, and only that is read
    without `column_names`: for the others they are filled in from it."""
    if read.header == "from_first_file":
        return not read.column_names
    return read.header != "no_header"


def find(text: Text, boundaries: Boundaries, read: ReadOptions) -> Header:
    """The header of `text`. Raises DataError: a name stands twice, bytes that are no text."""
    with text.opened() as reader:
        start = _skipped(reader, text, read.skip_rows)
        if not has_header(read) and read.column_names:
            return Header(tuple(read.column_names), start)
        record, stop = _first_record(reader, text, boundaries, start)
    names = _names(record, text, read, start) if record else ()
    if not has_header(read):
        return Header(tuple(f"Column{number + 1}" for number in range(len(names))), start)
    schemas.require(names, names, text.path)
    return Header(names, stop)


def _skipped(reader: Reader, text: Text, lines: int) -> int:
    """The offset after that many lines."""
    offset, want = text.start, records.BLOCK
    while lines:
        data = reader.read_at(offset, want)
        found = _LINE.match(data, 0)
        if found is None or (found.end() == len(data) == want):  # perhaps the first half of \r\n
            if len(data) < want:
                return offset + len(data)
            want *= 2
            continue
        offset += found.end()
        lines -= 1
    return offset


def _first_record(reader: Reader, text: Text, boundaries: Boundaries, start: int) -> tuple[bytes, int]:
    """The first record after `start` and the offset after it; empty when there is none."""
    want = 64 << 10
    while True:
        data = reader.read_at(start, want)
        final = len(data) < want
        end = boundaries.end(data, final=final)
        for begin, stop in boundaries.spans(data[:end]):
            return data[begin:stop], start + stop
        if final or want >= records.LONGEST:
            if end < len(data):
                raise DataError(
                    "a quoted value begins in this record and is never closed",
                    file=text.path,
                    line=text.line_at(start + end),
                )
            return b"", start + len(data)
        want *= 4


def _names(record: bytes, text: Text, read: ReadOptions, start: int) -> tuple[str, ...]:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    try:
        record = bytes(text.utf8(record)) + b"\n"
        table = pacsv.read_csv(
            pa.py_buffer(record),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=len(record) + 1),
            parse_options=parse_options(read),
        )
        return tuple(table.column_names)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"these bytes are no text in {text.encoding}: {schemas.clipped(repr(record))}",
            file=text.path,
            line=text.line_at(start),
            hint="Is it another format, or another encoding?",
        ) from error


def parse_options(read: ReadOptions, **more: Any) -> Any:
    """`read` as Arrow's parser wants it."""
    import pyarrow.csv as pacsv

    return pacsv.ParseOptions(
        delimiter=read.delimiter,
        quote_char=read.quote or False,
        double_quote=not read.escape,
        escape_char=read.escape or False,
        **more,
    )
