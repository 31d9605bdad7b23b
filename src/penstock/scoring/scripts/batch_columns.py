"""Values of one column, as scripts return them, as an Arrow array whose type does not depend on what held them.

Runs in workers: Python 3.8; pyarrow inside the functions, pandas and NumPy only where a script loaded them.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import sys
from typing import Any, Iterable

_FAMILIES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("truth", (bool,)),
    ("number", (int, float)),
    ("text", (str,)),
    ("bytes", (bytes, bytearray)),
    ("moment", (dt.datetime,)),
    ("day", (dt.date,)),
    ("list", (list, tuple, set, frozenset)),
)
"""Kinds of values, a subclass before its base. Other types are kinds of their own."""


def array_of(values: Any) -> Any:
    """`values` (a list, or a pandas Series) as a ``pyarrow.Array``; what is missing is null, and what has no
    common type is text."""
    import pyarrow as pa

    is_typed = str(getattr(values, "dtype", "object")) != "object"
    types = set() if is_typed else set(map(type, values))
    if _is_mixed(values, types):
        return pa.array(_as_text(values), type=pa.string())
    try:
        array = pa.array(_plain(values, types), from_pandas=True)
    except (ArithmeticError, TypeError, ValueError, pa.ArrowException):
        return pa.array(_as_text(values), type=pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=array.type)
    return _usual(array, values)


def _is_mixed(values: Iterable[Any], types: set[type]) -> bool:
    """Whether `values` are of several kinds. Not left to pyarrow, which makes some of them one: of a date and a
    number two dates, of text and bytes bytes."""
    if len({_family(kind) for kind in types}) < 2:
        return False
    # Only now, for it takes a look at every value: NaN is a float, and yet no number among texts.
    present = {type(value) for value in values if not _is_missing(value)}
    return len({_family(kind) for kind in present}) > 1


def _family(kind: type) -> str:
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if issubclass(kind, numpy.ndarray):
            return "list"
        if issubclass(kind, numpy.bool_):
            return "truth"
        if issubclass(kind, (numpy.integer, numpy.floating)) and not issubclass(kind, numpy.timedelta64):
            return "number"
    return next((name for name, members in _FAMILIES if issubclass(kind, members)), repr(kind))


def _plain(values: Any, types: set[type]) -> Any:
    """`values` as pyarrow takes them: it knows no sparse columns, and no arrays of several dimensions in lists."""
    if type(getattr(values, "dtype", None)).__name__ == "SparseDtype":
        return values.sparse.to_dense()
    if any(issubclass(kind, (set, frozenset)) for kind in types):
        # A set of texts has another order in every process.
        values = [
            sorted(value, key=str) if isinstance(value, (set, frozenset)) else value for value in values
        ]
    numpy = sys.modules.get("numpy")
    if numpy is None or not types:
        return values
    if all(issubclass(kind, (numpy.datetime64, numpy.timedelta64)) for kind in types):
        return numpy.array(values)
    if any(issubclass(kind, numpy.ndarray) for kind in types):
        return [
            value.tolist() if isinstance(value, numpy.ndarray) and value.ndim != 1 else value
            for value in values
        ]
    return values


def _usual(array: Any, values: Any) -> Any:
    """`array` in the type that the same values have whatever held them."""
    import pyarrow as pa

    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return pa.array(_as_text(values), type=pa.string())
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_large_string(kind):
        return array.cast(pa.string())
    if pa.types.is_large_binary(kind):
        return array.cast(pa.binary())
    if pa.types.is_float16(kind):
        # Older pyarrows cannot cast it.
        return pa.array([None if cell is None else float(cell) for cell in array.to_pylist()], pa.float32())
    return array


def _as_text(values: Iterable[Any]) -> list[str | None]:
    return [None if _is_missing(value) else str(value) for value in values]


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    pandas = sys.modules.get("pandas")
    if pandas is not None and (value is pandas.NaT or value is getattr(pandas, "NA", None)):
        return True
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)
