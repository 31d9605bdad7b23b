"""What one writes by hand in an afternoon: FastAPI + uvicorn, one `predict` a request.

`predict` runs on the event loop: with one core a thread pool only adds its own cost.
"""

from __future__ import annotations

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["BENCH_MODEL"])


class Payload(BaseModel):
    """Rows to score."""

    data: list[list[float]]


@app.post("/score")
async def score(payload: Payload) -> list[float]:
    """One number a row."""
    answer: list[float] = model.predict(np.array(payload.data)).tolist()
    return answer
