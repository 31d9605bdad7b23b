"""Columns of Arrow to the DataFrame that a model takes: the same that a JSON request with these values makes.

Text goes over in Arrow's own form where pandas has it (from 3 on), categories by their codes; both cost a
tenth of what a Python object a value does. Runs in workers: Python 3.8; pyarrow, NumPy and pandas inside the
functions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Sequence

from penstock.scoring.codecs import values
from penstock.scoring.interface import Field
from penstock.scoring.models import batch_columns


def of(table: Any, names: Sequence[str], fields: Sequence[Field]) -> Any:
    """The columns `names` of `table` under the names and in the dtypes of `fields`. Raises DataError, which names
    the table's column."""
    import pandas as pd

    columns = {
        field.name: _typed(table.column(name), replace(field, name=name))
        for name, field in zip(names, fields)
    }
    return pd.DataFrame(columns, copy=False)


def inferred(table: Any, names: Sequence[str]) -> Any:
    """The columns `names` of `table` in the dtypes that their values have."""
    import pandas as pd

    columns = {
        name: _text(column) if batch_columns.is_text(column.type) else batch_columns.infer(column, name)
        for name, column in zip(names, table.select(list(names)).columns)
    }
    return pd.DataFrame(columns, copy=False)


def _typed(column: Any, field: Field) -> Any:
    kind = values.kind_of(field.dtype)
    if kind == "str" and batch_columns.is_text(column.type):
        return _text(column)
    if kind == "category" and field.categories is not None:
        import pandas as pd

        known: Any = list(field.categories)
        return pd.Categorical.from_codes(batch_columns.codes(column, field), categories=known)
    return batch_columns.convert(column, field)


def _text(column: Any) -> Any:
    """An array of pandas' own text type; of objects where it has none, or where nothing is there to tell that it
    is text."""
    if column.null_count < len(column):
        array = column.to_pandas().array
        if str(array.dtype) in ("str", "string"):
            return array
    return batch_columns.text(column)
