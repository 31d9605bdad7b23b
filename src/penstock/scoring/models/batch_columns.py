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
        return _text(column)
    if wanted == "category" and field.categories is not None:
        return _category(column, field)
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
        return _text(column)
    found = _values(column, letter, "object", name)
    return found if type(found).__name__ == "ndarray" else columns.infer(found)


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


def _text(column: Any) -> Any:
    """An ndarray of str; missing ones are NaN, as everywhere."""
    import numpy as np

    array = column.to_numpy()
    if not column.null_count:
        return array
    array = np.array(array)
    array[column.is_null().to_numpy()] = np.nan
    return array


def _category(column: Any, field: Field) -> Any:
    """Each different value is judged once."""
    import numpy as np
    import pyarrow.compute as pc

    distinct = pc.unique(column)
    known = [value for value in distinct.to_pylist() if value is not None]
    if any(values.problem(value, field) for value in known):
        # Names the row.
        return _checked(column.to_pylist(), field)
    array = columns.objects(column.to_pylist())
    if column.null_count:
        array[column.is_null().to_numpy()] = np.nan
    return array
