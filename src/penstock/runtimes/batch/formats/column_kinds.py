"""Types of columns: their names, where two of them meet, and which casts lose nothing. Python 3.8; pyarrow inside
the functions."""

from __future__ import annotations

import re
from typing import Any

from penstock.errors import DataError

_PARAMETRIC = re.compile(r"\s*(timestamp|decimal128|decimal256|decimal)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*")
_UNITS = ("s", "ms", "us", "ns")


def type_of(name: str, *, column: str = "") -> Any:
    """Arrow's type of that name: ``int64``, ``double``, ``string``, ``bool``, ``date32``, ``timestamp[us]``,
    ``timestamp[us, tz=UTC]``, ``decimal128(10, 2)``. Raises DataError when there is none; `column` is named."""
    import pyarrow as pa

    text = name.strip()
    try:
        return pa.type_for_alias(text)
    except ValueError:
        pass
    found = _PARAMETRIC.fullmatch(text)
    if found:
        kind, arguments = found.group(1), [part.strip() for part in found.group(2).split(",")]
        try:
            if kind == "timestamp" and arguments[0] in _UNITS:
                zone = arguments[1].replace("tz=", "").strip() if len(arguments) > 1 else None
                return pa.timestamp(arguments[0], tz=zone)
            make = pa.decimal256 if kind == "decimal256" else pa.decimal128
            return make(*(int(part) for part in arguments))
        except (ValueError, TypeError):
            pass
    raise DataError(
        f"no such type: {name!r}",
        column=column,
        hint="Arrow's names: int64, double, string, bool, date32, timestamp[us], decimal128(10, 2).",
    )


def common(one: Any, other: Any) -> Any:
    """The narrowest type into which values of both fit without loss, or None."""
    import pyarrow as pa

    is_ = pa.types
    if one.equals(other):
        return one
    for left, right in ((one, other), (other, one)):
        if is_.is_null(left):
            return right
        if is_.is_dictionary(left):
            return common(left.value_type, right.value_type if is_.is_dictionary(right) else right)
    for left, right in ((one, other), (other, one)):
        if is_.is_date(left) and is_.is_timestamp(right) and right.tz is None:
            return right
        for narrow, wide in _WIDER:
            if getattr(is_, narrow)(left) and getattr(is_, wide)(right):
                return right
    if is_.is_date(one) and is_.is_date(other):
        return pa.date64()
    if is_.is_timestamp(one) and is_.is_timestamp(other) and (one.tz is None) == (other.tz is None):
        unit = max(one.unit, other.unit, key=_UNITS.index)
        return pa.timestamp(unit, tz=one.tz if one.tz == other.tz else "UTC")
    if is_.is_list(one) and is_.is_list(other):
        inner = common(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner)
    if is_.is_struct(one) and is_.is_struct(other):
        return _common_struct(one, other)
    return _common_number(one, other)


def _common_struct(one: Any, other: Any) -> Any:
    """A struct with the fields of both."""
    import pyarrow as pa

    fields = {field.name: field.type for field in one}
    for field in other:
        kind = common(fields.get(field.name, pa.null()), field.type)
        if kind is None:
            return None
        fields[field.name] = kind
    return pa.struct(list(fields.items()))


_WIDER = (
    ("is_string", "is_large_string"),
    ("is_binary", "is_large_binary"),
    ("is_list", "is_large_list"),
)


def _common_number(one: Any, other: Any) -> Any:
    """`common` of two numeric types. Integers meet floats in ``double``: `fit` checks that each value fits."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_integer(one) and is_.is_integer(other):
        signs = (is_.is_signed_integer(one), is_.is_signed_integer(other))
        if signs[0] == signs[1]:
            return one if one.bit_width >= other.bit_width else other
        unsigned, signed = (other, one) if signs[0] else (one, other)
        if unsigned.bit_width < signed.bit_width:
            return signed
        return {8: pa.int16(), 16: pa.int32()}.get(unsigned.bit_width, pa.int64())
    if is_.is_floating(one) and is_.is_floating(other):
        return one if one.bit_width >= other.bit_width else other
    if is_.is_decimal(one) and is_.is_decimal(other):
        scale = max(one.scale, other.scale)
        digits = max(one.precision - one.scale, other.precision - other.scale) + scale
        if digits > 76:
            return None
        wide = digits > 38 or is_.is_decimal256(one) or is_.is_decimal256(other)
        return (pa.decimal256 if wide else pa.decimal128)(digits, scale)
    if (is_.is_floating(one) and is_.is_integer(other)) or (is_.is_integer(one) and is_.is_floating(other)):
        return pa.float64()
    return None


def fits(kind: Any, target: Any) -> bool:
    """Whether values of type `kind` may be cast to `target` at all. Each value is still checked."""
    import pyarrow as pa

    is_ = pa.types
    if kind.equals(target) or is_.is_null(kind):
        return True
    if is_.is_dictionary(kind) or is_.is_dictionary(target):
        return fits(
            kind.value_type if is_.is_dictionary(kind) else kind,
            target.value_type if is_.is_dictionary(target) else target,
        )
    if is_.is_integer(kind) and is_.is_integer(target):
        return True
    if is_.is_struct(kind) and is_.is_struct(target):
        theirs = {field.name: field.type for field in target}
        return all(field.name in theirs and fits(field.type, theirs[field.name]) for field in kind)
    if _is_listlike(kind) and _is_listlike(target):
        return fits(kind.value_type, target.value_type)
    if is_.is_decimal(kind) and is_.is_decimal(target):
        return True
    joint = common(kind, target)
    if joint is not None and joint.equals(target):
        return True
    return _same_family(kind, target)


def _is_listlike(kind: Any) -> bool:
    import pyarrow as pa

    is_ = pa.types
    return bool(is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind))


def _same_family(kind: Any, target: Any) -> bool:
    """Types that differ only in how long their offsets are, or how their time is counted."""
    import pyarrow as pa

    is_ = pa.types
    texts = [is_.is_string, is_.is_large_string]
    bytes_ = [is_.is_binary, is_.is_large_binary, is_.is_fixed_size_binary]
    if hasattr(is_, "is_string_view"):
        texts.append(is_.is_string_view)
        bytes_.append(is_.is_binary_view)
    for family in (texts, bytes_):
        if any(test(kind) for test in family) and any(test(target) for test in family):
            return True
    if is_.is_timestamp(kind) and is_.is_timestamp(target):
        return (kind.tz is None) == (target.tz is None)
    return bool(
        (is_.is_time(kind) and is_.is_time(target)) or (is_.is_duration(kind) and is_.is_duration(target))
    )
