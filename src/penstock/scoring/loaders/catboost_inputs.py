"""The inputs of CatBoost models. Integers and text are both categories to CatBoost, which compares them as text.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any

from penstock.scoring.interface import Field, Signature


def signature(model: Any) -> Signature:
    """The inputs of a fitted `model`: names where it was fitted on a DataFrame, else positions."""
    names = [str(name) for name in model.feature_names_ or ()]
    if not names:
        return Signature()
    categorical = set(model.get_cat_feature_indices())
    text = set(model.get_text_feature_indices()) if hasattr(model, "get_text_feature_indices") else set()
    fields = tuple(
        Field(label, "object" if place in categorical else "str" if place in text else "float64")
        for place, label in enumerate(names)
    )
    if names == [str(place) for place in range(len(names))]:
        dtype = "object" if categorical or text else "float64"
        return Signature("array", (Field("input", dtype, (-1, len(names))),), (), "the CatBoost model")
    return Signature("table", fields, (), "the CatBoost model's feature_names_")
