"""A batch scoring script as Azure ML has it: init() once in every worker, run() for every mini-batch of files."""

import os

import joblib
import pandas as pd

model = None


def init():
    """Load the model; what is opened here lives as long as the worker."""
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"))


def run(mini_batch):
    """`mini_batch` is a list of paths; every row of what is returned becomes a row of the output."""
    results = []
    for path in mini_batch:
        flowers = pd.read_csv(path)
        flowers["species"] = model.predict(flowers[model.feature_names_in_])
        results.append(flowers[["id", "species"]])
    return pd.concat(results)
