"""Models that are pickled Python objects: scikit-learn and all that behaves like it.

Runs in workers: Python 3.8; scikit-learn, joblib and pandas where the environment has them.
"""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from penstock.errors import ModelError
from penstock.scoring.loaders import estimators, threads, unpickling
from penstock.scoring.loaders.loaded import LoadedModel

METHODS = ("predict", "predict_proba", "decision_function", "predict_log_proba", "score_samples", "transform")


def load(path: str, *, name: str, sample_input: str = "") -> LoadedModel:
    """The model pickled at `path`. Raises ModelError."""
    loaded, notes = unpickling.load(path)
    return adopt(loaded, path=path, name=name, notes=notes)


def adopt(loaded: Any, *, path: str, name: str, notes: Tuple[str, ...] = ()) -> LoadedModel:
    """The Model of an object in memory, which came from `path`. Raises ModelError if it cannot predict."""
    methods = tuple(method for method in METHODS if callable(getattr(loaded, method, None)))
    if "predict" not in methods:
        raise _cannot_predict(loaded, path)
    notes += estimators.use_one_thread(loaded)
    signature = estimators.signature(loaded)

    def score(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return getattr(loaded, method)(data)

    is_sklearn = type(loaded).__module__.split(".")[0] == "sklearn"
    return LoadedModel(
        name=name,
        format="sklearn" if is_sklearn else "python",
        signature=signature,
        methods=methods,
        fork_safe=threads.count() == 1,
        row_independent=estimators.is_row_independent(loaded),
        score=score,
        notes=notes,
    )


def _cannot_predict(loaded: Any, path: str) -> ModelError:
    kind = f"{type(loaded).__module__}.{type(loaded).__qualname__}".replace("builtins.", "")
    message = f"{path} holds an object of type {kind}, which has no predict method"
    hint = "Save the fitted model itself, or give a scoring script that knows what to do with it."
    if isinstance(loaded, dict):
        inside = [str(key) for key, value in loaded.items() if callable(getattr(value, "predict", None))]
        keys = ", ".join(map(repr, list(loaded)[:8]))
        message = f"{path} holds a dict with the keys {keys}, not a model"
        if inside:
            hint = f"The model is under {inside[0]!r}: save that alone, or give a scoring script that takes it out."
    elif isinstance(loaded, type):
        message = f"{path} holds the class {loaded.__qualname__} and not a fitted object of it"
    return ModelError(message, hint=hint)
