"""What a fitted scikit-learn-like object tells about itself: its parts, its inputs, its classes.

Nothing is imported: everything is read from attributes, so the same code serves scikit-learn 0.2x and 1.x,
and libraries that imitate it. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Set, Tuple

from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import threads

# Libraries whose estimators score each row for itself.
_KNOWN = {"sklearn", "xgboost", "lightgbm", "catboost", "imblearn"}


def parts(loaded: Any) -> Iterator[Any]:
    """`loaded` and every estimator inside it (steps, folds, trees), each once, outermost first."""
    seen: Set[int] = set()
    waiting: List[Any] = [loaded]
    while waiting:
        value = waiting.pop(0)
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
        and any(hasattr(value, method) for method in ("fit", "predict", "transform"))
    )


def library(value: Any) -> str:
    """The top-level module of the class of `value`: ``sklearn``."""
    return type(value).__module__.split(".")[0]


def use_one_thread(loaded: Any) -> Tuple[str, ...]:
    """Set ``n_jobs`` of every part to the worker's thread count; notes what was changed."""
    wanted = threads.count()
    changed: List[str] = []
    for part in parts(loaded):
        if vars(part).get("n_jobs") not in (None, wanted):
            if type(part).__name__ not in changed:
                changed.append(type(part).__name__)
            part.n_jobs = wanted
    if not changed:
        return ()
    return (f"n_jobs of {', '.join(changed)} is set to {wanted} for serving (OMP_NUM_THREADS changes it)",)


def is_row_independent(loaded: Any) -> bool:
    """Whether each row's answer is its own: true of known libraries, unknown of anybody's own code.

    A FunctionTransformer holds any function at all; only NumPy's element-wise ones are known.
    """
    for part in parts(loaded):
        if library(part) not in _KNOWN:
            return False
        if type(part).__name__ == "FunctionTransformer":
            if not all(_is_elementwise(vars(part).get(name)) for name in ("func", "inverse_func")):
                return False
    return True


def _is_elementwise(function: Any) -> bool:
    return function is None or type(function).__name__ == "ufunc"


def signature(loaded: Any) -> Signature:
    """The inputs and outputs as far as `loaded` knows them."""
    names = getattr(loaded, "feature_names_in_", None)
    if names is not None:
        return Signature("table", tuple(Field(str(name)) for name in names), (), "feature_names_in_")
    count = getattr(loaded, "n_features_in_", None)
    if count is not None:
        return Signature("array", (Field("input", "float64", (-1, int(count))),), (), "n_features_in_")
    return Signature()
