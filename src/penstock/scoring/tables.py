"""A table before it becomes a DataFrame: named columns of equal length.

Joining requests that share a call is cheap on these, and a DataFrame costs more than most models take to
score it; so one is made per call on the model, not per request.
Runs in workers: Python 3.8; NumPy and pandas inside the functions that need them.
"""

from __future__ import annotations

from typing import Any, Sequence

from penstock.scoring.interface import Model


class Table:
    """`columns` maps each name, in the model's order, to a 1-D ndarray of that column's values.

    `categories` maps the names of categorical columns to all values that the model knows, in its order.
    """

    __slots__ = ("categories", "columns", "rows")

    def __init__(self, columns: dict[str, Any], rows: int, categories: dict[str, tuple[Any, ...]]) -> None:
        self.columns = columns
        self.rows = rows
        self.categories = categories

    def layout(self) -> tuple[Any, ...]:
        """Equal for tables that may be joined without changing either."""
        return tuple((name, values.dtype.str) for name, values in self.columns.items())

    def to_frame(self) -> Any:
        """A pandas DataFrame. Missing text is NaN, as pandas reads it from files."""
        import pandas as pd

        frame = pd.DataFrame(self.columns, copy=False)
        for name, known in self.categories.items():
            frame[name] = pd.Categorical(frame[name], categories=list(known))
        return frame

    def to_array(self) -> Any:
        """A float ndarray ``(rows, columns)``, for tables of numbers only."""
        import numpy as np

        array = np.empty((self.rows, len(self.columns)), dtype=np.float64)
        for index, values in enumerate(self.columns.values()):
            array[:, index] = values
        return array


def prepared(data: Any, model: Model) -> Any:
    """`data` as `Model.call` takes it: a Table becomes an array where the model says that this is as good,
    else a DataFrame; anything else is ready."""
    if not isinstance(data, Table):
        return data
    is_whole = len(data.columns) == len(model.signature.inputs)
    return data.to_array() if is_whole and getattr(model, "accepts_array", False) else data.to_frame()


def join(tables: Sequence[Table]) -> Table:
    """All rows of `tables`, whose layouts are equal, in order."""
    import numpy as np

    first = tables[0]
    columns: dict[str, Any] = {}
    for name in first.columns:
        parts: list[Any] = [table.columns[name] for table in tables]
        columns[name] = np.concatenate(parts)
    return Table(columns, sum(table.rows for table in tables), first.categories)
