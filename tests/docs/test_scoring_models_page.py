"""Every JSON example of docs/scoring-models.md is scored by the pipeline that the page speaks of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from penstock.scoring.interface import Request
from penstock.scoring.loaders import sklearn as sklearn_loader
from penstock.scoring.models.scorer import ModelScorer

PAGE = Path(__file__).parents[2] / "docs" / "scoring-models.md"
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def scorer() -> ModelScorer:
    frame = pd.DataFrame({"age": [30.0, 40, 50, 60], "city": ["Oslo", "Bern", "Oslo", "Rome"]})
    columns = make_column_transformer((SimpleImputer(), ["age"]), (OneHotEncoder(), ["city"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1, 0, 1])
    return ModelScorer(sklearn_loader.adopt(model, path="page.pkl", name="page"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_is_scored(scorer: ModelScorer, example: str) -> None:
    reply = scorer.score([Request(example.encode())])[0]
    assert reply.status == 200, reply.body
    assert len(json.loads(reply.body)) in (1, 2)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 10
