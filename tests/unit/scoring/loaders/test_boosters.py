"""XGBoost and LightGBM files answer as their libraries do."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from loader_checks import assert_equal, load

from penstock.errors import ModelError
from penstock.scoring.interface import Field
from penstock.scoring.loaders import estimator_inputs, xgboost_boosters
from penstock.scoring.loaders import xgboost as xgboost_loader
from support import sample_models

X = sample_models.numbers()
TABLE = pd.DataFrame(X, columns=sample_models.COLUMNS)
CITIES = pd.DataFrame({"n": X[:24, 0], "city": pd.Categorical(["Oslo", "Rome", "Kyiv", None] * 6)})


@pytest.mark.parametrize("ending", ["json", "ubj"])
@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_xgboost_boosters(tmp_path: Path, booster: str, ending: str) -> None:
    theirs = sample_models.xgboost_booster(booster=booster, objective="binary:logistic")
    theirs.save_model(tmp_path / f"model.{ending}")
    model = load(tmp_path / f"model.{ending}")
    expected = theirs.predict(xgboost.DMatrix(TABLE))
    assert_equal(model.call("predict", TABLE, {}), expected)
    assert model.accepts_array
    assert_equal(model.call("predict", X, {}), expected)
    assert_equal(model.call("predict_proba", X, {}), np.column_stack((1 - expected, expected)))
    assert [field.name for field in model.signature.inputs] == sample_models.COLUMNS
    assert any("predict gives probabilities" in note for note in model.notes)


def test_a_file_of_a_wrapper_answers_as_the_wrapper(tmp_path: Path) -> None:
    theirs = xgboost.XGBClassifier(n_estimators=3).fit(X, X[:, 0] > 0.5)
    theirs.save_model(tmp_path / "model.json")
    model = load(tmp_path / "model.json")
    assert model.format == "xgboost"
    assert_equal(model.call("predict", X, {}), theirs.predict(X))
    assert_equal(model.call("predict_proba", X, {}), theirs.predict_proba(X))


def test_xgboost_categories(tmp_path: Path) -> None:
    theirs = xgboost.train({}, xgboost.DMatrix(CITIES, label=X[:24, 1], enable_categorical=True), 3)
    theirs.save_model(tmp_path / "model.ubj")
    model = load(tmp_path / "model.ubj")
    assert model.signature.inputs[1] == Field("city", "category", categories=("Kyiv", "Oslo", "Rome"))
    expected = theirs.predict(xgboost.DMatrix(CITIES, enable_categorical=True))
    plain = CITIES.assign(city=CITIES.city.astype(object))
    assert_equal(
        np.concatenate([model.call("predict", plain[row : row + 1], {}) for row in range(24)]), expected
    )


def test_a_damaged_xgboost_file(tmp_path: Path) -> None:
    sample_models.xgboost_booster().save_model(tmp_path / "model.json")
    (tmp_path / "model.json").write_bytes((tmp_path / "model.json").read_bytes()[:-300])
    with pytest.raises(
        ModelError, match=rf"XGBoost {xgboost.__version__} cannot read .*: Expecting"
    ) as caught:
        load(tmp_path / "model.json")
    assert "[bt]" not in caught.value.message


def test_another_xgboost_is_noted(tmp_path: Path) -> None:
    sample_models.xgboost_booster().save_model(tmp_path / "model.json")
    text = (tmp_path / "model.json").read_text()
    major, minor, patch = xgboost.__version__.split(".")
    (tmp_path / "model.json").write_text(
        text.replace(f'"version":[{major},{minor},{patch}]', '"version":[2,0,1]')
    )
    assert any(
        f"XGBoost 2.0.1 and is served with {xgboost.__version__}" in note
        for note in load(tmp_path / "model.json").notes
    )


@pytest.mark.parametrize("objective", ["regression", "binary"])
def test_lightgbm_boosters(tmp_path: Path, objective: str) -> None:
    theirs = sample_models.lightgbm_booster(objective=objective)
    theirs.save_model(tmp_path / "model.txt")
    model = load(tmp_path / "model.txt")
    expected = theirs.predict(X)
    assert model.signature.inputs == (Field("input", "float64", (-1, 4)),)
    assert_equal(model.call("predict", X, {}), expected)
    assert model.methods == (("predict", "predict_proba") if objective == "binary" else ("predict",))
    if objective == "binary":
        assert_equal(model.call("predict_proba", X, {})[:, 1], expected)


def test_lightgbm_categories(tmp_path: Path) -> None:
    wrapper = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1, min_child_samples=2).fit(CITIES, X[:24, 1])
    wrapper.booster_.save_model(tmp_path / "model.txt")
    model = load(tmp_path / "model.txt")
    assert model.signature.inputs == (
        Field("n", "float64"),
        Field("city", "category", categories=("Kyiv", "Oslo", "Rome")),
    )
    plain = CITIES.assign(city=CITIES.city.astype(object))
    rows = [model.call("predict", plain[row : row + 1], {}) for row in range(24)]
    assert_equal(np.concatenate(rows), wrapper.predict(CITIES))


def test_inputs_of_a_catboost_model() -> None:
    # CatBoost itself is 100 MB: only what is read of a model stands here. Its categories are integers or text.
    class CatBoostClassifier:
        __module__ = "catboost.core"
        feature_names_ = ("age", "city", "note")

        def predict(self) -> None: ...

        def get_cat_feature_indices(self) -> list[int]:
            return [1]

        def get_text_feature_indices(self) -> list[int]:
            return [2]

    signature = estimator_inputs.signature(CatBoostClassifier())
    assert [(field.name, field.dtype) for field in signature.inputs] == [
        ("age", "float64"),
        ("city", "object"),
        ("note", "str"),
    ]
    model = CatBoostClassifier()
    model.feature_names_ = ("0", "1")  # what CatBoost calls the columns of an array
    assert estimator_inputs.signature(model).inputs[0].shape == (-1, 2)


def test_an_old_booster_that_tells_nothing_of_its_columns() -> None:
    booster = xgboost.train({}, xgboost.DMatrix(np.ones((4, 3)), np.ones(4)), 1)

    class Old:
        """As before XGBoost 1.4: no num_features, feature_names or feature_types."""

        set_param, attr, save_config = booster.set_param, booster.attr, booster.save_config

        def predict(self, data: xgboost.DMatrix, **arguments: object) -> object:
            return booster.predict(data)

    signature = xgboost_boosters.adopt(Old(), name="old").signature
    assert (signature.layout, signature.inputs[0].shape) == ("array", (-1, 3))


def test_names_that_old_versions_make_up_are_none() -> None:
    class Old:
        feature_names = ("f0", "f1")

    assert xgboost_boosters.names_of(Old()) == []


def test_the_class_that_an_old_file_names_is_its_wrapper() -> None:
    class Old:
        def attr(self, name: str) -> str:
            return '{"type": "XGBClassifier", "n_estimators": 5}'

    assert xgboost_loader._wrapper_of(Old()) == "XGBClassifier"
