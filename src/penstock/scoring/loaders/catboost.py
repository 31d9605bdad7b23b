"""CatBoost's own binary form (``.cbm``).

The class that a file was saved from is not written in it: where it knows classes it is loaded as a
CatBoostClassifier, whose `predict` gives labels, else as a CatBoostRegressor.
Runs in workers: Python 3.8; catboost.
"""

from __future__ import annotations

from penstock.errors import ModelError
from penstock.scoring.loaders import packages, sklearn
from penstock.scoring.loaders.loaded import LoadedModel


def load(path: str, *, name: str, sample_input: str = "") -> LoadedModel:
    """The model at `path`. Raises ModelError."""
    catboost = packages.require("catboost", path, "a CatBoost model")
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
