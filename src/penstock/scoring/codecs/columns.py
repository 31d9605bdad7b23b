"""One column of values to a typed 1-D ndarray, or an error that names the row.

Whole columns are judged by the set of their types, which costs a few nanoseconds a value; values are looked at
one by one only to explain what is wrong. Runs in workers: Python 3.8; NumPy inside the functions.
"""

from __future__ import annotations

import base64
from typing import Any, Callable, Sequence

from penstock import errors
from penstock.scoring.codecs import values
from penstock.scoring.interface import Field

_NUMBERS = {int, float, type(None)}

Place = Callable[[int], str]
"""From the index of a value to words for where it stands: ``row 3 (counting from 0), column 'age'``."""


def place_in(name: str) -> Place:
    """The Place of values in the column `name`."""
    return lambda row: f"row {row} (counting from 0), column {name!r}"


def convert(found: Any, field: Field, place: Place) -> Any:
    """`found` (Python values, or a 1-D ndarray) as a 1-D ndarray of `field`'s dtype.

    ``null`` becomes NaN among numbers and text, NaT among dates; among integers, booleans and bytes it is
    refused. A float that is whole passes as an integer: JSON has one kind of number. Raises SchemaMismatch.
    """
    if type(found).__name__ == "ndarray":
        return _convert_array(found, field, place)
    kind = values.kind_of(field.dtype)
    if kind == "object":
        return infer(found)
    types = set(map(type, found))
    plain = values.PLAIN.get(kind)
    if plain is None or not types <= plain:
        _explain(found, field, place)
    return _typed(found, kind, field, place, has_none=type(None) in types)


def infer(found: Sequence[Any]) -> Any:
    """`found` as an ndarray of the dtype that its values share: bool, int64, float64 (``null`` is NaN), or
    object where they share none, as for text."""
    import numpy as np

    types = set(map(type, found))
    if types == {bool}:
        return np.array(found, dtype=bool)
    try:
        if types == {int}:
            return np.array(found, dtype=np.int64)
        if types and types <= _NUMBERS and types != {type(None)}:
            return np.array(found, dtype=np.float64)
    except OverflowError:
        pass  # an integer beyond 64 bits stays a Python integer
    return objects(found, missing_text=types == {str, type(None)})


def objects(found: Sequence[Any], *, missing_text: bool = False) -> Any:
    """A 1-D ndarray of dtype object, whatever is in `found`; with `missing_text`, None becomes NaN."""
    import numpy as np

    array = np.empty(len(found), dtype=object)
    array[:] = [np.nan if value is None else value for value in found] if missing_text else list(found)
    return array


def _explain(found: Any, field: Field, place: Place) -> None:
    """Raise for the first value that is not one of `field`; return if every one is after all."""
    if type(found).__name__ == "ndarray":
        found = found.tolist()
    for index, value in enumerate(found):
        trouble = values.problem(value, field)
        if trouble:
            raise errors.SchemaMismatch(f"{place(index)}: {trouble}", field=field.name)


def _typed(found: Sequence[Any], kind: str, field: Field, place: Place, *, has_none: bool) -> Any:
    import numpy as np

    if kind in ("str", "category"):
        return objects(found, missing_text=has_none)
    if kind == "bytes":
        return objects([base64.b64decode(value) if isinstance(value, str) else value for value in found])
    if kind == "datetime":
        texts = [np.datetime64("NaT") if each is None else values.parse_datetime(each) for each in found]
        return np.array(texts, dtype="datetime64[ns]")
    try:
        if kind == "int":
            # By way of the widest type: NumPy wraps silently, or not, depending on its version.
            whole = list(map(int, found))
            if field.dtype == "uint64" and whole and min(whole) < 0:
                raise OverflowError
            wide = np.uint64 if field.dtype == "uint64" else np.int64
            return _narrow(np.array(whole, dtype=wide), found, field, place)
        array = np.array(found, dtype=np.float64)
    except OverflowError:
        _explain(found, field, place)
        raise
    if field.dtype == "float64":
        return array
    return _narrow(array, found, field, place)


def _narrow(wide: Any, found: Sequence[Any], field: Field, place: Place) -> Any:
    import numpy as np

    with np.errstate(over="ignore"):
        array = wide.astype(field.dtype)
    if wide.dtype.kind == "f":
        changed = np.isinf(array) & ~np.isinf(wide)
    else:
        changed = (array.astype(wide.dtype) != wide) | ((array < 0) != (wide < 0))
    if changed.any():
        _explain(found, field, place)
    return array


def _convert_array(found: Any, field: Field, place: Place) -> Any:
    """An ndarray of Arrow or of the Open Inference Protocol: judged by its dtype."""
    import numpy as np

    kind = values.kind_of(field.dtype)
    have = found.dtype.kind
    if kind == "object":
        return found
    if have == "O":
        return convert(found.tolist(), field, place)
    if (kind == "float" and have in "fiub") or (kind == "int" and have in "iu"):
        if found.dtype == np.dtype(field.dtype):
            return found
        if have == "b":
            return found.astype(field.dtype)
        return _narrow(found, found, field, place)
    if kind == "int" and have == "f":
        return convert(found.tolist(), field, place)
    if kind == "bool" and have == "b":
        return found
    if kind == "datetime" and have == "M":
        return found.astype("datetime64[ns]")
    if kind in ("str", "category") and have in "US":
        text = found.astype("U") if have == "S" else found
        return convert(text.tolist(), field, place)
    if kind == "category":
        return convert(found.tolist(), field, place)
    if kind == "bytes" and have == "S":
        return objects(found.tolist())
    if not len(found):
        return convert([], field, place)
    raise errors.SchemaMismatch(
        f"{place(0)}: expected {values.expected(field)}, found values of type {found.dtype}",
        field=field.name,
    )
