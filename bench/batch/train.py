"""Trains the models, in a process of its own so that the harness never maps a model library.

    python -m bench.batch.train NAME FOLDER

writes ``model.pkl``. The models learn from a pandas frame with named columns (float32), so that everybody
knows which columns of the input are features and that ``id`` is none.
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from bench.batch import data, shape

ROWS = 100_000
NUMBER = 1_000_000
"""The file from which the training rows would be; no data set reaches so far."""

ESTIMATORS = {
    "hgb": HistGradientBoostingClassifier(
        max_iter=100, max_depth=6, early_stopping=False, random_state=shape.SEED
    ),
    "lr": LogisticRegression(max_iter=1000),
}


def train(name: str, folder: Path) -> None:
    """Train the model `name` and write it to `folder`."""
    rows = data.features(NUMBER, ROWS)
    frame = pd.DataFrame(rows, columns=list(shape.FEATURES))
    model = ESTIMATORS[name].fit(frame, data.labels(rows, NUMBER))
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.part")
    (folder / "model.part").replace(folder / "model.pkl")


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]))
