"""An MLflow model; each row of the answer is an array of mixed values."""

import os

import mlflow
import pandas as pd


def init():
    global model
    model = mlflow.pyfunc.load_model(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model"))


def run(mini_batch):
    rows = []
    for file_path in mini_batch:
        data = pd.read_csv(file_path)
        df = pd.DataFrame(model.predict(data), columns=["predictions"])
        df["file"] = os.path.basename(file_path)
        rows.extend(df.values)
    return rows
