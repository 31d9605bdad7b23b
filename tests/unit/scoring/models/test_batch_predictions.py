"""What of a model's answer becomes which column of which type."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from batch_model_bench import opened, scorer, scripted
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

from penstock import errors
from penstock.bundle.batch import Output
from penstock.scoring.interface import Field, Signature
from support import sample_models

X = sample_models.numbers()
FOUR = pa.table(dict(zip(sample_models.COLUMNS, X.T.copy(), strict=True)))


def answered(result: Any, *, rows: int = 2, outputs: tuple[Field, ...] = (), **output: Any) -> pa.Table:
    """The table of a model's `result` for some `rows`."""
    table = pa.table({"x": range(rows)})
    model = scripted(lambda data: result, Signature(outputs=outputs))
    scored = scorer(model, table.schema, Output("/nowhere", **output)).score(table)
    assert scored.successes == rows
    return scored.content


@pytest.mark.parametrize(
    ("result", "kind", "values"),
    [
        (np.array([1, 2]), pa.int64(), [1, 2]),
        (np.array([1, 2], np.uint8), pa.uint8(), [1, 2]),
        (np.array([[1.5], [2.5]], np.float32), pa.float32(), [1.5, 2.5]),
        (np.array([True, False]), pa.bool_(), [True, False]),
        (np.array(["hi", "lo"]), pa.string(), ["hi", "lo"]),
        (np.array(["hi", np.nan], object), pa.string(), ["hi", None]),
        (
            np.array(["2024-01-31", "NaT"], "datetime64[s]"),
            pa.timestamp("s"),
            [dt.datetime(2024, 1, 31), None],
        ),
        (["hi", None], pa.string(), ["hi", None]),
        ([[1, 2], [3]], pa.list_(pa.int64()), [[1, 2], [3]]),
        ([np.array([1.0]), np.array([2.0])], pa.list_(pa.float64()), [[1.0], [2.0]]),
        (pd.Series([1.5, 2.5], name="score"), pa.float64(), [1.5, 2.5]),
        (pd.Series([1, None], dtype="Int64"), pa.int64(), [1, None]),
        (pd.Series(["a", None]), pa.string(), ["a", None]),
        (pd.Series(["b", None], dtype="category"), pa.string(), ["b", None]),
        (pd.Series([7, 8], dtype="category"), pa.int64(), [7, 8]),
    ],
)
def test_one_value_a_row_is_the_prediction(result: Any, kind: pa.DataType, values: list[Any]) -> None:
    table = answered(result)
    assert table.column_names == ["prediction"]
    assert table.column(0).type == kind
    assert table.column(0).to_pylist() == values
    assert answered(result, prediction_name="churn").column_names == ["churn"]


@pytest.mark.parametrize(
    "result",
    [
        np.array([1.0, np.nan]),
        [1.0, math.nan],
        np.array([1.0, np.nan], object),
        pd.Series([1.0, np.nan]),
        pd.DataFrame({"prediction": [1.0, np.nan]}),
    ],
)
def test_nan_stays_nan(result: Any) -> None:
    column = answered(result).column(0)
    assert column.null_count == 0
    assert math.isnan(column.to_pylist()[1])


def test_probabilities_are_named_by_their_classes(tmp_path: Path) -> None:
    path = sample_models.joblib_file(tmp_path, LogisticRegression().fit(X, sample_models.labels(X)))
    made = opened(path, FOUR.schema, method="predict_proba")
    assert made.score(FOUR).content.column_names == ["probability_hi", "probability_lo"]
    named = Output("/nowhere", prediction_name="level", prediction_columns=("level_lo",))
    content = opened(path, FOUR.schema, method="predict_proba", output=named).score(FOUR).content
    assert content.column_names == ["level_lo"]
    assert content.column(0).equals(made.score(FOUR).content.column(1))
    # Before any work.
    with pytest.raises(
        errors.SchemaMismatch, match="no column 'probability_1'; predict_proba gives 'probability_hi'"
    ):
        opened(
            path,
            FOUR.schema,
            method="predict_proba",
            output=Output("/nowhere", prediction_columns=("probability_1",)),
        )
    with pytest.raises(errors.ModelError, match="has no method 'predict_prob'") as caught:
        opened(path, FOUR.schema, method="predict_prob")
    assert "'predict_proba'" in caught.value.hint


def test_several_outputs(tmp_path: Path) -> None:
    path = sample_models.joblib_file(tmp_path, Ridge().fit(X, X[:, :3]))
    made = opened(path, FOUR.schema)
    assert made.score(FOUR).content.column_names == ["prediction_0", "prediction_1", "prediction_2"]
    labels = np.c_[sample_models.labels(X), X[:, 1] > 0.5]
    path = sample_models.joblib_file(tmp_path, KNeighborsClassifier().fit(X, labels))
    content = opened(path, FOUR.schema, method="predict_proba").score(FOUR).content
    assert content.column("prediction").type == pa.list_(pa.list_(pa.float64()))


def test_probabilities_without_names_are_numbered() -> None:
    model = scripted(lambda data: np.ones((len(data), 2)), Signature(), methods=("predict_proba",))
    table = pa.table({"x": [1]})
    assert scorer(model, table.schema).score(table).content.column_names == ["probability_0", "probability_1"]


def test_names_of_the_answer_stay() -> None:
    frame = pd.DataFrame({"a": [1, 2], 7: ["x", "y"]}, index=[5, 5])
    assert answered(frame).to_pydict() == {"a": [1, 2], "7": ["x", "y"]}
    named = {"label": np.array([1, 2]), "places": np.arange(4).reshape(2, 2)}
    assert answered(named).schema.types == [pa.int64(), pa.list_(pa.int64(), 2)]
    assert answered(named, prediction_columns=("places",)).column_names == ["places"]
    assert answered([{"a": 1}, {"b": 2}]).to_pydict() == {"a": [1, None], "b": [None, 2]}


@given(result=hnp.arrays(st.sampled_from([np.float64, np.int32]), hnp.array_shapes(min_dims=3, max_dims=5)))
def test_more_dimensions_are_lists_of_fixed_sizes(result: np.ndarray) -> None:
    column = answered(result, rows=len(result)).column("prediction")
    assert column.type.list_size == result.shape[1]
    np.testing.assert_array_equal(np.array(column.to_pylist(), result.dtype), result)


def test_answers_that_are_all_missing_have_the_type_of_the_others() -> None:
    outputs = (Field("predict", "str"),)
    assert answered([None, None], outputs=outputs).schema.types == [pa.string()]


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (np.ones(3), errors.InputError, "predict answered 3 rows for 2 rows"),
        ([], errors.InputError, "predict answered 0 rows for 2 rows"),
        (np.ones(1), errors.JobError, "predict answered 1 rows for 2 rows"),
        (4.5, errors.JobError, "predict answered a single float for 2 rows"),
        ([1, "a"], errors.JobError, "the column 'prediction' of the model's answer cannot be written"),
        (np.ones(2, complex), errors.JobError, "cannot be written"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), errors.JobError, "two columns named 'a'"),
    ],
)
def test_an_answer_that_cannot_be_used(result: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        answered(result)


def test_a_selected_column_that_only_a_call_shows_to_be_missing() -> None:
    with pytest.raises(errors.JobError, match="no column 'c'; predict gives 'a', 'b'"):
        answered({"a": np.ones(2), "b": np.ones(2)}, prediction_columns=("a", "c"))
