"""LightGBM boosters in their text form. `predict` is what `Booster.predict` gives: for a binary objective
the probability of the second class. Runs in workers: Python 3.8; lightgbm, and pandas for categories."""

from __future__ import annotations

import re
from typing import Any, Mapping

from penstock.errors import ModelError
from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import categories, packages, probing, threads
from penstock.scoring.loaders.loaded import LoadedModel

_PROBE_ROWS = 4


def load(path: str, *, name: str, sample_input: str = "") -> LoadedModel:
    """The booster at `path`. Raises ModelError."""
    lightgbm = packages.require("lightgbm", path, "a LightGBM model")
    try:
        booster = lightgbm.Booster(model_file=path)
    except Exception as error:  # LightGBMError, and what a damaged text makes the parser raise
        raise ModelError(
            f"LightGBM {lightgbm.__version__} cannot read {path}: {error}",
            detail=str(error),
            hint="If a newer LightGBM saved it, list that version in the model's environment; "
            "otherwise save it again.",
        ) from error
    return adopt(booster, name=name)


def adopt(booster: Any, *, name: str, notes: tuple[str, ...] = ()) -> LoadedModel:
    """The Model of a Booster in memory."""
    names = booster.feature_name()
    fields = columns(booster, len(names))
    if names == made_up_names(len(names)):
        signature = Signature("array", (Field("input", "float64", (-1, len(names))),), (), "the booster")
    else:
        named = [Field(name, field.dtype, categories=field.categories) for name, field in zip(names, fields)]
        signature = Signature("table", tuple(named), (), "the booster's feature names")
    score, methods = _scorer(booster, categories.of(signature.inputs))
    rows = probing.rows(signature, _PROBE_ROWS)
    if rows is not None:
        outputs = probing.outputs(score, methods, rows)
        sample = probing.sample_of(rows[:1])
        signature = Signature(signature.layout, signature.inputs, outputs, signature.source, sample)
    if len(methods) > 1:
        notes += ("predict gives probabilities, as Booster.predict does",)
    return LoadedModel(
        name=name,
        format="lightgbm",
        signature=signature,
        methods=methods,
        fork_safe=threads.count() == 1,
        row_independent=True,
        score=score,
        notes=notes,
        accepts_array=signature.layout == "table" and all(field.dtype == "float64" for field in fields),
        takes_any_float=True,
    )


def made_up_names(count: int) -> list[str]:
    """The names that LightGBM gives the columns of an array."""
    return [f"Column_{place}" for place in range(count)]


def columns(booster: Any, count: int) -> list[Field]:
    """One unnamed Field for each of `count` columns. Columns that were pandas categoricals in training come
    with their categories; other categorical columns are integer codes, numbers like the rest."""
    known = booster.pandas_categorical or []
    text = booster.model_to_string(num_iteration=1)
    match = re.search(r"^\[categorical_feature: ([\d,]*)\]$", text, re.MULTILINE)
    places = [int(place) for place in match.group(1).split(",") if place] if match else []
    fields = [Field("", "float64")] * count
    # Training may have named further, integer columns as categorical; then which is which is not written.
    if len(places) == len(known):
        for place, values in zip(places, known):
            fields[place] = Field("", "category", categories=tuple(values))
    elif known:
        fields = [Field("", "object")] * count
    return fields


def _scorer(booster: Any, categorical: Mapping[str, tuple[Any, ...]]) -> tuple[Any, tuple[str, ...]]:
    count = threads.count()
    objective = re.search(r"^objective=(\w+)", booster.model_to_string(num_iteration=1), re.MULTILINE)
    kind = objective.group(1) if objective else ""

    def score(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        if hasattr(data, "columns"):
            data = categories.as_categories(data, categorical) if categorical else data.to_numpy()
        predicted = booster.predict(data, num_threads=count)
        if method == "predict_proba" and predicted.ndim == 1:
            import numpy as np

            return np.column_stack((1 - predicted, predicted))
        return predicted

    has_probabilities = kind in ("binary", "multiclass", "multiclassova")
    return score, ("predict", "predict_proba") if has_probabilities else ("predict",)
