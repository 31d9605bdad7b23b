"""ONNX files answer as ONNX Runtime does, whatever their inputs, outputs and row dimension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from loader_checks import assert_equal, load
from onnx import TensorProto, helper
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.linear_model import LogisticRegression, Ridge

from penstock.errors import ModelError
from penstock.scoring.interface import Field
from support import sample_models

X = sample_models.numbers().astype(np.float32)


def _theirs(path: Path, feed: dict[str, Any]) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feed)


def _graph(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **arguments: Any) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    arguments.setdefault("opset_imports", [helper.make_opsetid("", 17)])
    onnx.save(helper.make_model(graph, ir_version=8, **arguments), path / "model.onnx")
    return path / "model.onnx"


def _value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def test_one_input(tmp_path: Path) -> None:
    path = sample_models.onnx_file(tmp_path, sample_models.ridge())
    model = load(path)
    assert model.signature.inputs == (Field("X", "float32", (-1, 4)),)
    assert model.row_independent
    assert_equal(model.call("predict", X, {}), _theirs(path, {"X": X})[0])
    assert_equal(model.call("predict", X.astype(np.float64), {}), _theirs(path, {"X": X})[0])


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier(tmp_path: Path, zipmap: bool) -> None:
    classifier = LogisticRegression().fit(X, sample_models.labels(X))
    path = sample_models.onnx_file(tmp_path, classifier, options={"zipmap": zipmap})
    model = load(path)
    assert model.methods == ("predict", "predict_proba")
    labels, probabilities = _theirs(path, {"X": X})
    assert list(model.call("predict", X, {})) == list(labels)
    if zipmap:
        probabilities = np.array([[row["hi"], row["lo"]] for row in probabilities], dtype=np.float32)
        assert model.signature.outputs[1].categories == ("hi", "lo")
    assert_equal(model.call("predict_proba", X, {}), probabilities)


def test_columns(tmp_path: Path) -> None:
    people = sample_models.people()[["age", "city"]].dropna()
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    steps = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["city"])])
    pipeline = make_pipeline(steps, LogisticRegression()).fit(people, [0, 1] * (len(people) // 2))
    types = [("age", FloatTensorType([None, 1])), ("city", StringTensorType([None, 1]))]
    path = sample_models.onnx_file(tmp_path, pipeline, initial_types=types)
    model = load(path)
    assert model.signature.layout == "table"
    assert model.signature.inputs == (Field("age", "float32"), Field("city", "str"))
    assert model.row_independent
    feed = {"age": people[["age"]].to_numpy(np.float32), "city": people[["city"]].to_numpy(object)}
    assert_equal(model.call("predict", people, {}), _theirs(path, feed)[0])


@pytest.mark.parametrize("size", [1, 3])
def test_a_fixed_number_of_rows(tmp_path: Path, size: int) -> None:
    path = sample_models.onnx_file(
        tmp_path, Ridge().fit(X, np.c_[X[:, 0], X[:, 1]]), initial_types=[("X", FloatTensorType([size, 4]))]
    )
    model = load(path)
    assert model.signature.inputs == (Field("X", "float32", (-1, 4)),)
    assert model.row_independent
    expected = np.concatenate([_theirs(path, {"X": X[at : at + size]})[0] for at in range(0, 60, size)])
    for rows in (1, 2, 3, 4, 7, 60):
        assert_equal(model.call("predict", X[:rows], {}), expected[:rows])


def test_named_tensors(tmp_path: Path) -> None:
    path = _graph(
        tmp_path,
        [helper.make_node("Add", ["left", "right"], ["sum"]), helper.make_node("Neg", ["left"], ["minus"])],
        [_value("left", ["batch", 4]), _value("right", ["batch", 4])],
        [_value("sum", ["batch", 4]), _value("minus", ["batch", 4])],
    )
    model = load(path)
    assert model.signature.layout == "tensors"
    assert model.row_independent
    answer = model.call("predict", {"left": X, "right": X}, {})
    assert_equal(answer["sum"], X + X)
    assert_equal(answer["minus"], -X)


def test_rows_that_depend_on_each_other_are_found_out(tmp_path: Path) -> None:
    path = _graph(
        tmp_path,
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        [_value("x", ["n", 4])],
        [_value("y", ["n", 4])],
    )
    model = load(path)
    assert not model.row_independent
    np.testing.assert_allclose(model.call("predict", X, {}), X - X.mean(axis=0), atol=1e-6)


def test_a_graph_of_the_future(tmp_path: Path) -> None:
    path = sample_models.onnx_file(tmp_path, sample_models.ridge())
    graph = onnx.load(path)
    graph.ir_version = 99
    onnx.save(graph, path)
    with pytest.raises(ModelError, match="of IR version 99, and this runtime reads up to") as caught:
        load(path)
    assert "newer onnxruntime" in caught.value.hint


def test_an_operator_that_nobody_has(tmp_path: Path) -> None:
    path = _graph(
        tmp_path,
        [helper.make_node("Fancy", ["x"], ["y"], domain="own")],
        [_value("x", ["n", 4])],
        [_value("y", ["n", 4])],
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
    )
    with pytest.raises(ModelError, match="operator own:Fancy"):
        load(path)
