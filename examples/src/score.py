"""A scoring script as Azure ML has it: init() once in every worker, run() for every request."""

import json
import logging
import os

import joblib
import pandas as pd

model = None


def init():
    """Load the model; what is opened here lives as long as the worker."""
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"))
    logging.info("the model tells %s", ", ".join(model.classes_))


def run(raw_data):
    """`raw_data` is the body as text; what is returned goes back as JSON."""
    flowers = pd.DataFrame(json.loads(raw_data)["data"], columns=model.feature_names_in_)
    chances = model.predict_proba(flowers)
    return [
        {"species": model.classes_[row.argmax()], "chance": round(float(row.max()), 3)} for row in chances
    ]
