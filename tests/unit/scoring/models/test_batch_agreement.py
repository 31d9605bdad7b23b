"""A row scored in a batch gets what it gets as a JSON request, whatever the model, the chunks and the nulls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from batch_model_bench import loaded, scorer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from penstock import errors
from penstock.scoring.codecs import answers, json_text
from penstock.scoring.interface import Request
from penstock.scoring.models.scorer import ModelScorer
from support import sample_models

X = sample_models.numbers()
TABLE = pd.DataFrame(X, columns=sample_models.COLUMNS)
LABELS = sample_models.labels(X)
CITIES = pd.DataFrame({"n": X[:24, 0], "city": pd.Categorical(["Oslo", "Rome", "Kyiv"] * 8)})
PICKLED: dict[str, Any] = {
    "pip_requirements": ["scikit-learn==0.1.0"],
    "serialization_format": "cloudpickle",
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

WHOLE = st.floats(-4, 4, allow_nan=False, width=32)
NUMBER = st.one_of(st.none(), WHOLE)
CITY = st.sampled_from(["Oslo", "Rome", "Kyiv"])
NUMBERS = {name: (pa.float64(), WHOLE) for name in sample_models.COLUMNS}
GAPS = {name: (pa.float64(), NUMBER) for name in sample_models.COLUMNS}
NARROW = {name: (pa.float32(), WHOLE) for name in sample_models.COLUMNS}
MIXED = {
    "a": (pa.int64(), st.one_of(st.none(), st.integers(-9, 9))),
    "b": (pa.bool_(), st.booleans()),
    "c": (pa.uint8(), st.integers(0, 255)),
    "d": (pa.float32(), NUMBER),
}
PEOPLE = {
    "age": (pa.int32(), st.one_of(st.none(), st.integers(0, 99))),
    "city": (
        pa.dictionary(pa.int32(), pa.string()),
        st.one_of(st.none(), st.sampled_from(["Oslo", "Paris"])),
    ),
    "code": (pa.int8(), st.sampled_from([1, 2, 3])),
    "note": (pa.large_string(), st.sampled_from(["likes tea", "green", ""])),
    "unused": (pa.float64(), NUMBER),
    "visits": (pa.int64(), st.integers(0, 99)),
}
TRIPS = {"n": (pa.float64(), NUMBER), "city": (pa.string(), st.one_of(st.none(), CITY))}

Columns = dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]]


def _forest(folder: Path) -> Path:
    return sample_models.joblib_file(folder, RandomForestClassifier(4, random_state=0).fit(TABLE, LABELS))


def _hist(folder: Path) -> Path:
    model = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype", min_samples_leaf=1)
    return sample_models.joblib_file(folder, model.fit(CITIES, CITIES.n > 0.5))


def _logistic(folder: Path) -> Path:
    return sample_models.joblib_file(folder, LogisticRegression().fit(TABLE, LABELS))


def _records(folder: Path) -> Path:
    model = make_pipeline(DictVectorizer(), Ridge())
    return sample_models.joblib_file(folder, model.fit(TABLE.to_dict("records"), X[:, 0]))


def _text(folder: Path) -> Path:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    people = sample_models.people()
    return sample_models.joblib_file(folder, model.fit(people.note, people.city.isna()))


def _xgboost(folder: Path) -> Path:
    sample_models.xgboost_booster(objective="binary:logistic").save_model(folder / "model.json")
    return folder / "model.json"


def _xgboost_categories(folder: Path) -> Path:
    data = xgboost.DMatrix(CITIES, label=X[:24, 1], enable_categorical=True)
    xgboost.train({}, data, 3).save_model(folder / "model.ubj")
    return folder / "model.ubj"


def _lightgbm(folder: Path) -> Path:
    sample_models.lightgbm_booster(objective="binary").save_model(folder / "model.txt")
    return folder / "model.txt"


def _lightgbm_categories(folder: Path) -> Path:
    model = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1, min_child_samples=2).fit(CITIES, X[:24, 1])
    model.booster_.save_model(folder / "model.txt")
    return folder / "model.txt"


def _onnx(folder: Path) -> Path:
    return sample_models.onnx_file(folder, LogisticRegression().fit(X, LABELS))


def _onnx_columns(folder: Path) -> Path:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city"]), remainder="passthrough"
    )
    frame = CITIES.assign(city=CITIES.city.astype(object))[["city", "n"]]
    types = [("city", StringTensorType([None, 1])), ("n", FloatTensorType([None, 1]))]
    return sample_models.onnx_file(
        folder, make_pipeline(encoder, Ridge()).fit(frame, X[:24, 1]), initial_types=types
    )


def _mlflow(folder: Path) -> Path:
    signature = infer_signature(TABLE.astype({"a": "int32", "c": "float32"}), LABELS)
    mlflow.sklearn.save_model(_fitted(), folder / "m", signature=signature, **PICKLED)
    return folder / "m"


def _fitted() -> LogisticRegression:
    return LogisticRegression().fit(TABLE, LABELS)


class _Doubled(mlflow.pyfunc.PythonModel):
    # No type hints: mlflow reads them as a schema.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return pd.DataFrame(
            {"twice": model_input["a"] * 2, "what": [f"{kind}" for kind in model_input["note"]]}
        )


def _pyfunc(folder: Path) -> Path:
    signature = infer_signature(pd.DataFrame({"a": np.array([1], "int64"), "note": ["x"]}))
    mlflow.pyfunc.save_model(
        folder / "m",
        python_model=_Doubled(),
        signature=signature,
        pip_requirements=PICKLED["pip_requirements"],
    )
    return folder / "m"


MLFLOW = {
    "a": (pa.int64(), st.integers(-9, 9)),
    "b": (pa.float64(), WHOLE),
    "c": (pa.float64(), WHOLE),
    "d": (pa.float32(), WHOLE),
}
NOTES = {
    "a": (pa.int16(), st.integers(-9, 9)),
    "note": (pa.string(), st.one_of(st.none(), st.sampled_from(["x", "y"]))),
}

CASES: dict[str, tuple[Callable[[Path], Path], Columns]] = {
    "ridge on an array": (lambda folder: sample_models.joblib_file(folder, sample_models.ridge()), NUMBERS),
    "classifier on a table": (_logistic, NUMBERS),
    "classifier, several types": (
        _logistic,
        {**MIXED, "a": (pa.int64(), st.integers(-9, 9)), "d": (pa.float64(), WHOLE)},
    ),
    "forest": (_forest, NARROW),
    "boosted trees with categories": (_hist, TRIPS),
    "pipeline of every kind": (
        lambda folder: sample_models.joblib_file(folder, sample_models.people_pipeline()),
        PEOPLE,
    ),
    "dicts": (_records, NUMBERS),
    "text": (_text, {"text": (pa.string(), st.sampled_from(["likes tea", "green", ""]))}),
    "xgboost": (_xgboost, GAPS),
    "xgboost, several types": (_xgboost, MIXED),
    "xgboost with categories": (_xgboost_categories, TRIPS),
    "lightgbm": (_lightgbm, GAPS),
    "lightgbm with categories": (_lightgbm_categories, TRIPS),
    "onnx": (_onnx, NARROW),
    "onnx, wide": (_onnx, NUMBERS),
    "onnx by columns": (_onnx_columns, {"city": (pa.string(), CITY), "n": (pa.float64(), WHOLE)}),
    "mlflow": (_mlflow, MLFLOW),
    "mlflow's python model": (_pyfunc, NOTES),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Columns]:
    build, columns = CASES[request.param]
    return build(tmp_path_factory.mktemp("model")), columns


def test_batch_rows_are_requests_rows(case: tuple[Path, Columns]) -> None:
    path, columns = case
    model = loaded(path)
    schema = pa.schema([(name, kind) for name, (kind, _) in columns.items()])
    row = st.fixed_dictionaries({name: values for name, (_, values) in columns.items()})

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(rows=st.lists(row, min_size=1, max_size=12), cut=st.integers(0, 12), data=st.data())
    def agree(rows: list[dict[str, Any]], cut: int, data: st.DataObject) -> None:
        method = data.draw(
            st.sampled_from([each for each in ("predict", "predict_proba") if each in model.methods])
        )
        # Models without names take a request's values in the order of its keys.
        rows = [{name: row[name] for name in columns} for row in rows]
        asked = replace(model, methods=(method, *(each for each in model.methods if each != method)))
        reply = ModelScorer(asked).score([Request(json.dumps(rows).encode())])[0]
        table = pa.Table.from_pylist(rows, schema)
        chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
        batch = scorer(asked, schema, method=method)
        if reply.status == 400:
            with pytest.raises((errors.InputError, errors.DataError)):
                batch.score(chunked.select(batch.columns))
            return
        assert reply.status == 200, reply.body
        scored = batch.score(chunked.select(batch.columns))
        assert scored.successes == len(rows)
        expected = json_text.loads(reply.body)
        if scored.content.num_columns == 1:
            # ONNX gives a matrix of one column, which is a column.
            expected = [row[0] if type(row) is list else row for row in expected]
        assert _as_answer(scored.content) == expected

    agree()


def _as_answer(table: pa.Table) -> Any:
    """What the route would answer for these predictions."""
    columns = [json_text.loads(json_text.dumps(answers.jsonable(each.to_pylist()))) for each in table.columns]
    if table.column_names == ["prediction"]:
        return columns[0]
    rows = zip(*columns, strict=True)
    if table.column_names[0].startswith("probability_"):
        return [list(row) for row in rows]
    return [dict(zip(table.column_names, row, strict=True)) for row in rows]
