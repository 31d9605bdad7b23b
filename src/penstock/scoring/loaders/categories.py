"""Columns that a library wants as pandas categoricals. Runs in workers: Python 3.8; pandas."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from penstock.scoring.interface import Field


def of(fields: Sequence[Field]) -> dict[str, tuple[Any, ...]]:
    """The columns whose dtype is ``category``, with the categories of training as far as they are known."""
    return {field.name: field.categories or () for field in fields if field.dtype == "category"}


def as_categories(table: Any, columns: Mapping[str, tuple[Any, ...]]) -> Any:
    """`table` with `columns` as categoricals: the categories of training, then what else occurs.

    What an unseen category means is left to the library, which maps categories itself (LightGBM: missing;
    XGBoost: an error).
    """
    import pandas as pd

    changed = {}
    for name, known in columns.items():
        if name in table.columns and str(table[name].dtype) != "category":
            seen = set(known)
            values = table[name]
            unseen = [value for value in values.dropna().unique() if value not in seen]
            changed[name] = pd.Categorical(values, categories=[*known, *unseen])
    return table.assign(**changed) if changed else table
