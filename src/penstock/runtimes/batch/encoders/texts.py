"""Columns as text, whole columns at a time: what CSV and JSON Lines have in common.

Every value becomes the text that it has in JSON, without quotes; what differs is who puts quotes around it, and
what a missing value looks like. Numbers are as pyarrow writes them: the shortest text that reads back as the
same number. Times are ISO 8601, UTC where they have a zone. Binary is base64. Durations are integers in their
column's unit. Lists, structs and maps are JSON.
"""

from __future__ import annotations

import base64
import json
from typing import Any

ROWS_AT_ONCE = 2**16
"""Bounds the memory that text takes beside the table that it is made of."""


def joined(rows: Any) -> memoryview:
    """The bytes of all texts of `rows` (a large_string array without nulls), one after the other, uncopied."""
    if not len(rows):
        return memoryview(b"")
    _, offsets, data = rows.buffers()
    ends = memoryview(offsets)[8 * rows.offset : 8 * (rows.offset + len(rows) + 1)].cast("q")
    return memoryview(data)[ends[0] : ends[-1]] if data is not None else memoryview(b"")


def is_number(kind: Any) -> bool:
    """Whether values of this type stand without quotes in JSON."""
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
        or types.is_duration(kind)
        or types.is_null(kind)
    )


def is_nested(kind: Any) -> bool:
    """Whether values of this type are JSON themselves."""
    import pyarrow as pa

    # Before pyarrow 15 lists of a fixed size do not count as nested.
    return bool(pa.types.is_nested(kind) or pa.types.is_fixed_size_list(kind))


def texts(array: Any) -> Any:
    """`array`, of any type that is not nested, as a large_string array, null where it is null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types, text = array.type, pa.types, pa.large_string()
    if isinstance(kind, pa.BaseExtensionType):
        return texts(array.storage)
    if types.is_dictionary(kind):
        return texts(array.dictionary_decode())
    if types.is_duration(kind):
        array = array.cast(pa.int64())
    elif types.is_timestamp(kind):
        # Without its zone it is what it is in UTC.
        plain = pc.replace_substring(
            array.cast(pa.timestamp(kind.unit)).cast(text), " ", "T", max_replacements=1
        )
        return pc.binary_join_element_wise(plain, _scalar("Z"), _scalar("")) if kind.tz else plain
    elif types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        encoded = [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]
        return pa.array(encoded, text)
    return array.cast(text)


def as_json(array: Any) -> Any:
    """`array`, of any type, as a large_string array of JSON values; ``null`` is written out. NaN and the
    infinities, which JSON lacks, are ``null`` too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = array.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return as_json(array.storage)
    if types.is_dictionary(kind):
        return as_json(array.dictionary_decode())
    if types.is_null(kind):
        return pa.array(["null"] * len(array), pa.large_string())
    if types.is_map(kind):
        values = _map_as_json(array)
    elif types.is_struct(kind):
        values = objects([field.name for field in kind], array.flatten())
    elif is_nested(kind):
        values = _wrapped("[", _elements(array, as_json), "]")
    elif types.is_floating(kind):
        values = texts(array)
        values = pc.if_else(pc.is_finite(array), values, pa.scalar(None, values.type))
    elif is_number(kind):
        values = texts(array)
    else:
        values = quoted(texts(array))
    if array.null_count and not types.is_floating(kind):
        values = pc.if_else(array.is_valid(), values, pa.scalar(None, values.type))
    return pc.fill_null(values, "null") if values.null_count else values


def objects(names: list[str], columns: list[Any], *, end: str = "}") -> Any:
    """Rows of `columns` as JSON objects, keys in this order; `end` closes each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not columns:
        raise ValueError("an object needs a column")
    pieces: list[Any] = []
    for name, column in zip(names, columns):
        pieces.append(_scalar(("," if pieces else "{") + json.dumps(name, ensure_ascii=False) + ":"))
        pieces.append(as_json(column))
    result = pc.binary_join_element_wise(*pieces, _scalar(end), _scalar(""))
    return result.combine_chunks() if isinstance(result, pa.ChunkedArray) else result


def quoted(values: Any) -> Any:
    """`values` (large_string) as JSON strings, null where they are null."""
    import pyarrow.compute as pc

    if _any(pc.match_substring_regex(values, r'["\\\x00-\x1f]')):
        values = pc.replace_substring(values, "\\", "\\\\")
        values = pc.replace_substring(values, '"', '\\"')
        if _any(pc.match_substring_regex(values, r"[\x00-\x1f]")):
            for code in range(32):
                values = pc.replace_substring(values, chr(code), json.dumps(chr(code))[1:-1])
    return _wrapped('"', values, '"')


def _map_as_json(array: Any) -> Any:
    import pyarrow.compute as pc

    def entries(pairs: Any) -> Any:
        keys, items = pairs.flatten()
        named = quoted(texts(keys)) if not is_nested(keys.type) else quoted(as_json(keys))
        return pc.binary_join_element_wise(named, as_json(items), _scalar(":"))

    return _wrapped("{", _elements(array, entries), "}")


def _elements(array: Any, convert: Any) -> Any:
    """The elements of each list of `array`, converted to text all at once, joined with commas list by list."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.large_list(array.type.value_type))
    elif pa.types.is_map(array.type):
        pairs = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
        array = array.cast(pa.list_(pairs))
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    values = convert(pc.list_flatten(array))
    return pc.binary_join(pa.LargeListArray.from_arrays(offsets, values), _scalar(","))


def _wrapped(before: str, values: Any, after: str) -> Any:
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(_scalar(before), values, _scalar(after), _scalar(""))


def _scalar(value: str) -> Any:
    import pyarrow as pa

    return pa.scalar(value, pa.large_string())


def _any(flags: Any) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(flags).as_py())
