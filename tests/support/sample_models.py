"""Small real models of every format, made the way their authors make them. Each builder writes into a folder
and returns the path; data and library objects are there to compare answers with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

COLUMNS = ["a", "b", "c", "d"]


def numbers(rows: int = 60) -> np.ndarray:
    """``(rows, 4) float64``."""
    return np.random.default_rng(0).random((rows, len(COLUMNS)))


def target(data: np.ndarray) -> np.ndarray:
    """One number a row."""
    return data @ np.array([3.0, -2.0, 1.0, 0.5])


def labels(data: np.ndarray) -> np.ndarray:
    """``hi`` or ``lo``."""
    return np.where(data[:, 0] > 0.5, "hi", "lo")


def people() -> pd.DataFrame:
    """A number with a gap, a category with a gap, a code, a text, a column nobody uses, one passed through."""
    return pd.DataFrame(
        {
            "age": [31.0, 42.0, None, 28.0] * 6,
            "city": ["Oslo", "Rome", None, "Kyiv"] * 6,
            "code": [1, 2, 3, 3] * 6,
            "note": ["likes tea", "likes coffee", "green tea", "no drinks"] * 6,
            "unused": range(24),
            "visits": range(24),
        }
    )


def people_pipeline() -> Pipeline:
    """A fitted classifier over `people`, with text, categories, a gap filled and a column passed through."""
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
            (
                "names",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
                ),
                ["city"],
            ),
            ("codes", OrdinalEncoder(), ["code"]),
            ("words", TfidfVectorizer(), "note"),
            ("rest", "passthrough", ["visits"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(people(), [0, 1] * 12)


def joblib_file(folder: Path, model: Any, **arguments: Any) -> Path:
    """`model` as ``joblib.dump`` writes it."""
    path = folder / "model.joblib"
    joblib.dump(model, path, **arguments)
    return path


def ridge() -> Ridge:
    """A regression fitted on an array."""
    return Ridge().fit(numbers(), target(numbers()))


def xgboost_booster(**params: Any) -> Any:
    """A Booster of three rounds on a table."""
    import xgboost

    table = pd.DataFrame(numbers(), columns=COLUMNS)
    return xgboost.train({"nthread": 1, **params}, xgboost.DMatrix(table, label=numbers()[:, 0] > 0.5), 3)


def lightgbm_booster(**params: Any) -> Any:
    """A Booster of three rounds on an array."""
    import lightgbm

    data = lightgbm.Dataset(numbers(), label=(numbers()[:, 0] > 0.5).astype(float))
    return lightgbm.train({"verbose": -1, "num_threads": 1, **params}, data, 3)


def onnx_file(folder: Path, model: Any, **arguments: Any) -> Path:
    """`model` through skl2onnx, float32 in; at an opset that last year's runtimes read."""
    from skl2onnx import to_onnx

    arguments.setdefault("X", numbers(1).astype(np.float32) if "initial_types" not in arguments else None)
    path = folder / "model.onnx"
    path.write_bytes(to_onnx(model, target_opset=17, **arguments).SerializeToString())
    return path


def network() -> Any:
    """Four numbers to two, with a dropout that must be off."""
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout()).eval()
