"""CatBoost models: the inputs of one in memory, and its own binary form (``.cbm``).

The class that a file was saved from is not written in it: where it knows classes it is loaded as a
CatBoostClassifier, whose `predict` gives labels, else as a CatBoostRegressor. Integers and text are both categories
to CatBoost, which compares them as text. Runs in workers: Python 3.8; catboost.
"""

from __future__ import annotations

from typing import Any

from penstock.errors import ModelError
from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import packages
from penstock.scoring.loaders.loaded import LoadedModel


def load(path: str, *, name: str, sample_input: str = "") -> LoadedModel:
    """The model at `path`. Raises ModelError."""
    catboost = packages.require("catboost", path, "a CatBoost model")
    # Not at the top: that module asks this one about inputs.
    from penstock.scoring.loaders import sklearn

    try:
        model = catboost.CatBoostClassifier()
        model.load_model(path)
        if len(model.classes_) == 0:
            model = catboost.CatBoostRegressor()
            model.load_model(path)
    except Exception as error:  # CatBoostError, and what older versions raise instead
        raise ModelError(
            f"CatBoost {catboost.__version__} cannot read {path}: {error}",
            detail=str(error),
            hint="If a newer CatBoost saved it, list that version in the model's environment; "
            "otherwise save it again.",
        ) from error
    return sklearn.adopt(model, path=path, name=name, form="catboost", sample_input=sample_input)


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
