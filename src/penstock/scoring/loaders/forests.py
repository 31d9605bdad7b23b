"""Forests scored by calling their trees directly.

scikit-learn sends each tree of a forest through joblib, which costs 30 microseconds a tree where the tree
itself takes 3. Here the same trees are asked in the same order and summed in the same way, after the
forest's own validation, so that the answers are equal bit for bit and the errors are the library's. It is
used only where both agree on sample rows at load (other versions may do otherwise), and only for plain
forests with one output; anything else keeps scikit-learn's own way.
Runs in workers: Python 3.8, NumPy.
"""

from __future__ import annotations

import warnings
from typing import Any, Callable, Iterator

from penstock.scoring.loaders import estimators, probing

_CLASSIFIERS = {"RandomForestClassifier", "ExtraTreesClassifier"}
_REGRESSORS = {"RandomForestRegressor", "ExtraTreesRegressor"}
_PROBE_ROWS = 16

Way = Callable[[Any], Any]


def speed_up(loaded: Any) -> int:
    """Give every forest in `loaded` the direct way where it is proven equal; returns how many took it."""
    return sum(_speed_up(part) for part in list(estimators.parts(loaded)))


def _speed_up(forest: Any) -> bool:
    kind = estimators.kind(forest)
    if estimators.library(forest) != "sklearn" or kind not in _CLASSIFIERS | _REGRESSORS:
        return False
    if vars(forest).get("n_outputs_") != 1 or forest.n_jobs not in (None, 1):
        return False
    name = "predict_proba" if kind in _CLASSIFIERS else "predict"
    with warnings.catch_warnings():
        # A forest fitted on a DataFrame warns of arrays.
        warnings.simplefilter("ignore")
        for direct in _ways(forest, kind in _CLASSIFIERS):
            if _is_equal(forest, name, direct):
                # An attribute of this one object: a Pipeline or a search around it finds it, and so does
                # the classifier's own predict, which asks predict_proba.
                setattr(forest, name, direct)
                return True
    return False


def _is_equal(forest: Any, name: str, direct: Way) -> bool:
    try:
        rows = _probe_rows(forest)
        return probing.same(getattr(forest, name)(rows), direct(rows))
    except Exception:  # noqa: BLE001 - a version whose forests are built otherwise keeps its own way
        return False


def _ways(forest: Any, is_classifier: bool) -> Iterator[Way]:
    """The ways in which versions of scikit-learn sum up trees, newest first."""
    if not is_classifier:
        yield _regression(forest)
        return
    yield _classification(forest, are_counts=False)
    # Before 1.3 the leaves of a classifier held counts.
    yield _classification(forest, are_counts=True)


def _regression(forest: Any) -> Way:
    import numpy as np

    trees = [tree.tree_.predict for tree in forest.estimators_]
    validated = forest._validate_X_predict

    def predict(X: Any) -> Any:  # noqa: N803 - scikit-learn's name, which callers may use
        checked = validated(X)
        total = np.zeros(checked.shape[0], dtype=np.float64)
        for tree in trees:
            total += tree(checked)[:, 0]
        total /= len(trees)
        return total

    return predict


def _classification(forest: Any, *, are_counts: bool) -> Way:
    import numpy as np

    trees = [tree.tree_.predict for tree in forest.estimators_]
    width = int(forest.n_classes_)
    validated = forest._validate_X_predict

    def predict_proba(X: Any) -> Any:  # noqa: N803 - scikit-learn's name, which callers may use
        checked = validated(X)
        total = np.zeros((checked.shape[0], width), dtype=np.float64)
        for tree in trees:
            leaves = tree(checked)[:, :width]
            if are_counts:
                sums = leaves.sum(axis=1)[:, np.newaxis]
                sums[sums == 0.0] = 1.0
                leaves /= sums
            total += leaves
        total /= len(trees)
        return total

    return predict_proba


def _probe_rows(forest: Any) -> Any:
    """Rows around the thresholds of the first tree, so that they end in different leaves."""
    import numpy as np

    random = np.random.RandomState(0)
    columns = int(forest.n_features_in_ if hasattr(forest, "n_features_in_") else forest.n_features_)
    tree = forest.estimators_[0].tree_
    rows = random.normal(size=(_PROBE_ROWS, columns))
    for row in rows:
        for node in random.permutation(tree.node_count)[: 4 * columns]:
            if tree.feature[node] >= 0:
                row[tree.feature[node]] = tree.threshold[node] + random.normal()
    return rows
