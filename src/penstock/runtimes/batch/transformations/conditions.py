"""What a filter expression means for a table: Azure ML's rules, with Arrow's functions.

A comparison with a missing value is neither true nor false, and ``and``, ``or``, ``not`` carry that on nearly as
SQL's do; a row is kept where the whole is true. Kinds of values that cannot be compared are an error, where Azure
ML would silently keep no row. Worker side: Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from penstock.bundle import row_filters
from penstock.bundle.row_filters import Arithmetic, Column, Compare, Literal, Logic, Not, StartsWith
from penstock.errors import DataError

_FUNCTIONS = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}


def mask(table: Any, text: str) -> Any:
    """Whether each row of `table` passes the filter `text`: booleans, None where it cannot be said.

    Raises DataError: a column that is not there, or values that cannot be compared.
    """
    import pyarrow as pa

    expression = row_filters.parse(text)
    try:
        found = _Reader(table, text).value(expression)
    except pa.ArrowInvalid as error:
        raise DataError(f"the filter {text!r} cannot be computed: {error}") from error
    if _kind(found) not in ("truth value", "missing value"):
        raise DataError(
            f"the filter {text!r} is a {_kind(found)}, not true or false", hint='compare it: col("age") > 30'
        )
    if isinstance(found, pa.Scalar):
        return pa.array([found.as_py()] * table.num_rows, pa.bool_())
    return found.cast(pa.bool_())


class _Reader:
    """The values of expressions in one table: Arrow arrays, or scalars where no column is named."""

    def __init__(self, table: Any, text: str) -> None:
        self._table = table
        self._text = text

    def value(self, expression: row_filters.Expression) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        if isinstance(expression, Column):
            return self._column(expression.name)
        if isinstance(expression, Literal):
            return _scalar(expression.value)
        if isinstance(expression, Compare):
            return self._compare(expression)
        if isinstance(expression, Arithmetic):
            return self._arithmetic(expression)
        if isinstance(expression, StartsWith):
            text = self._of(expression.operand, "text", "startswith")
            return pc.starts_with(text, expression.prefix)
        if isinstance(expression, Not):
            return pc.invert(self._of(expression.operand, "truth value", "not"))
        assert isinstance(expression, Logic)
        both = _and if expression.operator == "and" else pc.or_kleene
        found = self._of(expression.operands[0], "truth value", expression.operator)
        for each in expression.operands[1:]:
            found = both(found, self._of(each, "truth value", expression.operator))
        return found if not isinstance(found, pa.ChunkedArray) else found.combine_chunks()

    def _column(self, name: str) -> Any:
        import pyarrow as pa

        if name not in self._table.column_names:
            there = [each for each in self._table.column_names if not each.startswith("_")]
            hint = (
                'write True or False, or col("...")'
                if name in ("true", "false")
                else f"there is {_some(there)}"
            )
            raise DataError(
                f"the filter {self._text!r} names a column that is not there", column=name, hint=hint
            )
        column = self._table.column(name)
        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if pa.types.is_decimal(kind):
            return column.cast(pa.float64())
        if pa.types.is_date(kind):
            return column.cast(pa.timestamp("us"))
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.timestamp("us"))
        return column

    def _of(self, expression: row_filters.Expression, wanted: str, word: str) -> Any:
        import pyarrow as pa

        found = self.value(expression)
        kind = _kind(found)
        if kind == "missing value":
            return found.cast(pa.string() if wanted == "text" else pa.bool_())
        if kind != wanted:
            raise DataError(f"the filter {self._text!r}: {word} takes a {wanted}, found a {kind}")
        return found

    def _compare(self, said: Compare) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        left, right = self.value(said.left), self.value(said.right)
        kinds = {_kind(left), _kind(right)} - {"missing value"}
        if len(kinds) > 1:
            one, other = _kind(left), _kind(right)
            raise DataError(
                f"the filter {self._text!r} compares a {one} with a {other}, which are never equal",
                hint="write texts in quotes and numbers without; convert_column_types before the filter changes a "
                "column's type",
            )
        if "missing value" in (_kind(left), _kind(right)):
            return _missing(left, right)
        if "unknown" in kinds:
            raise DataError(
                f"the filter {self._text!r} compares values of the type {left.type}, which have no order"
            )
        found = getattr(pc, _FUNCTIONS[said.operator])(left, right)
        assert isinstance(found, (pa.Array, pa.ChunkedArray, pa.Scalar))
        return found

    def _arithmetic(self, said: Arithmetic) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        left, right = self.value(said.left), self.value(said.right)
        kinds = {_kind(left), _kind(right)} - {"missing value"}
        if kinds == {"text"} and said.operator == "+" and "missing value" not in (_kind(left), _kind(right)):
            return pc.binary_join_element_wise(left, right, "")
        if kinds - {"number"}:
            raise DataError(
                f"the filter {self._text!r}: {said.operator} takes numbers, found a {min(kinds - {'number'})}"
            )
        if "missing value" in (_kind(left), _kind(right)):
            return _missing(left, right, pa.float64())
        if said.operator in ("+", "-", "*"):
            names = {"+": pc.add_checked, "-": pc.subtract_checked, "*": pc.multiply_checked}
            return names[said.operator](left, right)
        one, other = left.cast(pa.float64()), right.cast(pa.float64())
        if said.operator == "**":
            return pc.power(one, other)
        # Divided by zero, a value is missing: it may well stand behind `x != 0 and`.
        other = pc.if_else(pc.equal(other, 0.0), pa.scalar(None, pa.float64()), other)
        ratio = pc.divide(one, other)
        if said.operator == "/":
            return ratio
        if said.operator == "%":
            return pc.subtract(one, pc.multiply(pc.floor(ratio), other))
        whole = pa.types.is_integer(left.type) and pa.types.is_integer(right.type)
        return pc.trunc(ratio) if whole else pc.floor(ratio)  # as Azure ML's reader rounds


def _and(left: Any, right: Any) -> Any:
    """SQL's, but that a missing value on the left stays one, as with Azure ML: it matters under ``not`` only."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.is_valid(left), pc.and_kleene(left, right), pa.scalar(None, pa.bool_()))


def _missing(left: Any, right: Any, kind: Any = None) -> Any:
    """Missing values, one for each row where either side is a column."""
    import pyarrow as pa

    kind = kind or pa.bool_()
    rows = [len(each) for each in (left, right) if not isinstance(each, pa.Scalar)]
    return pa.nulls(rows[0], kind) if rows else pa.scalar(None, kind)


def _scalar(value: Any) -> Any:
    import pyarrow as pa

    return pa.scalar(value, pa.timestamp("us")) if isinstance(value, dt.datetime) else pa.scalar(value)


def _kind(value: Any) -> str:
    """What sort of value it is, in a reader's words."""
    import pyarrow as pa

    kind = value.type
    if pa.types.is_null(kind):
        return "missing value"
    if pa.types.is_boolean(kind):
        return "truth value"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return "time"
    return "unknown"


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")
