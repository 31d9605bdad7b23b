"""XGBoost files: JSON, UBJSON, and the binary form of old versions where the library still reads it.

A file that XGBClassifier or XGBRegressor saved says so, and is scored through that class, as its author
would (labels, best iteration). Any other is a Booster.
Runs in workers: Python 3.8; xgboost, and pandas for categories.
"""

from __future__ import annotations

import json
import re
from typing import Any

from penstock.errors import ModelError
from penstock.scoring.loaders import packages, sklearn, xgboost_boosters
from penstock.scoring.loaders.loaded import LoadedModel

_WRAPPERS = {"classifier": "XGBClassifier", "regressor": "XGBRegressor", "ranker": "XGBRanker"}


def load(path: str, *, name: str, sample_input: str = "", wrapper: str = "") -> LoadedModel:
    """The booster at `path`. `wrapper` is the class of ``xgboost`` to load it with (``XGBClassifier``,
    ``Booster``); empty: what the file says. Raises ModelError."""
    xgboost = packages.require("xgboost", path, "an XGBoost model")
    booster = xgboost.Booster()
    try:
        booster.load_model(path)
    except Exception as error:  # XGBoostError, and what older versions raise instead
        raise _unreadable(path, error, xgboost.__version__) from error
    notes = _version_notes(path, xgboost.__version__)
    wrapper = wrapper or _wrapper_of(booster)
    if wrapper not in ("", "Booster") and packages.version("scikit-learn"):
        estimator = getattr(xgboost, wrapper)()
        estimator.load_model(path)
        return sklearn.adopt(estimator, path=path, name=name, form="xgboost", notes=notes)
    return xgboost_boosters.adopt(booster, name=name, notes=notes)


def _wrapper_of(booster: Any) -> str:
    """The class that saved the file, or empty for a Booster. Before 1.5 it is written under ``type``."""
    written = _attribute(booster, "type")
    return (
        written
        if written in _WRAPPERS.values()
        else _WRAPPERS.get(_attribute(booster, "_estimator_type"), "")
    )


def _attribute(booster: Any, name: str) -> str:
    try:
        return str(json.loads(booster.attr("scikit_learn") or "{}").get(name, ""))
    except ValueError:
        return ""


def _version_notes(path: str, installed: str) -> tuple[str, ...]:
    with open(path, "rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 200))
        found = re.search(rb'"version":\s*\[(\d+),\s*(\d+),\s*(\d+)\]', file.read())
    if not found:
        return ()
    saved = ".".join(part.decode("ascii") for part in found.groups())
    if packages.parsed(saved)[:2] == packages.parsed(installed)[:2]:
        return ()
    return (f"the model was saved with XGBoost {saved} and is served with {installed}",)


def _unreadable(path: str, error: Exception, installed: str) -> ModelError:
    lines = [line for line in str(error).splitlines() if line.strip() and "[bt]" not in line]
    reason = re.sub(r"^\[[\d:]+\] \S+: ", "", lines[0]) if lines else type(error).__name__
    hint = (
        "If a newer XGBoost saved it, list that version in the model's environment; otherwise save it again."
    )
    with open(path, "rb") as file:
        is_json = file.read(1) == b"{"
    if not is_json:
        hint = (
            "It is in XGBoost's old binary form, which 3.1 dropped: load it with an older one and save it "
            "as .json or .ubj, or list that older version in the model's environment."
        )
    return ModelError(f"XGBoost {installed} cannot read {path}: {reason}", detail=str(error), hint=hint)
