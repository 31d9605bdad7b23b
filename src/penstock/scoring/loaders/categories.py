"""Columns that a library wants as pandas categoricals. Runs in workers: Python 3.8; pandas."""

from __future__ import annotations

from typing import Any, Sequence

from penstock.scoring.interface import Field


def names(fields: Sequence[Field]) -> Sequence[str]:
    """The names of the columns whose dtype is ``category``."""
    return [field.name for field in fields if field.dtype == "category"]


def as_categories(table: Any, columns: Sequence[str]) -> Any:
    """`table` with `columns` as categoricals of the values they hold.

    The categories of training are left to the library, which maps them itself: it alone knows what an unseen
    one means (LightGBM: missing; XGBoost: an error).
    """
    import pandas as pd

    changed = {
        name: pd.Categorical(table[name])
        for name in columns
        if name in table.columns and str(table[name].dtype) != "category"
    }
    return table.assign(**changed) if changed else table
