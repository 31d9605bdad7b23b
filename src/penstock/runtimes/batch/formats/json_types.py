"""Types of JSON values: what Arrow's parser infers, which types it can be told, and those reached by a cast.
Python 3.8; pyarrow inside the functions."""

from __future__ import annotations

import json
import re
from typing import Any

from penstock.errors import DataError
from penstock.runtimes.batch.formats.records import Records

_LONG = re.compile(rb"[:\[,]\s*-?\d{19,}\s*[,}\]]")


def inferred(data: bytes, records: Records) -> list[Any]:
    """Schemas of the records in `data`, to be unified: one if they agree, else those of the parts that do. Lines
    that are no JSON are passed over; reading them says so."""
    import pyarrow as pa
    import pyarrow.json as pajson

    spans = list(records.spans(data))
    pending, found = [(0, len(spans))], []
    while pending:
        first, stop = pending.pop()
        if first == stop:
            continue
        part = data[spans[first][0] : spans[stop - 1][1]]
        try:
            table = pajson.read_json(
                pa.py_buffer(part),
                read_options=pajson.ReadOptions(use_threads=False, block_size=len(part) + 1),
            )
        except pa.ArrowException:
            if stop - first > 1:
                middle = (first + stop) // 2
                pending += [(middle, stop), (first, middle)]
            continue
        found.append(_without_long(table.schema, part) if _LONG.search(part) else table.schema)
    return found


def _without_long(schema: Any, data: bytes) -> Any:
    """`schema` without floats that come from whole numbers beyond 64 bits: the column is ``int64``, so that reading
    such a number says so instead of rounding it."""
    import pyarrow as pa

    long: set[str] = set()
    for line in data.splitlines():
        if _LONG.search(line):
            values = json.loads(line)
            long.update(key for key, value in values.items() if type(value) is int and abs(value) >> 63)
    kinds = [(field.name, pa.int64() if field.name in long else field.type) for field in schema]
    return pa.schema(kinds)


def parse_options(schema: Any) -> Any:
    """Arrow's options for rows of `schema`; without columns everything is parsed, to see that it is JSON."""
    import pyarrow.json as pajson

    if not len(schema):
        return pajson.ParseOptions(newlines_in_values=False)
    return pajson.ParseOptions(
        explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="ignore"
    )


def carriers(schema: Any, file: str) -> Any:
    """`schema` with the types that Arrow's parser knows in place of those that it does not. Raises DataError where
    there is none."""
    import pyarrow as pa

    fields = []
    for field in schema:
        kind = _carrier(field.type)
        if kind is None:
            raise DataError(f"{field.type} cannot be read from JSON", file=file, column=field.name)
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def _carrier(kind: Any) -> Any:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_date(kind) or is_.is_time(kind):
        return pa.string()
    if is_.is_dictionary(kind):
        return _carrier(kind.value_type)
    if is_.is_float16(kind):
        return pa.float32()
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        inner = _carrier(kind.value_type)
        return None if inner is None else pa.list_(inner)
    if is_.is_struct(kind):
        inners = [(part.name, _carrier(part.type)) for part in kind]
        return None if any(inner is None for _, inner in inners) else pa.struct(inners)
    if is_.is_map(kind) or is_.is_union(kind) or is_.is_duration(kind) or is_.is_fixed_size_binary(kind):
        return None
    return kind


def fit(table: Any, schema: Any) -> Any:
    """`table`, read with the `carriers` of `schema`, with the types of `schema`. Raises Arrow's errors."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        array = table.column(field.name)
        if not array.type.equals(field.type):
            if pa.types.is_dictionary(field.type):
                array = array.cast(field.type.value_type).dictionary_encode()
            array = array.cast(field.type)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)
