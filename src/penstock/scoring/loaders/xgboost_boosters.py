"""XGBoost boosters in memory. `predict` is what ``Booster.predict`` gives: for ``binary:logistic`` the
probability of the second class.

Runs in workers: Python 3.8; xgboost, and pandas for categories.
"""

from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import categories, probing, threads
from penstock.scoring.loaders.loaded import LoadedModel

_PROBE_ROWS = 8


def adopt(booster: Any, *, name: str, notes: tuple[str, ...] = ()) -> LoadedModel:
    """The Model of a Booster in memory."""
    booster.set_param({"nthread": threads.count()})
    fields = columns(booster, _count(booster))
    names = names_of(booster)
    signature = Signature("array", (Field("input", "float64", (-1, len(fields))),), (), "the booster")
    if names:
        signature = Signature("table", tuple(_named(names, fields)), (), "the booster's feature_names")
    objective, classes = _objective(booster)
    scorer = _Scorer(booster, categories.of(signature.inputs), classes)
    rows = probing.rows(signature, _PROBE_ROWS)
    if rows is not None:
        scorer.prove_inplace(rows)
        outputs = probing.outputs(scorer, scorer.methods, rows, None)
        sample = probing.sample_of(rows[:1])
        signature = Signature(signature.layout, signature.inputs, outputs, signature.source, sample)
    notes += code_notes(booster)
    if classes:
        gives = "probabilities" if objective != "multi:softmax" else "classes"
        notes += (f"predict gives {gives}, as Booster.predict does with {objective}",)
    return LoadedModel(
        name=name,
        format="xgboost",
        signature=signature,
        methods=scorer.methods,
        fork_safe=threads.count() == 1,
        row_independent=True,
        score=scorer,
        notes=notes,
        accepts_array=signature.layout == "table" and all(field.dtype == "float64" for field in fields),
        takes_any_float=True,
    )


def names_of(booster: Any) -> list[str]:
    """The columns' names from training; none where it saw an array, for which old versions make up ``f0``,
    ``f1`` and so on."""
    names = list(getattr(booster, "feature_names", None) or ())
    return [] if names == [f"f{place}" for place in range(len(names))] else names


def _types(booster: Any) -> Sequence[str]:
    # Before 1.4 a booster from a file has no such attribute.
    return getattr(booster, "feature_types", None) or ()


def _count(booster: Any) -> int:
    """The number of inputs; before 1.5 only the configuration tells it."""
    if hasattr(booster, "num_features"):
        return int(booster.num_features())
    return int(json.loads(booster.save_config())["learner"]["learner_model_param"]["num_feature"])


def columns(booster: Any, count: int) -> list[Field]:
    """One unnamed Field for each of `count` columns, by the booster's feature types.

    XGBoost keeps categories from 3.1 on, and maps them itself. Before, a categorical column is the code that
    pandas gave the category in training, which the file does not hold: there it is a number, NaN if missing.
    """
    types = _types(booster)
    if "c" not in types:
        return [Field("", "float64")] * count
    known = _known_categories(booster)
    if known is None:
        return [Field("", "float64")] * count
    return [
        Field("", "category", categories=known.get(place)) if kind == "c" else Field("", "float64")
        for place, kind in enumerate(types)
    ]


def code_notes(booster: Any) -> tuple[str, ...]:
    """A note where categorical columns must be sent as codes."""
    types = _types(booster)
    coded = [place for place, kind in enumerate(types) if kind == "c"]
    if not coded or _known_categories(booster) is not None:
        return ()
    names = names_of(booster) or [f"f{place}" for place in range(len(types))]
    listed = ", ".join(repr(names[place]) for place in coded[:8])
    note = (
        f"the model keeps no categories (XGBoost does from 3.1 on): {listed} must be sent as the codes that "
        "pandas gave in training (Series.cat.codes), null where missing"
    )
    return (note,)


def _known_categories(booster: Any) -> dict[int, tuple[Any, ...] | None] | None:
    """Categories by column; None where this version does not keep them, or the file comes from one."""
    if not hasattr(booster, "get_categories"):
        return None
    try:
        listed = booster.get_categories(export_to_arrow=True).to_arrow()
    except ImportError:
        return {}  # without pyarrow they are kept all the same, and only cannot be shown
    except Exception:  # noqa: BLE001 - an empty container: saved before 3.1
        return None
    found = {place: tuple(array.to_pylist()) for place, (_, array) in enumerate(listed) if array is not None}
    return dict(found) or None


def _named(names: Sequence[str], fields: Sequence[Field]) -> list[Field]:
    return [Field(name, field.dtype, categories=field.categories) for name, field in zip(names, fields)]


def _objective(booster: Any) -> tuple[str, int]:
    """The objective's name and the number of classes; 0 where it is no classifier."""
    try:
        learner = json.loads(booster.save_config())["learner"]
        objective = str(learner["objective"]["name"])
        count = int(learner["learner_model_param"].get("num_class", 0))
    except Exception:  # noqa: BLE001 - old versions keep it elsewhere; then it is just a Booster
        return "", 0
    return objective, 2 if objective == "binary:logistic" else count if objective.startswith("multi:") else 0


class _Scorer:
    """Calls a Booster. `inplace_predict` saves building a DMatrix, half of the time for one row; it is used
    only where it proved to give the same."""

    def __init__(self, booster: Any, categorical: Mapping[str, tuple[Any, ...]], classes: int) -> None:
        import xgboost

        self._booster = booster
        self._matrix = xgboost.DMatrix
        self._categorical = categorical
        self._threads = threads.count()
        self._inplace = False
        self._binary = classes == 2 and _objective(booster)[0] == "binary:logistic"
        has_probabilities = self._binary or _objective(booster)[0] == "multi:softprob"
        self.methods: tuple[str, ...] = ("predict", "predict_proba") if has_probabilities else ("predict",)

    def __call__(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        predicted = self._predict(data)
        if method == "predict_proba" and self._binary:
            import numpy as np

            return np.column_stack((1 - predicted, predicted))
        return predicted

    def _predict(self, data: Any) -> Any:
        if hasattr(data, "columns"):
            data = categories.as_categories(data, self._categorical) if self._categorical else data.to_numpy()
        if self._inplace:
            return self._booster.inplace_predict(data, validate_features=False)
        given: dict[str, Any] = {"nthread": self._threads}
        if self._categorical:
            given["enable_categorical"] = True
        else:
            given["feature_names"] = getattr(self._booster, "feature_names", None)
            if "c" in _types(self._booster):
                given.update(feature_types=self._booster.feature_types, enable_categorical=True)
        return self._booster.predict(self._matrix(data, **given))

    def prove_inplace(self, rows: Any) -> None:
        """Use `inplace_predict` from now on if it gives the same for `rows`."""
        expected = self._predict(rows)
        self._inplace = True
        try:
            self._inplace = probing.same(expected, self._predict(rows))
        except Exception:  # noqa: BLE001 - gblinear cannot, and old versions have no such method
            self._inplace = False
