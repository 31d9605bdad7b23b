"""From a database's values to Arrow's columns.

===============================  ==========================================================================
in the database                  in Arrow
===============================  ==========================================================================
smallint, integer, bigint        int16, int32, int64
real, double precision           float, double
numeric(p, s)                    decimal128(p, s); above 38 digits decimal256, above 76 string
numeric, of any size             double; a whole number that a double does not hold is an error
boolean                          bool
date, time, timestamp            date32, time64[us], timestamp[us]
timestamp with time zone         timestamp[us, UTC]
bytea                            binary
arrays (of one dimension)        list
all else (text, uuid, json, ...) string, as the database writes it
===============================  ==========================================================================
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from penstock.errors import DataError

NUMERIC = {b"penstock": b"numeric"}
"""Metadata of a column of numbers of any size."""

_EXACT = 2**53


def numeric(name: str, precision: int | None, scale: int | None) -> pa.Field:
    """The column for decimal numbers of `precision` digits, `scale` of them behind the point; None: any."""
    if precision is None:
        return pa.field(name, pa.float64(), metadata=NUMERIC)
    places = scale or 0
    if places < 0:
        precision, places = precision - places, 0
    if precision > 76:
        return pa.field(name, pa.string())
    make = pa.decimal128 if precision <= 38 else pa.decimal256
    return pa.field(name, make(precision, places))


def array(values: Sequence[Any], column: pa.Field, where: str) -> pa.Array:
    """`values` of one column of what is read at `where`. Raises DataError for what the column cannot hold."""
    kind = column.type
    try:
        if column.metadata and column.metadata.get(b"penstock") == b"numeric":
            return pa.array([_double(value) for value in values], kind)
        if pa.types.is_list(kind) and pa.types.is_floating(kind.value_type):
            values = [None if value is None else [_double(item) for item in value] for value in values]
        elif pa.types.is_string(kind):
            values = [_text(value) for value in values]
        elif pa.types.is_decimal(kind):
            # 10E+2 has a scale of -2, for which Arrow sees no room.
            values = [value if value is None else Decimal(value) for value in values]
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError, OverflowError) as error:
        raise DataError(
            f"{_first_word(error)}",
            file=where,
            column=column.name,
            hint=f"it is read as {kind}; cast it in the query to what it should be (CAST(... AS text) always goes)",
        ) from error


def inferred(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> pa.Schema:
    """The columns for `rows` of Python values, by what they are: for databases that do not tell."""
    found: list[set[type]] = [set() for _ in names]
    aware: set[int] = set()
    for row in rows:
        for index, value in enumerate(row):
            found[index].add(type(value))
            if isinstance(value, dt.datetime) and value.tzinfo is not None:
                aware.add(index)
    fields = []
    for index, name in enumerate(names):
        kinds = found[index] - {type(None)}
        fields.append(_field(name, kinds, index in aware))
    return pa.schema(fields)


def _field(name: str, kinds: set[type], aware: bool) -> pa.Field:
    if not kinds:
        return pa.field(name, pa.null())
    if kinds == {bool}:
        return pa.field(name, pa.bool_())
    if kinds == {int}:
        return pa.field(name, pa.int64())
    if kinds <= {int, float}:
        return pa.field(name, pa.float64())
    if kinds <= {int, float, Decimal}:
        return pa.field(name, pa.float64(), metadata=NUMERIC)
    if kinds == {dt.datetime}:
        return pa.field(name, pa.timestamp("us", "UTC" if aware else None))
    if kinds == {dt.date}:
        return pa.field(name, pa.date32())
    if kinds == {dt.time}:
        return pa.field(name, pa.time64("us"))
    if kinds <= {bytes, bytearray, memoryview}:
        return pa.field(name, pa.binary())
    return pa.field(name, pa.string())


def _double(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if abs(number) > _EXACT and math.isfinite(number) and isinstance(value, int | Decimal):
        whole = int(value)
        if whole == value and int(number) != whole:
            raise ValueError(f"{value} is a whole number that a double does not hold")
    return number


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode()
    if isinstance(value, UUID | dt.date | dt.time | dt.timedelta | int | float | Decimal):
        return str(value)
    raise ValueError(f"{type(value).__name__} has no text")


def _first_word(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text[:200]
