"""Delimited text, parsed by Arrow, cut at records' ends.

A cut is first read in one go. Where that fails it is read again in blocks of whole records, to say which record is
bad and, if asked, to go on after it. Empty lines are no rows. Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Iterator, Sequence

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import column_kinds, csv_header, inference, records, schemas
from penstock.runtimes.batch.formats.csv_boundaries import Boundaries
from penstock.runtimes.batch.formats.interface import Refuse
from penstock.runtimes.batch.formats.texts import Reader, Text
from penstock.runtimes.batch.plan import Cut


def schema(path: str, read: ReadOptions) -> Any:
    """As `Format.schema`. Types said in `ReadOptions.column_types` are taken; the others are what Arrow infers, but
    for codes (`inference.without_codes`). A file without a line has no columns."""
    import pyarrow as pa

    text, boundaries = Text(path, read.encoding), Boundaries(read)
    header = csv_header.find(text, boundaries, read)
    for name in read.column_types:
        if name not in header.names and header.names:
            schemas.require([name], header.names, path)
    said = {name: column_kinds.type_of(kind, column=name) for name, kind in read.column_types.items()}
    if not read.infer_types:
        return pa.schema([pa.field(name, said.get(name, pa.string())) for name in header.names])

    def align(data: bytes) -> bytes:
        return _aligned(data, boundaries, header.names, read)

    found = [pa.schema([pa.field(name, pa.null()) for name in header.names])]
    for sample in inference.samples(text, boundaries, header.start, align):
        data = boundaries.without_comments(text.guessed_utf8(sample))
        found.append(_guessed(data, header.names, read))
    guess = schemas.unify(((path, one) for one in found), text=True)
    return pa.schema([pa.field(field.name, said.get(field.name, field.type)) for field in guess])


def _guessed(data: bytes, names: Sequence[str], read: ReadOptions) -> Any:
    """The types of some records, ragged ones left out: they are told when they are read."""
    import pyarrow as pa

    if not data:
        return pa.schema([])
    types = {name: pa.binary() for name in names}
    texts = _parsed(data, names, read, types=types, names_wanted=(), skip_ragged=True)
    guess = _parsed(data, names, read, types={}, names_wanted=(), skip_ragged=True)
    fields = []
    for field in guess.schema:
        kind = field.type
        kind = pa.string() if pa.types.is_binary(kind) else kind  # no UTF-8: told when it is read
        fields.append(pa.field(field.name, kind))
    return inference.without_codes(pa.schema(fields), texts)


def _aligned(data: bytes, boundaries: Boundaries, names: Sequence[str], read: ReadOptions) -> bytes:
    """The whole records of `data`, which begins anywhere: outside of quotes or within, whatever leaves fewer rows
    with a wrong number of values."""
    import pyarrow as pa

    first = re.search(rb"[\r\n]+", data)
    outside = data[first.end() :] if first else b""
    quote = read.quote.encode()
    if not quote or quote not in data:
        return outside[: boundaries.end(outside, final=False)]
    candidates = []
    for begins in (outside, _after_quoted(data, boundaries, quote)):
        part = begins[: boundaries.end(begins, final=False)]
        ragged: list[Any] = []
        types = {name: pa.binary() for name in names}
        table = _parsed(part, names, read, types=types, names_wanted=(), ragged=ragged)
        candidates.append((len(ragged) - min(1, table.num_rows), part))
    return min(candidates, key=lambda pair: pair[0])[1]


def _after_quoted(data: bytes, boundaries: Boundaries, quote: bytes) -> bytes:
    """What follows the first record's end, if `data` begins within quotes."""
    opened = quote + data
    for _, stop in boundaries.spans(opened[: boundaries.end(opened, final=False)]):
        return opened[stop:]
    return b""


def cuts(path: str, read: ReadOptions, *, size: int, rows: int) -> Iterator[Cut]:
    """As `Format.cuts`. Reads the whole text, unless it is one cut."""
    boundaries = Boundaries(read)

    def start(text: Text) -> int:
        return csv_header.find(text, boundaries, read).start

    found = records.cuts(path, read.encoding, boundaries, start, size=size, rows=rows)
    if read.header != "from_first_file" or read.column_names:
        yield from found
        return
    # Whoever reads the cuts is told the names, and would take the header for a row.
    begin = start(Text(path, read.encoding))
    for cut in found:
        yield dataclasses.replace(cut, start=max(cut.start, begin))


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
    """As `Format.batches`. Columns are found by the names in the file's own header."""
    wanted = schemas.choose(schema, columns)
    reading = _Reading(path, cut, read, wanted)
    if not reading.names:
        return  # not a single line
    schemas.require(wanted.names, reading.names, path)
    for table in reading.tables(refuse):
        for batch in table.to_batches():
            made = _with_nulls(batch, wanted)  # before it is cut: pyarrow 14 spoils cut ones here
            for begin in range(0, made.num_rows, rows):
                yield made.slice(begin, rows)


class _Reading:
    """One reading of one cut."""

    def __init__(self, path: str, cut: Cut, read: ReadOptions, wanted: Any) -> None:
        self._read, self._wanted = read, wanted
        self._text, self._boundaries = Text(path, read.encoding), Boundaries(read)
        header = csv_header.find(self._text, self._boundaries, read)
        self.names = header.names
        self._cut = records.placed(cut, self._text, header.start)
        self._types = {field.name: field.type for field in wanted}

    def tables(self, refuse: Refuse) -> Iterator[Any]:
        """The cut's rows. In one go first; after the first fault, from there on, record by record if need be."""
        import pyarrow as pa

        done = 0
        if not self._read.comment:
            try:
                for batch in self._straight():
                    done += batch.num_rows
                    yield pa.Table.from_batches([batch])
                return
            except (pa.ArrowException, DataError, UnicodeDecodeError):
                pass
        yield from records.tables(
            self._text, self._boundaries, self._cut, self._parse, self._explain, skip=done, refuse=refuse
        )

    def _straight(self) -> Iterator[Any]:
        """Arrow's stream of batches. At the file's end a row with a column too many is put after the last one: if
        the parser does not meet it, a quoted value was open at the end, which it would not mind."""
        import pyarrow.csv as pacsv

        probe = (self._read.delimiter * len(self.names)).encode() + _END
        met: list[Any] = []
        quotes = bool(self._read.quote or self._read.escape)

        def ragged(row: Any) -> str:
            if row.actual_columns == len(self.names) + 1 and row.text.encode() == probe:
                met.append(row)
                return "skip"
            return "error"

        at_end = self._cut.stop in (records.TO_THE_END, self._text.size)
        tail = b"\n" + probe + b"\n" if at_end and quotes else b""
        names = self._wanted.names or self.names[:1]
        with self._text.opened() as reader, pacsv.open_csv(
            self._source(reader, tail),
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=records.BLOCK, column_names=list(self.names)
            ),
            parse_options=csv_header.parse_options(
                self._read, newlines_in_values=quotes, invalid_row_handler=ragged
            ),
            convert_options=_convert_options(self._read, self._types, names),
        ) as stream:
            yield from stream
        if tail and not met:
            raise DataError("a quoted value is never closed")

    def _source(self, reader: Reader, tail: bytes) -> Any:
        """The cut as a file of Arrow's, with `tail` after it."""
        import pyarrow as pa

        size = self._cut.stop - self._cut.start
        if (
            self._text.encoding == "utf-8"
            and self._text.cuttable
            and not tail
            and hasattr(pa.OSFile, "get_stream")
        ):
            return pa.OSFile(self._text.path).get_stream(self._cut.start, size)
        return pa.PythonFile(_Source(reader, self._text, self._cut, tail), mode="r")

    def _parse(self, data: bytes) -> Any:
        plain = self._boundaries.without_comments(bytes(self._text.utf8(data)))
        return _parsed(plain, self.names, self._read, types=self._types, names_wanted=self._wanted.names)

    def _explain(self, record: bytes, error: Exception) -> tuple[str, str, str]:
        """What is wrong with one record: its number of values, or the first value that is not of its type."""
        if isinstance(error, DataError):
            return error.message, "", ""
        if isinstance(error, UnicodeDecodeError):
            return (
                f"not {self._text.encoding}: {schemas.clipped(repr(record))}",
                "",
                "Say the file's encoding.",
            )
        ragged: list[Any] = []
        data = bytes(self._text.utf8(record))
        self._column(data, self.names[0], None, ragged=ragged)
        if ragged:
            count = ragged[0].actual_columns
            values = (
                f"{count} {'value' if count == 1 else 'values'} where there are {len(self.names)} columns"
            )
            hint = "Is a quote missing, or the file cut short?"
            return f"{values}: {schemas.clipped(ragged[0].text)}", "", hint
        field = self._unreadable(data, error)
        if field is None:
            return schemas.clipped(str(error), 200), "", ""
        value = self._column(data, field.name, None)[0].as_py()
        return _unfit(value, field.type), field.name, _hint(field.type)

    def _unreadable(self, data: bytes, error: Exception) -> Any:
        """The column whose value cannot be read in a record. Looks first where Arrow's message points."""
        import pyarrow as pa

        told = _COLUMN.search(str(error))
        name = self.names[int(told.group(1))] if told else ""
        for field in sorted(self._wanted, key=lambda field: bool(field.name != name)):
            try:
                self._column(data, field.name, field.type)
            except pa.ArrowException:
                return field
        return None

    def _column(self, data: bytes, name: str, kind: Any, ragged: list[Any] | None = None) -> Any:
        """One column of some records as `kind`; None: as the bytes that stand there."""
        import pyarrow as pa

        types = {name: pa.binary() if kind is None else kind}
        return _parsed(data, self.names, self._read, types=types, names_wanted=[name], ragged=ragged).column(
            0
        )


_COLUMN = re.compile(r"In CSV column #(\d+)")

_END = b"\x1eend of cut\x1e"
"""In a row that no file holds, to see that the parser has come to its end."""


class _Source:
    """A cut as a file, as UTF-8, with `tail` after it: as much of a file as Arrow asks for."""

    closed = False

    def __init__(self, reader: Reader, text: Text, cut: Cut, tail: bytes) -> None:
        self._reader, self._text, self._tail = reader, text, tail
        self._offset, self._stop = cut.start, cut.stop

    def read(self, size: int) -> Any:
        """At most `size` bytes (more after transcoding); none at the end."""
        if self._stop != records.TO_THE_END:
            size = min(size, self._stop - self._offset)
        data = self._reader.read_at(self._offset, size) if size else b""
        if not data:
            data, self._tail = self._tail, b""
            return data
        self._offset += len(data)
        return self._text.utf8(data)

    def close(self) -> None:
        """Arrow closes what it has read."""
        self.closed = True


def _parsed(
    data: bytes,
    names: Sequence[str],
    read: ReadOptions,
    *,
    types: Any,
    names_wanted: Sequence[str],
    skip_ragged: bool = False,
    ragged: list[Any] | None = None,
) -> Any:
    """`data`, whole records, as a table of `names_wanted`; none: all. Ragged rows are collected in `ragged`."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    found = ragged if ragged is not None else []

    def handler(row: Any) -> str:
        found.append(row)
        return "skip"

    collects = skip_ragged or ragged is not None
    return pacsv.read_csv(
        pa.py_buffer(data or b"\n"),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=list(names)),
        parse_options=csv_header.parse_options(read, invalid_row_handler=handler if collects else None),
        convert_options=_convert_options(read, types, names_wanted),
    )


def _convert_options(read: ReadOptions, types: Any, names: Sequence[str]) -> Any:
    import pyarrow.csv as pacsv

    return pacsv.ConvertOptions(
        column_types=types,
        include_columns=list(names),
        null_values=["", *(text for text in read.null_values if text)],
        strings_can_be_null=False,
    )


def _with_nulls(batch: Any, wanted: Any) -> Any:
    """`batch` with a null where a text is empty, and without columns where none are wanted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not wanted.names:
        return schemas.only_rows(batch.num_rows)
    arrays = batch.columns
    changed = False
    for index, array in enumerate(arrays):
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            lengths = pc.binary_length(array)
            if len(array) and not pc.min(lengths).as_py():
                arrays[index] = pc.if_else(pc.equal(lengths, 0), None, array)
                changed = True
    if not changed and batch.schema.equals(wanted):
        return batch
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _unfit(value: bytes | None, kind: Any) -> str:
    shown = (value or b"").decode("utf-8", "backslashreplace")
    if str(kind) in ("string", "large_string"):
        return f"not UTF-8: {schemas.clipped(shown)!r}"
    what = "was empty in all samples, but here is" if str(kind) == "null" else f"no {kind}:"
    return f"{what} {schemas.clipped(shown)!r}"


def _hint(kind: Any) -> str:
    if str(kind) in ("string", "large_string"):
        return "Say the file's encoding."
    return "Say the column's type in column_types, or add the text to null_values if it stands for nothing."
