"""The scoring script that Penstock and azureml-inference-server-http both serve, unchanged."""

import json
import os
from typing import Any

import joblib
import numpy as np

model: Any = None


def init() -> None:
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"))  # noqa: PTH118 - as the examples for Azure ML have it


def run(raw_data: str) -> Any:
    return model.predict(np.array(json.loads(raw_data)["data"])).tolist()
