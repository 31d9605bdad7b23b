"""What is inside a fitted scikit-learn-like object: its parts, its first and last estimator, its threads.

Nothing is imported: everything is read from attributes, so the same code serves scikit-learn 0.2x and 1.x,
and libraries that imitate it. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Iterator

from penstock.scoring.loaders import threads

# Libraries whose estimators score each row for itself.
_KNOWN = {"sklearn", "xgboost", "lightgbm", "catboost", "imblearn"}
# Transformers that fitting leaves as they were, in some version; a union's parts are what is fitted.
_LEARN_NOTHING = {
    "AdditiveChi2Sampler",
    "Binarizer",
    "FeatureHasher",
    "FeatureUnion",
    "FunctionTransformer",
    "HashingVectorizer",
    "Normalizer",
    "Pipeline",
}
# Where a fitted meta-estimator keeps what it was fitted around, most telling first.
_INNER = ("best_estimator_", "regressor_", "estimator_", "estimators_", "base_estimator_", "estimator")


def parts(loaded: Any) -> Iterator[Any]:
    """`loaded` and every estimator inside it (steps, folds, trees), each once, outermost first."""
    seen: set[int] = set()
    waiting: deque[Any] = deque([loaded])
    while waiting:
        value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (list, tuple)):
            waiting.extend(item for item in value if _may_hold(item))
        elif isinstance(value, dict):
            waiting.extend(item for item in value.values() if _may_hold(item))
        elif type(value).__name__ == "ndarray":
            if value.dtype == object:
                waiting.extend(value.ravel().tolist())
        elif _is_estimator(value):
            yield value
            waiting.extend(item for item in vars(value).values() if _may_hold(item))


def _may_hold(value: Any) -> bool:
    return isinstance(value, (list, tuple, dict)) or type(value).__name__ == "ndarray" or _is_estimator(value)


def _is_estimator(value: Any) -> bool:
    return (
        not isinstance(value, type)
        and hasattr(value, "__dict__")
        and any(hasattr(type(value), method) for method in ("fit", "predict", "predict_proba", "transform"))
    )


def library(value: Any) -> str:
    """The top-level module of the class of `value`: ``sklearn``."""
    return type(value).__module__.split(".")[0]


def kind(value: Any) -> str:
    """The name of the class of `value`: ``Pipeline``."""
    return type(value).__name__


def is_known(loaded: Any) -> bool:
    """Whether all of it is the code of libraries that we know.

    Then each row's answer is its own, and calling it once at load does no harm. A FunctionTransformer holds
    any function at all: only NumPy's element-wise ones, and scikit-learn's checks, are known.
    """
    for part in parts(loaded):
        if library(part) not in _KNOWN:
            return False
        if kind(part) == "FunctionTransformer" and not (
            _is_elementwise(vars(part).get("func")) and _is_elementwise(vars(part).get("inverse_func"))
        ):
            return False
    return True


def _is_elementwise(function: Any) -> bool:
    function = getattr(function, "func", function)  # a functools.partial
    return (
        function is None
        or type(function).__name__ == "ufunc"
        or getattr(function, "__module__", "") == "sklearn.utils.validation"
    )


def is_fitted(loaded: Any) -> bool:
    """False where the last estimator of `loaded` is scikit-learn's own, learns something, and has nothing
    that fitting leaves behind: attributes with an underscore at the end."""
    while isinstance(getattr(loaded, "steps", None), list) and steps(loaded):
        loaded = steps(loaded)[-1]
    if library(loaded) != "sklearn" or kind(loaded) in _LEARN_NOTHING:
        return True
    if hasattr(loaded, "__sklearn_is_fitted__"):
        return bool(loaded.__sklearn_is_fitted__())
    return any(name.endswith("_") and not name.startswith("__") for name in vars(loaded))


def steps(pipeline: Any) -> list[Any]:
    """The fitted steps of a Pipeline in order, without those that are switched off."""
    return [step for _, step in pipeline.steps if step is not None and step != "passthrough"]


def first(loaded: Any) -> Any:
    """The innermost estimator or transformer that sees the input as it comes."""
    for _ in range(32):  # nesting deeper than this is a cycle
        if hasattr(loaded, "steps") and isinstance(loaded.steps, list) and steps(loaded):
            loaded = steps(loaded)[0]
            continue
        within = inner(loaded)
        if within is None:
            return loaded
        loaded = within
    return loaded


def inner(loaded: Any) -> Any:
    """The estimator that `loaded` was fitted around (a search's best, a calibrated or voting classifier's
    first, a forest's first tree), or None."""
    attributes = vars(loaded) if hasattr(loaded, "__dict__") else {}
    if kind(loaded) == "FeatureUnion" and loaded.transformer_list:
        return loaded.transformer_list[0][1]
    calibrated = attributes.get("calibrated_classifiers_")
    if calibrated:
        return getattr(calibrated[0], "estimator", None) or getattr(calibrated[0], "base_estimator", None)
    for name in _INNER:
        value: Any = attributes.get(name)
        if isinstance(value, (list, tuple)):
            value = value[0] if value else None
        elif type(value).__name__ == "ndarray":
            value = value.ravel()[0] if value.dtype == object and value.size else None
        if value is not None and _is_estimator(value):
            return value
    return None


def use_one_thread(loaded: Any) -> tuple[str, ...]:
    """Set ``n_jobs`` of every part to the worker's thread count; notes what was changed."""
    wanted = threads.count()
    changed: list[str] = []
    for part in parts(loaded):
        if library(part) not in ("xgboost", "lightgbm") and vars(part).get("n_jobs") not in (None, wanted):
            if kind(part) not in changed:
                changed.append(kind(part))
            part.n_jobs = wanted
        elif library(part) in ("xgboost", "lightgbm") and "n_jobs" in vars(part):
            # Here None means every core; an XGBoost booster keeps a count of its own.
            part.n_jobs = wanted
            if hasattr(part, "get_booster"):
                part.get_booster().set_param({"nthread": wanted})
    if not changed:
        return ()
    return (f"n_jobs of {', '.join(changed)} is set to {wanted} for serving (OMP_NUM_THREADS changes it)",)
