"""Pickled estimators answer as scikit-learn itself does, and tell what they take."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from loader_checks import assert_equal, load
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from penstock import errors
from penstock.bundle.manifest import ModelSource
from penstock.scoring.codecs import openinference
from penstock.scoring.interface import Field
from penstock.scoring.loaders import estimator_inputs, loading
from support import sample_models

X = sample_models.numbers()
TABLE = pd.DataFrame(X, columns=sample_models.COLUMNS)
Y = sample_models.target(X)
LABELS = sample_models.labels(X)
CATEGORIES = pd.DataFrame({"n": X[:24, 0], "city": pd.Categorical(["Oslo", "Rome", "Kyiv", None] * 6)})


def _center(values: Any) -> Any:
    return values - values.mean(axis=0)


CASES: dict[str, tuple[Any, Any]] = {
    "ridge on an array": (Ridge().fit(X, Y), X),
    "ridge on a table": (Ridge().fit(TABLE, Y), TABLE),
    "two outputs": (Ridge().fit(X, np.c_[Y, -Y]), X),
    "forest": (RandomForestClassifier(10, n_jobs=2, random_state=0).fit(TABLE, LABELS), TABLE),
    "forest regressor": (RandomForestRegressor(10, random_state=0).fit(X, Y), X),
    "forest of two outputs": (RandomForestRegressor(10, random_state=0).fit(X, np.c_[Y, Y]), X),
    "extra trees": (ExtraTreesClassifier(10, random_state=0).fit(X, LABELS), X),
    "extra trees regressor": (ExtraTreesRegressor(10, random_state=0).fit(TABLE, Y), TABLE),
    "scaled": (make_pipeline(StandardScaler(), LogisticRegression()).fit(TABLE, LABELS), TABLE),
    "set_output": (
        make_pipeline(StandardScaler(), LogisticRegression())
        .set_output(transform="pandas")
        .fit(TABLE, LABELS),
        TABLE,
    ),
    "calibrated": (CalibratedClassifierCV(LogisticRegression()).fit(TABLE, LABELS), TABLE),
    "voting": (
        VotingClassifier([("l", LogisticRegression()), ("f", RandomForestClassifier(5))]).fit(TABLE, LABELS),
        TABLE,
    ),
    "target": (
        TransformedTargetRegressor(Ridge(), func=np.tanh, inverse_func=np.arctanh).fit(TABLE, Y / 9),
        TABLE,
    ),
    "function": (make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(X, Y), X),
    "histogram boosting": (HistGradientBoostingRegressor(max_iter=4).fit(TABLE, Y), TABLE),
    "histogram boosting, categories": (
        HistGradientBoostingRegressor(max_iter=4, categorical_features="from_dtype").fit(CATEGORIES, Y[:24]),
        CATEGORIES,
    ),
    "people": (sample_models.people_pipeline(), sample_models.people()),
    "search": (
        GridSearchCV(sample_models.people_pipeline(), {"logisticregression__C": [1, 2]}, cv=2).fit(
            sample_models.people(), [0, 1] * 12
        ),
        sample_models.people(),
    ),
    "text": (
        make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(sample_models.people().note, [0, 1] * 12),
        sample_models.people().note.to_numpy(dtype=object),
    ),
    "texts": (
        make_pipeline(
            FeatureUnion([("w", TfidfVectorizer()), ("c", CountVectorizer(analyzer="char"))]),
            LogisticRegression(),
        ).fit(sample_models.people().note, [0, 1] * 12),
        sample_models.people().note.to_numpy(dtype=object),
    ),
    "xgboost": (xgboost.XGBClassifier(n_estimators=3).fit(TABLE, LABELS == "hi"), TABLE),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(TABLE, LABELS), TABLE),
    "lightgbm, categories": (
        lightgbm.LGBMRegressor(n_estimators=3, verbose=-1, min_child_samples=2).fit(CATEGORIES, Y[:24]),
        CATEGORIES,
    ),
    "xgboost, categories": (
        xgboost.XGBRegressor(n_estimators=3, enable_categorical=True).fit(CATEGORIES, Y[:24]),
        CATEGORIES,
    ),
}


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("case", CASES)
def test_answers_are_the_librarys_own(tmp_path: Path, case: str) -> None:
    estimator, data = CASES[case]
    model = load(sample_models.joblib_file(tmp_path, estimator))
    assert model.methods[0] == "predict"
    assert model.row_independent
    assert model.signature.outputs, "a model of a known library is called once at load"
    for method in model.methods:
        theirs = getattr(estimator, method)(data)
        assert_equal(model.call(method, data, {}), theirs)
        if model.accepts_array:
            assert_equal(model.call(method, data.to_numpy(), {}), theirs)
        form = next(field for field in model.signature.outputs if field.name == method)
        assert form.shape == (-1, *np.shape(theirs)[1:])
        assert form.dtype == ("str" if theirs.dtype.kind in "OU" else str(theirs.dtype))


@pytest.mark.parametrize(
    "case", ["forest", "forest regressor", "extra trees", "extra trees regressor", "voting"]
)
def test_forests_ask_their_trees_directly(tmp_path: Path, case: str) -> None:
    from penstock.scoring.loaders import forests

    estimator = copy.deepcopy(CASES[case][0])
    for part in [estimator, *getattr(estimator, "estimators_", [])]:
        if hasattr(part, "n_jobs"):
            part.n_jobs = None
    assert forests.speed_up(estimator) == 1


def test_a_forest_still_refuses_what_scikit_learn_refuses(tmp_path: Path) -> None:
    estimator, _ = CASES["forest regressor"]
    model = load(sample_models.joblib_file(tmp_path, estimator))
    for wrong in (X[:, :2], np.full((2, 4), np.inf), X[0]):
        with pytest.raises(ValueError) as theirs:
            estimator.predict(wrong)
        with pytest.raises(ValueError) as ours:
            model.call("predict", wrong, {})
        assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("case", ["ridge on a table", "scaled", "forest", "calibrated", "xgboost"])
def test_tables_of_numbers_may_come_as_arrays(tmp_path: Path, case: str) -> None:
    assert load(sample_models.joblib_file(tmp_path, CASES[case][0])).accepts_array


def test_set_output_keeps_its_names(tmp_path: Path) -> None:
    assert not load(sample_models.joblib_file(tmp_path, CASES["set_output"][0])).accepts_array


def test_threads_are_the_workers(tmp_path: Path) -> None:
    model = load(sample_models.joblib_file(tmp_path, CASES["forest"][0]))
    assert any("n_jobs of RandomForestClassifier" in note for note in model.notes)


def test_columns_are_told(tmp_path: Path) -> None:
    model = load(sample_models.joblib_file(tmp_path, CASES["people"][0]))
    assert model.signature.layout == "table"
    assert model.signature.inputs == (
        Field("age", "float64"),
        Field("city", "str", categories=("Kyiv", "Oslo", "Rome")),
        Field("code", "int64", categories=(1, 2, 3)),
        Field("note", "str"),
        Field("unused", "object", required=False),
        Field("visits", "object"),
    )
    assert model.signature.sample is not None
    assert set(model.signature.sample[0]) == set(sample_models.people().columns)


def test_text_is_one_string_a_row(tmp_path: Path) -> None:
    model = load(sample_models.joblib_file(tmp_path, CASES["text"][0]))
    assert (model.signature.layout, model.signature.inputs) == ("array", (Field("text", "str", (-1,)),))
    notes = sample_models.people().note.to_numpy(dtype=object)
    assert_equal(model.call("predict", notes.reshape(-1, 1), {}), model.call("predict", notes, {}))


def test_categories_of_boosters(tmp_path: Path) -> None:
    for case in ("lightgbm, categories", "xgboost, categories", "histogram boosting, categories"):
        estimator, table = CASES[case]
        model = load(sample_models.joblib_file(tmp_path, estimator))
        assert model.signature.inputs[1] == Field("city", "category", categories=("Kyiv", "Oslo", "Rome"))
        plain = table.assign(city=table.city.astype(object))
        # One row alone: its category must not become code 0.
        for row in range(4):
            assert_equal(
                model.call("predict", plain[row : row + 1], {}), estimator.predict(table)[row : row + 1]
            )


def test_encoded_arrays_of_strings(tmp_path: Path) -> None:
    data = sample_models.people()[["note", "code"]].to_numpy()
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(data, [0, 1] * 12)
    model = load(sample_models.joblib_file(tmp_path, estimator))
    assert model.signature.inputs == (Field("input", "object", (-1, 2)),)
    assert_equal(model.call("predict", data, {}), estimator.predict(data))


def test_records(tmp_path: Path) -> None:
    rows = [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}] * 4
    estimator = make_pipeline(DictVectorizer(), Ridge()).fit(rows, range(8))
    model = load(sample_models.joblib_file(tmp_path, estimator))
    assert_equal(model.call("predict", pd.DataFrame(rows), {}), estimator.predict(rows))


def test_code_that_nobody_knows_is_called_for_each_request(tmp_path: Path) -> None:
    estimator = make_pipeline(FunctionTransformer(_center), Ridge()).fit(X, Y)
    model = load(sample_models.joblib_file(tmp_path, estimator))
    assert not model.row_independent
    assert_equal(model.call("predict", X, {}), estimator.predict(X))


def test_unknown_parameters_are_refused(tmp_path: Path) -> None:
    model = load(sample_models.joblib_file(tmp_path, sample_models.ridge()))
    with pytest.raises(errors.SchemaMismatch, match="has no parameter 'alpha'; it takes none"):
        model.call("predict", X, {"alpha": 1})


@pytest.mark.parametrize(
    ("thing", "message", "hint"),
    [
        ({"model": Ridge(), "columns": [1]}, "a dict with the keys 'model', 'columns'", "under 'model'"),
        ([1, 2], "an object of type list", "Save the fitted model"),
        (Ridge, "the class Ridge", "Save the fitted model"),
        (Ridge(), "a Ridge that was never fitted", "after fit"),
        (StandardScaler(), "a StandardScaler that was never fitted", "after fit"),
        (make_pipeline(StandardScaler(), Ridge()), "a Pipeline that was never fitted", "after fit"),
        (NearestNeighbors().fit(X), "NearestNeighbors, which has no predict", "It has kneighbors"),
    ],
)
def test_what_cannot_predict(tmp_path: Path, thing: Any, message: str, hint: str) -> None:
    with pytest.raises(errors.ModelError, match=message) as caught:
        load(sample_models.joblib_file(tmp_path, thing))
    assert hint in caught.value.hint


def test_what_only_transforms_is_scored_by_that(tmp_path: Path) -> None:
    # A PCA has score_samples too, which nobody would call its answer.
    estimator = make_pipeline(StandardScaler(), PCA(2)).fit(TABLE)
    model = load(sample_models.joblib_file(tmp_path, estimator))
    assert model.methods[0] == "transform"
    assert_equal(model.call("transform", X, {}), estimator.transform(TABLE))


def test_probabilities_of_several_outputs_are_by_row(tmp_path: Path) -> None:
    both = np.c_[LABELS, np.roll(LABELS, 1)].astype(str)
    estimator = RandomForestClassifier(5, random_state=0).fit(X, both)
    ours = load(sample_models.joblib_file(tmp_path, estimator)).call("predict_proba", X, {})
    for output, theirs in enumerate(estimator.predict_proba(X)):
        np.testing.assert_array_equal([row[output] for row in ours], theirs)


def test_dates_that_an_encoder_knows_are_dates(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": X[:8, 0], "day": pd.date_range("2024-01-01", periods=8)})
    encode = make_column_transformer((OrdinalEncoder(), ["day"]), remainder="passthrough")
    model = load(sample_models.joblib_file(tmp_path, make_pipeline(encode, Ridge()).fit(table, range(8))))
    assert {field.name: field.dtype for field in model.signature.inputs}["day"] == "datetime64"


def test_names_that_only_the_booster_keeps_are_the_columns() -> None:
    # As wrappers of LightGBM before 4.0 are: a client's columns, in another order, would be scored as they come.
    wrapper = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(TABLE, Y)

    class Old:
        __module__ = "lightgbm.sklearn"
        booster_ = wrapper.booster_

        def predict(self) -> None: ...

    assert [field.name for field in estimator_inputs.signature(Old()).inputs] == list(TABLE)


@pytest.mark.parametrize("estimator", [KMeans(2, n_init=1), StandardScaler(), OneHotEncoder()])
def test_old_estimators_without_a_count_are_counted(estimator: Any) -> None:
    fitted = estimator.fit(X[:20])
    vars(fitted).pop("n_features_in_")
    assert estimator_inputs.signature(fitted).inputs[0].shape == (-1, X.shape[1])


def test_the_registered_version_is_the_models(tmp_path: Path) -> None:
    path = sample_models.joblib_file(tmp_path, sample_models.ridge())
    model = loading.load_model(ModelSource(str(path), "sample", version="7"))
    assert openinference.metadata(model)["versions"] == ["7"]


def test_the_load_leaves_no_warning_filter_behind(tmp_path: Path) -> None:
    before = list(warnings.filters)
    load(sample_models.joblib_file(tmp_path, CASES["forest"][0]))
    assert warnings.filters == before
    joblib.dump(1, tmp_path / "x")
