"""CSV files, a scikit-learn model found by its ending, one frame for the whole mini-batch."""

import glob
import os
from typing import List

import joblib
import pandas as pd


def init():
    global model
    global feature_columns

    model_dir = os.environ["AZUREML_MODEL_DIR"]
    model_file = glob.glob(os.path.join(model_dir, "**", "*.pkl"), recursive=True)[0]
    artifact = joblib.load(model_file)
    model = artifact["model"]
    feature_columns = artifact["columns"]


def run(mini_batch: List[str]) -> pd.DataFrame:
    results = []
    for path in mini_batch:
        frame = pd.get_dummies(pd.read_csv(path), columns=["thal"])
        frame = frame.reindex(columns=feature_columns, fill_value=0)
        scores = pd.DataFrame({"prediction": model.predict(frame)})
        scores["file"] = os.path.basename(path)
        results.append(scores)
    return pd.concat(results)
