"""One column of Arrow to the ndarray that a model's field takes: the same values that a JSON request with these
values gives, or an error that names column and row.

Numbers and text go the short way, a few nanoseconds a value; all else goes through the codecs' `columns`.
Runs in workers: Python 3.8; pyarrow and NumPy inside the functions.
"""

from __future__ import annotations

from typing import Any

from penstock import errors
from penstock.scoring.codecs import columns, values
from penstock.scoring.interface import Field


def misfit(kind: Any, field: Field) -> str:
    """Why a column of the Arrow type `kind` can never become `field`, as ``is a string, the model takes a
    number (float64)``; empty where it can, or where only its values tell."""
    wanted = values.kind_of(field.dtype)
    if wanted == "object" or _letter(kind) in tuple(_FITTING[wanted]):
        return _unknown_categories(kind, field) if wanted == "category" else ""
    return f"is {kind}, the model takes {values.expected(field)}"


def is_number(kind: Any) -> bool:
    """Whether `kind` holds numbers (or booleans, which are numbers to a model)."""
    return _letter(kind) in ("f", "i", "u", "b", "d")


def convert(column: Any, field: Field) -> Any:
    """`column`, a ChunkedArray, as a 1-D ndarray of `field`'s dtype. Raises DataError, with its row."""
    column = _plain(column)
    letter = _letter(column.type)
    wanted = values.kind_of(field.dtype)
    if letter == "s" and wanted == "str":
        return text(column)
    return _checked(_values(column, letter, wanted, field.name), field)


def _checked(found: Any, field: Field) -> Any:
    """`found` through the codecs' rules; what they refuse is a DataError with row and column."""
    at = -1

    def place(row: int) -> str:
        nonlocal at
        at = row
        return ""

    try:
        return columns.convert(found, field, place)
    except errors.SchemaMismatch as error:
        raise errors.DataError(error.message.lstrip(": "), row=at, column=field.name) from None


def infer(column: Any, name: str) -> Any:
    """`column`, of this `name`, as an ndarray of the dtype that its values have, for models that say nothing
    of their inputs."""
    column = _plain(column)
    letter = _letter(column.type)
    if letter == "s":
        return text(column)
    found = _values(column, letter, "object", name)
    return found if type(found).__name__ == "ndarray" else columns.infer(found)


def text(column: Any) -> Any:
    """`column`, which holds text, as an ndarray of str; missing ones are NaN, as everywhere."""
    import numpy as np

    array = column.to_numpy()
    if not column.null_count:
        return array
    array = np.array(array)
    array[column.is_null().to_numpy()] = np.nan
    return array


def codes(column: Any, field: Field) -> Any:
    """`column` as an ndarray of places in the categories of `field`, -1 where missing. Raises DataError for a value
    that is none of them."""
    import numpy as np

    parts = [_codes_of_chunk(chunk, field) for chunk in column.chunks]
    found = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if (found == _STRANGE).any():
        _checked(_plain(column).to_pylist(), field)
    return found


_STRANGE = -2


def _codes_of_chunk(chunk: Any, field: Field) -> Any:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(chunk.type):
        return np.full(len(chunk), -1, dtype=np.int32)
    encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
    places = {(type(value), value): place for place, value in enumerate(field.categories or ())}
    known = [
        -1 if value is None or value != value else places.get((type(value), value), _STRANGE)
        for value in encoded.dictionary.to_pylist()
    ]
    # The last is for what is missing: -1 counts from the end.
    by_place = np.array([*known, -1], dtype=np.int32)
    return by_place[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


_FITTING = {
    "float": "fiubdn",
    "int": "fiud",
    "bool": "b",
    "str": "sn",
    "bytes": "ys",
    "datetime": "Msn",
    "category": "fiubdsn",
}
"""By kind of field the letters (`_letter`) of what can become it."""


def _letter(kind: Any) -> str:
    """Arrow's type in NumPy's manner: f, i, u, b, M; s text, y bytes, d decimal, n nothing but nulls, l list, and
    empty for all else."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    for letter, test in (
        ("f", types.is_floating),
        ("i", types.is_signed_integer),
        ("u", types.is_unsigned_integer),
        ("b", types.is_boolean),
        ("M", lambda kind: types.is_timestamp(kind) or types.is_date(kind)),
        ("s", is_text),
        ("y", lambda kind: types.is_binary(kind) or types.is_large_binary(kind)),
        ("d", types.is_decimal),
        ("n", types.is_null),
        ("l", is_list),
    ):
        if test(kind):
            return letter
    return ""


def is_text(kind: Any) -> bool:
    """Whether `kind` is one of Arrow's forms of text."""
    import pyarrow as pa

    views = getattr(pa.types, "is_string_view", None)  # from 16 on
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or (views is not None and views(kind))
    )


def is_list(kind: Any) -> bool:
    """Whether `kind` is a list of fixed or free length."""
    import pyarrow as pa

    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _unknown_categories(kind: Any, field: Field) -> str:
    """A column of text for categories that are numbers, or the reverse."""
    known = {type(value) for value in field.categories or ()}
    if not known or _letter(kind) == "n":
        return ""
    if (known == {str}) != (_letter(kind) == "s"):
        return f"is {kind}, the model takes {values.expected(field)}"
    return ""


def _plain(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    return column


def _values(column: Any, letter: str, wanted: str, name: str) -> Any:
    """An ndarray for numbers, booleans and dates; a list of Python values for all else, and where an integer or
    a boolean is missing (NumPy has no word for that)."""
    import pyarrow as pa

    if letter == "d":
        if wanted == "float":
            return column.cast(pa.float64()).to_numpy()
        return [value if value is None else _number(value) for value in column.to_pylist()]
    if letter == "f" or (letter in ("i", "u", "b") and (not column.null_count or wanted == "float")):
        return column.to_numpy()
    if letter == "M":
        # Zoned timestamps are stored in UTC, which is what models get.
        try:
            return column.cast(pa.timestamp("ns")).to_numpy()
        except pa.ArrowInvalid as error:
            raise errors.DataError(
                f"models take dates of the years 1678 to 2261: {error}", column=name
            ) from None
    return column.to_pylist()


def _number(value: Any) -> Any:
    return int(value) if value == value.to_integral_value() else float(value)
