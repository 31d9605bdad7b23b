"""Trains the models, in a process of its own so that the harness never maps a model library.

    python -m bench.realtime.train NAME FEATURES FOLDER

writes ``model.pkl`` and ``sample.json``: rows, and what the model itself answers to each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
from sklearn.datasets import make_regression
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

ESTIMATORS = {
    "ridge": Ridge(),
    "forest": RandomForestRegressor(n_estimators=100, random_state=0),
    "nothing": DummyRegressor(strategy="constant", constant=0.0),
}


def train(name: str, features: int, folder: Path) -> None:
    """Train on 2,000 made-up rows of `features` floats and write both files to `folder`."""
    rows, target = make_regression(n_samples=2000, n_features=features, noise=1.0, random_state=0)
    model = ESTIMATORS[name].fit(rows, target)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.pkl")
    asked = rows[:5]
    sample = {"rows": asked.tolist(), "answers": model.predict(asked).tolist()}
    (folder / "sample.json").write_text(json.dumps(sample))


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
