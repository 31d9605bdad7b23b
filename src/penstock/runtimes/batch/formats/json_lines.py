"""JSON Lines: one object a line, parsed by Arrow, cut at line feeds, which no JSON text holds within a value.

A key that a line lacks is a null. Lines of nothing but spaces are no rows. Python 3.8; pyarrow inside functions.
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterator, Sequence

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import column_kinds, inference, json_types, records, schemas
from penstock.runtimes.batch.formats.interface import Refuse
from penstock.runtimes.batch.formats.texts import Text
from penstock.runtimes.batch.plan import Cut

_FILLED = re.compile(rb"[ \t\r]*[^ \t\r\n][^\n]*(?:\n|\Z)")
_LINE = re.compile(rb"[^\n]*\n|[^\n]+\Z")
_BLANKS = (b"\n\n", b"\n ", b"\n\t", b"\n\r")


class Lines:
    """Where lines end, and which of them are empty: `penstock.runtimes.batch.formats.records.Records`."""

    def end(self, data: bytes, *, final: bool) -> int:
        """The offset after the last complete line."""
        return len(data) if final else data.rfind(b"\n") + 1

    def count(self, data: bytes) -> int:
        """How many lines hold something."""
        if data[:1] in (b"\n", b" ", b"\t", b"\r") or any(blank in data for blank in _BLANKS):
            return sum(1 for _ in self.spans(data))
        return data.count(b"\n") + (0 if data.endswith(b"\n") or not data else 1)

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Begin and end of each line that holds something."""
        for line in _LINE.finditer(data):
            if _FILLED.match(data, line.start(), line.end()):
                yield line.span()


_LINES = Lines()


def schema(path: str, read: ReadOptions) -> Any:
    """As `Format.schema`: what Arrow infers; columns with values of several kinds are ``string``. Whole numbers
    beyond 64 bits are not made floats: reading them says so."""
    import pyarrow as pa

    text = Text(path, read.encoding)
    said = {name: column_kinds.type_of(kind, column=name) for name, kind in read.column_types.items()}
    found = []
    for sample in inference.samples(text, _LINES, text.start, _whole_lines):
        found.extend(json_types.inferred(text.guessed_utf8(sample), _LINES))
    guess = schemas.unify(((path, one) for one in found), text=True)
    fields = [pa.field(field.name, said.pop(field.name, field.type)) for field in guess]
    if text.size:
        fields += [pa.field(name, kind) for name, kind in said.items()]
    return pa.schema(fields)


def _whole_lines(data: bytes) -> bytes:
    begin = data.find(b"\n") + 1
    return data[begin : data.rfind(b"\n") + 1] if begin else b""


def cuts(path: str, read: ReadOptions, *, size: int, rows: int) -> Iterator[Cut]:
    """As `Format.cuts`. `Cut.rows` counts lines, invalid ones too, even where they are dropped."""
    yield from records.cuts(path, read.encoding, _LINES, lambda text: text.start, size=size, rows=rows)


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
    """As `Format.batches`. With ``invalid_lines: drop`` a line that is no JSON object is left out and told to
    nobody; a value that is not of its type is an error even so."""
    text, wanted = Text(path, read.encoding), schemas.choose(schema, columns)
    json_types.carriers(wanted, path)

    def parse(data: bytes) -> Any:
        return _parsed(bytes(text.utf8(data)), wanted, path)

    def explain(record: bytes, error: Exception) -> tuple[str, str, str]:
        return _explained(record, error, text, wanted)

    def drop(fault: DataError) -> None:
        if fault.column:
            if refuse is None:
                raise fault
            refuse(fault)

    take = drop if read.invalid_lines == "drop" else refuse
    place = records.placed(cut, text, text.start)
    for table in records.tables(text, _LINES, place, parse, explain, refuse=take):
        for batch in table.to_batches(max_chunksize=rows):
            yield batch if wanted.names else schemas.only_rows(batch.num_rows)


def _parsed(data: bytes, schema: Any, file: str) -> Any:
    """`data`, whole lines, as a table of `schema`; of whatever there is where `schema` has no columns. Raises
    UnicodeDecodeError, which Arrow would leave to whoever looks at the value."""
    import pyarrow as pa
    import pyarrow.json as pajson

    if not data.isascii():
        data.decode()
    carrier = json_types.carriers(schema, file)
    table = pajson.read_json(
        pa.py_buffer(data),
        read_options=pajson.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=json_types.parse_options(carrier),
    )
    return json_types.fit(table, schema) if schema.names else table


def _explained(record: bytes, error: Exception, text: Text, wanted: Any) -> tuple[str, str, str]:
    """What is wrong with one line: it is no JSON, no object, or a value is not of its column's type."""
    import pyarrow as pa

    try:
        found = json.loads(bytes(text.utf8(record)).decode())
    except UnicodeDecodeError:
        return f"not UTF-8: {schemas.clipped(repr(record))}", "", "Say the file's encoding."
    except ValueError as reason:
        return f"no JSON ({getattr(reason, 'msg', reason)}):  {_shown(record)}", "", _ONE_A_LINE
    if not isinstance(found, dict):
        return f"no JSON object: {_shown(record)}", "", _ONE_A_LINE
    if isinstance(error, pa.ArrowException) and "specified twice" in str(error):
        return f"a key stands twice in {_shown(record)}", "", ""
    for field in wanted:
        try:
            _parsed(bytes(text.utf8(record)), pa.schema([field]), text.path)
        except pa.ArrowException:
            value = schemas.clipped(json.dumps(found.get(field.name)))
            return f"no {field.type}: {value}", field.name, _hint(field.type)
    message = error.message if isinstance(error, DataError) else str(error)
    return f"{schemas.clipped(message, 200)} in {_shown(record)}", "", ""


_ONE_A_LINE = (
    "JSON Lines have one object a line; a document of many lines, or a list of objects, is not read."
)


def _hint(kind: Any) -> str:
    if str(kind) == "string":
        return "JSON's numbers and objects are no texts; does the column hold values of several kinds?"
    return "Say the column's type in column_types, or correct the line."


def _shown(record: bytes) -> str:
    return schemas.clipped(record.decode("utf-8", "backslashreplace"))
