"""A data frame in, the same with a prediction out."""

import os

import joblib


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "heart.pkl"))["model"]


def run(mini_batch):
    print(f"scoring {mini_batch.shape[0]} rows")
    features = mini_batch[["age", "chol", "thal_normal"]]
    mini_batch["prediction"] = model.predict(features)
    mini_batch["probability"] = model.predict_proba(features)[:, 1]
    return mini_batch[["age", "prediction", "probability"]]
