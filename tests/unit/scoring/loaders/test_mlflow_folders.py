"""MLflow folders answer as mlflow's own pyfunc does, through our loaders where we have them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import xgboost
from loader_checks import assert_equal, load
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression, Ridge

from penstock.errors import ModelError
from penstock.scoring.interface import Field
from support import sample_models

X = sample_models.numbers()
TABLE = pd.DataFrame(X, columns=sample_models.COLUMNS)
LABELS = sample_models.labels(X)
SIGNATURE = infer_signature(TABLE, LABELS)
# Without these mlflow starts a process to find out, for ten seconds.
PLAIN: dict[str, Any] = {"pip_requirements": ["scikit-learn==0.1.0"]}
PICKLED: dict[str, Any] = {**PLAIN, "serialization_format": "cloudpickle"}

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
]


def _agrees(path: Path, data: Any) -> Any:
    model = load(path)
    theirs = mlflow.pyfunc.load_model(str(path)).predict(data)
    theirs = next(iter(theirs.values())) if isinstance(theirs, dict) else theirs
    assert_equal(model.call(model.methods[0], data, {}), theirs)
    if model.accepts_array:
        assert_equal(model.call(model.methods[0], data.to_numpy(), {}), theirs)
    return model


@pytest.mark.parametrize("form", ["skops", "cloudpickle", "pickle"])
def test_sklearn_with_its_signature_and_example(tmp_path: Path, form: str) -> None:
    mlflow.sklearn.save_model(
        LogisticRegression().fit(TABLE, LABELS),
        tmp_path / "m",
        signature=SIGNATURE,
        input_example=TABLE[:2],
        serialization_format=form,
        **PLAIN,
    )
    model = _agrees(tmp_path / "m", TABLE)
    assert model.signature.source == "mlflow signature"
    assert model.signature.inputs == tuple(Field(name, "float64") for name in sample_models.COLUMNS)
    assert model.signature.sample == [{name: round(float(TABLE[name][0]), 3) for name in TABLE}]
    assert model.accepts_array
    assert model.row_independent
    assert any("scikit-learn 0.1.0 (" in note for note in model.notes)


def test_the_method_that_it_was_saved_for_comes_first(tmp_path: Path) -> None:
    mlflow.sklearn.save_model(
        LogisticRegression().fit(TABLE, LABELS), tmp_path / "m", pyfunc_predict_fn="predict_proba", **PICKLED
    )
    assert _agrees(tmp_path / "m", TABLE).methods[:2] == ("predict_proba", "predict")


def test_columns_for_a_model_fitted_on_an_array(tmp_path: Path) -> None:
    mlflow.sklearn.save_model(Ridge().fit(X, X[:, 0]), tmp_path / "m", signature=SIGNATURE, **PICKLED)
    model = load(tmp_path / "m")
    assert model.signature.layout == "table"
    # The same memory order too: BLAS rounds by it.
    assert_equal(model.call("predict", TABLE, {}), Ridge().fit(X, X[:, 0]).predict(TABLE.to_numpy()))


def test_columns_in_another_order(tmp_path: Path) -> None:
    estimator = Ridge().fit(TABLE, X[:, 0])
    turned = TABLE[["d", "c", "b", "a"]]
    mlflow.sklearn.save_model(estimator, tmp_path / "m", signature=infer_signature(turned, LABELS), **PICKLED)
    model = load(tmp_path / "m")
    assert not model.accepts_array
    assert_equal(model.call("predict", turned, {}), estimator.predict(TABLE))


def test_tensors_for_a_model_fitted_on_a_table(tmp_path: Path) -> None:
    estimator = sample_models.people_pipeline()
    people = sample_models.people()
    mlflow.sklearn.save_model(estimator, tmp_path / "m", **PICKLED)
    model = load(tmp_path / "m")
    assert [field.name for field in model.signature.inputs] == list(people.columns)
    assert_equal(model.call("predict", people, {}), estimator.predict(people))


def test_boosters(tmp_path: Path) -> None:
    classifier = xgboost.XGBClassifier(n_estimators=3).fit(TABLE, X[:, 0] > 0.5)
    mlflow.xgboost.save_model(classifier, tmp_path / "c", signature=SIGNATURE, **PLAIN)
    assert "predict_proba" in _agrees(tmp_path / "c", TABLE).methods
    mlflow.xgboost.save_model(classifier.get_booster(), tmp_path / "b", **PLAIN)
    _agrees(tmp_path / "b", TABLE)
    mlflow.lightgbm.save_model(sample_models.lightgbm_booster(), tmp_path / "l", signature=SIGNATURE, **PLAIN)
    _agrees(tmp_path / "l", TABLE)


def test_onnx(tmp_path: Path) -> None:
    import onnx

    narrow = X.astype(np.float32)
    path = sample_models.onnx_file(tmp_path, sample_models.ridge())
    signature = infer_signature(narrow, narrow[:, :1])
    mlflow.onnx.save_model(onnx.load(path), tmp_path / "m", signature=signature, **PLAIN)
    model = _agrees(tmp_path / "m", narrow)
    assert model.signature.layout == "array"


@pytest.mark.parametrize("scripted", [True, False])
def test_torch(tmp_path: Path, scripted: bool) -> None:
    import torch

    network = sample_models.network()
    narrow = X.astype(np.float32)
    mlflow.pytorch.save_model(
        torch.jit.script(network) if scripted else network,
        tmp_path / "m",
        signature=infer_signature(narrow, narrow[:, :2]),
        serialization_format="pickle",
        **PLAIN,
    )
    model = _agrees(tmp_path / "m", narrow)
    assert model.row_independent
    assert not any("--sample-input" in note for note in model.notes)


class _Scaler(mlflow.pyfunc.PythonModel):
    # No type hints: mlflow reads them as a schema.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return [float(value) * (params or {}).get("factor", 1) for value in model_input["a"]]


EVERYTHING = pd.DataFrame(
    {
        "a": [1.0],
        "when": [pd.Timestamp("2020-01-01")],
        "name": ["x"],
        "parts": [[1, 2]],
        "whole": [{"q": 1, "r": "z"}],
        "short": np.array([1], "int32"),
        "flag": [True],
    }
)


def test_a_python_model_with_parameters_and_every_type(tmp_path: Path) -> None:
    signature = infer_signature(EVERYTHING, [1.0], params={"factor": 2})
    mlflow.pyfunc.save_model(tmp_path / "m", python_model=_Scaler(), signature=signature, **PLAIN)
    model = load(tmp_path / "m")
    assert [(field.name, field.dtype) for field in model.signature.inputs] == [
        ("a", "float64"),
        ("when", "datetime64"),
        ("name", "str"),
        ("parts", "object"),
        ("whole", "object"),
        ("short", "int32"),
        ("flag", "bool"),
    ]
    assert [field.name for field in model.params] == ["factor"]
    assert not model.row_independent
    assert not model.fork_safe
    assert model.call("predict", EVERYTHING, {}) == [2.0]
    assert model.call("predict", EVERYTHING, {"factor": 5}) == [5.0]


def test_a_flavour_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.prophet\n    python_version: 3.7.1\n"
        "  prophet:\n    data: model.pr\n"
    )
    with pytest.raises(ModelError, match=r"prophet|cannot be unpickled"):
        load(tmp_path)


def test_what_is_missing_or_outside_is_named(tmp_path: Path) -> None:
    mlflow.sklearn.save_model(Ridge().fit(X, X[:, 0]), tmp_path / "m", **PICKLED)
    saved = (tmp_path / "m" / "MLmodel").read_text()
    shutil.move(tmp_path / "m" / "model.pkl", tmp_path / "outside.pkl")
    with pytest.raises(ModelError, match=r"model\.pkl is missing.*pickled_model"):
        load(tmp_path / "m")
    (tmp_path / "m" / "MLmodel").write_text(saved.replace(": model.pkl", ": ../outside.pkl"))
    with pytest.raises(ModelError, match="must be a path inside the folder"):
        load(tmp_path / "m")
    (tmp_path / "m" / "MLmodel").write_text("mlflow_version: 3.1\n")
    with pytest.raises(ModelError, match="names no flavors"):
        load(tmp_path / "m")


def test_another_python_is_noted(tmp_path: Path) -> None:
    mlflow.sklearn.save_model(Ridge().fit(X, X[:, 0]), tmp_path / "m", **PICKLED)
    file = tmp_path / "m" / "MLmodel"
    lines = [
        "    python_version: 3.6.9" if "python_version" in line else line
        for line in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines))
    assert any("saved with Python 3.6.9" in note for note in load(tmp_path / "m").notes)
