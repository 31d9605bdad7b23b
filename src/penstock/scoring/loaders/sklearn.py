"""Models that are pickled Python objects: scikit-learn and all that behaves like it.

What is changed for serving, and noted: ``n_jobs`` becomes the worker's thread count. What is changed without
effect on any answer: forests ask their trees directly (`forests`), and an object fitted on a DataFrame of
numbers forgets the column names once they stand in the signature, so that it takes arrays without a warning
(`LoadedModel.accepts_array`). Runs in workers: Python 3.8; scikit-learn, joblib and pandas where the
environment has them.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Callable, Mapping, Sequence

from penstock.errors import ModelError
from penstock.scoring.interface import Signature
from penstock.scoring.loaders import (
    categories,
    estimator_inputs,
    estimators,
    forests,
    lightgbm,
    probing,
    samples,
    threads,
    unpickling,
    xgboost_boosters,
)
from penstock.scoring.loaders.loaded import LoadedModel

METHODS = (
    "predict",
    "predict_proba",
    "decision_function",
    "predict_log_proba",
    "score_samples",
    "transform",
)
_OTHER_METHODS = ("kneighbors", "forecast", "fit_predict", "fit_transform")
_PROBE_ROWS = 4

# Of several outputs these give a list with an array for each, not one array of rows.
_PER_LABEL = ("predict_proba", "predict_log_proba", "decision_function")

Score = Callable[[str, Any, Mapping[str, Any]], Any]


def load(path: str, *, name: str, sample_input: str = "") -> LoadedModel:
    """The model pickled at `path`. Raises ModelError."""
    loaded, notes = unpickling.load(path)
    return adopt(loaded, path=path, name=name, sample_input=sample_input, notes=notes)


def adopt(
    loaded: Any,
    *,
    path: str,
    name: str,
    sample_input: str = "",
    form: str = "",
    notes: tuple[str, ...] = (),
) -> LoadedModel:
    """The Model of an object in memory, which came from `path`; `form` is its `format`, empty to look.
    Raises ModelError if it cannot predict."""
    if estimators.kind(loaded) == "Booster" and estimators.library(loaded) == "xgboost":
        return xgboost_boosters.adopt(loaded, name=name, notes=notes)
    if estimators.kind(loaded) == "Booster" and estimators.library(loaded) == "lightgbm":
        return lightgbm.adopt(loaded, name=name, notes=notes)
    is_class = isinstance(loaded, type)
    methods = tuple(m for m in METHODS if not is_class and callable(getattr(loaded, m, None)))
    # What only transforms (a PCA, an encoder, a pipeline of them) is scored by that.
    if not {"predict", "transform"} & set(methods):
        raise _cannot_predict(loaded, path)
    if "predict" not in methods:
        methods = ("transform", *(method for method in methods if method != "transform"))
    if not estimators.is_fitted(loaded):
        raise ModelError(
            f"{path} holds a {estimators.kind(loaded)} that was never fitted",
            hint="Save it after fit. A search keeps what it fitted in best_estimator_.",
        )
    notes += estimators.use_one_thread(loaded)
    if estimators.library(loaded) == "xgboost" and hasattr(loaded, "get_booster"):
        notes += xgboost_boosters.code_notes(loaded.get_booster())
    signature = estimator_inputs.signature(loaded)
    takes_any_float = signature.layout != "unknown"
    if signature.layout == "unknown" and sample_input:
        signature = samples.signature(sample_input)
    accepts_array = False
    known = estimators.is_known(loaded)
    if known:
        forests.speed_up(loaded)
        accepts_array = signature.layout == "table" and _forget_names(loaded, signature)
    score = _score(loaded, methods, categories.of(signature.inputs), as_array=accepts_array)
    if known:
        signature = _probed(loaded, signature, methods, score)
    return LoadedModel(
        name=name,
        format=form or ("sklearn" if estimators.library(loaded) == "sklearn" else "python"),
        signature=signature,
        methods=methods,
        fork_safe=threads.count() == 1,
        row_independent=known,
        score=score,
        notes=notes,
        accepts_array=accepts_array,
        takes_any_float=takes_any_float,
    )


def _score(
    loaded: Any, methods: Sequence[str], categorical: Mapping[str, tuple[Any, ...]], *, as_array: bool
) -> Score:
    bound: dict[str, Callable[[Any], Any]] = {method: getattr(loaded, method) for method in methods}
    bound.update({name: _by_row(bound[name]) for name in _PER_LABEL if name in bound})

    def plain(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return bound[method](data)

    def array(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return bound[method](data.to_numpy() if hasattr(data, "to_numpy") else data)

    def categorized(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return bound[method](categories.as_categories(data, categorical))

    def text(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        values = data.to_numpy() if hasattr(data, "to_numpy") else data
        return bound[method](values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values)

    def records(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return bound[method](data.to_dict("records") if hasattr(data, "to_dict") else list(data))

    if estimator_inputs.takes_text(loaded):
        return text
    if estimator_inputs.takes_records(loaded):
        return records
    if categorical:
        return categorized
    return array if as_array else plain


def _by_row(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`method`, with the probabilities of several outputs turned from ``[output][row][class]`` into
    ``[row][output][class]``: each row's answer is its own."""

    def turned(data: Any) -> Any:
        result = method(data)
        if type(result) is not list:
            return result
        return [[of_row.tolist() for of_row in row] for row in zip(*result)]

    return turned


def _forget_names(loaded: Any, signature: Signature) -> bool:
    """Make `loaded` take arrays although it was fitted on a DataFrame; whether that worked.

    It must give the same for both, and warn of neither; otherwise it is left as it was.
    """
    if any(field.dtype != "float64" for field in signature.inputs):
        return False
    table = probing.rows(signature, _PROBE_ROWS)
    if table is None:
        return False
    forgotten: list[tuple[Any, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            method = loaded.predict if hasattr(loaded, "predict") else loaded.transform
            expected = method(table)
            for part in estimators.parts(loaded):
                if "feature_names_in_" in vars(part):
                    forgotten.append((part, vars(part).pop("feature_names_in_")))
            warnings.simplefilter("error")
            works = probing.same(expected, method(table.to_numpy()))
        except Exception:  # noqa: BLE001 - any failure means that it needs its names
            works = False
    if not works:
        for part, names in forgotten:
            part.feature_names_in_ = names
    return works


def _probed(loaded: Any, signature: Signature, methods: Sequence[str], score: Score) -> Signature:
    """`signature` with the outputs and the sample that a first call on made-up rows proved."""
    try:
        data = probing.rows(signature, _PROBE_ROWS)
        if data is None:
            return signature
        outputs = probing.outputs(score, methods, data, _classes(loaded))
    except Exception:  # noqa: BLE001 - made-up rows may not suit; real ones are the callers'
        return signature
    return replace(signature, outputs=outputs, sample=probing.sample_of(data[:1]))


def _classes(loaded: Any) -> list[Any] | None:
    try:
        classes = loaded.classes_
        return list(classes.tolist()) if classes.ndim == 1 else None
    except Exception:  # noqa: BLE001 - a regressor's property raises AttributeError, others whatever they like
        return None


def _cannot_predict(loaded: Any, path: str) -> ModelError:
    kind = f"{type(loaded).__module__}.{type(loaded).__qualname__}".replace("builtins.", "")
    message = f"{path} holds an object of type {kind}, which has no predict method"
    hint = "Save the fitted model itself, or give a scoring script that knows what to do with it."
    others = [name for name in _OTHER_METHODS if callable(getattr(loaded, name, None))]
    if others and not isinstance(loaded, type):
        hint = "It has {}: a scoring script can call that (--code DIR --script score.py).".format(
            " and ".join(others)
        )
    if isinstance(loaded, dict):
        inside = [str(key) for key, value in loaded.items() if callable(getattr(value, "predict", None))]
        keys = ", ".join(map(repr, list(loaded)[:8]))
        message = f"{path} holds a dict with the keys {keys}, not a model"
        if inside:
            hint = (
                f"The model is under {inside[0]!r}: save that alone, "
                "or give a scoring script that takes it out."
            )
    elif isinstance(loaded, type):
        message = f"{path} holds the class {loaded.__qualname__} and not a fitted object of it"
    return ModelError(message, hint=hint)
