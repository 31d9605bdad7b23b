"""``convert_column_types``: a column of one type as another, by Azure ML's rules.

What cannot be converted becomes a missing value, as it does in Azure ML's frames; only where a table asks for
``mismatch_as: error`` is it an error. Every value is converted by itself, so that it makes no difference how a
file is cut. Worker side: Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any

from penstock.errors import DataError

TRUE_WORDS = ("true", "True", "1")
FALSE_WORDS = ("false", "False", "0")
"""What a text means where nobody says which words are true."""

_INT64 = 2**63


def convert(column: Any, said: Mapping[str, Any], *, name: str, file: str) -> Any:
    """`column`, a ``ChunkedArray``, as `said` wants it; `name` and `file` are for messages. Raises DataError."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise DataError(
            f"values of the type {column.type} cannot be made {said['type']}", file=file, column=name
        )
    made = _MAKERS[said["type"]](column, said, name, file)
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def _int(column: Any, said: Mapping[str, Any], name: str, file: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return column.cast(pa.int64())
    if _is_text(kind):
        return _each_text(column, _int_of, pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_uint64(kind):
        numbers = column.cast(pa.float64(), safe=False)
        inside = pc.and_(pc.greater_equal(numbers, -float(_INT64)), pc.less(numbers, float(_INT64)))
        kept = pc.if_else(pc.fill_null(inside, False), pc.trunc(numbers), pa.scalar(None, pa.float64()))
        return kept.cast(pa.int64())
    return _nothing(column, pa.int64())


def _float(column: Any, said: Mapping[str, Any], name: str, file: str) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    if _is_text(kind):
        return _each_text(column, _float_of, pa.float64())
    return _nothing(column, pa.float64())


def _string(column: Any, said: Mapping[str, Any], name: str, file: str) -> Any:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        moments = column.cast(pa.timestamp("us", column.type.tz), safe=False).to_pylist()
        return pa.array([None if each is None else _iso(each) for each in moments], pa.string())
    return column.cast(pa.string())


def _iso(moment: dt.datetime) -> str:
    utc = moment.astimezone(dt.timezone.utc) if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)
    return utc.isoformat()


def _boolean(column: Any, said: Mapping[str, Any], name: str, file: str) -> Any:
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        return column
    words = said.get("true_values")
    if words is None and not _is_text(column.type):
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            return pa.array(
                [None if each is None or each != each else each != 0 for each in column.to_pylist()],
                pa.bool_(),
            )
        return _nothing(column, pa.bool_())
    true = set(TRUE_WORDS if words is None else words)
    false = set(FALSE_WORDS if said.get("false_values") is None else said["false_values"])
    mismatch = said.get("mismatch_as", "")
    other = {"true": True, "false": False}.get(mismatch)

    def truth(text: str) -> bool | None:
        if text in true or text in false:
            return text in true
        if mismatch == "error":
            raise DataError(f"{text!r} is neither true nor false", file=file, column=name)
        return other

    return _each_text(column.cast(pa.string()), truth, pa.bool_())


def _datetime(column: Any, said: Mapping[str, Any], name: str, file: str) -> Any:
    import pyarrow as pa

    kind = pa.timestamp("us")
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(kind)
    if pa.types.is_date(column.type):
        return column.cast(kind)
    if not _is_text(column.type) and not (pa.types.is_integer(column.type) and said["formats"]):
        return _nothing(column, kind)
    formats = said["formats"]

    def moment(text: str) -> dt.datetime | None:
        for each in formats:
            try:
                return _in_utc(dt.datetime.strptime(text, each))
            except ValueError:
                continue
        return None if formats else _of_iso(text)

    return _each_text(column.cast(pa.string()), moment, kind)


_MAKERS: Mapping[str, Callable[[Any, Mapping[str, Any], str, str], Any]] = {
    "int": _int,
    "float": _float,
    "string": _string,
    "boolean": _boolean,
    "datetime": _datetime,
}


def _each_text(column: Any, make: Callable[[str], Any], kind: Any) -> Any:
    """Every different text made once: columns of few texts are converted as fast as Arrow can look them up."""
    import pyarrow as pa

    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    made = [make(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(made, kind).take(encoded.indices)


def _int_of(text: str) -> int | None:
    """A whole number, or a number's whole part, as Azure ML reads ``1e3`` and ``3.0``."""
    stripped = text.strip()
    if not stripped.isascii() or "_" in stripped:
        return None
    try:
        whole = int(stripped)
    except ValueError:
        number = _float_of(stripped)
        if number is None or not math.isfinite(number):
            return None
        whole = int(number)
    return whole if -_INT64 <= whole < _INT64 else None


def _float_of(text: str) -> float | None:
    stripped = text.strip()
    if not stripped.isascii() or "_" in stripped:
        return None
    try:
        return float(stripped)
    except ValueError:
        return None


def _in_utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment


def _of_iso(text: str) -> dt.datetime | None:
    """ISO 8601 as far as Python 3.8 reads it, and with a Z."""
    stripped = text.strip()
    try:
        return _in_utc(
            dt.datetime.fromisoformat(stripped[:-1] + "+00:00" if stripped.endswith("Z") else stripped)
        )
    except ValueError:
        return None


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _nothing(column: Any, kind: Any) -> Any:
    import pyarrow as pa

    return pa.nulls(len(column), kind)
