"""Inference requests through the codec and the real scorer: models of every layout, JSON and binary, and what
is refused."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

from penstock.scoring.codecs import compressed, openinference
from penstock.scoring.interface import Field, Reply, Request, Signature
from penstock.scoring.loaders.loaded import LoadedModel
from penstock.scoring.models.scorer import ModelScorer

PATH = "/v2/models/m/infer"


def model_of(
    signature: Signature,
    score: Callable[[str, Any, Mapping[str, Any]], Any],
    *,
    methods: tuple[str, ...] = ("predict",),
    params: tuple[Field, ...] = (),
) -> LoadedModel:
    return LoadedModel(
        name="m",
        format="sklearn",
        signature=signature,
        methods=methods,
        fork_safe=True,
        row_independent=True,
        score=score,
        params=params,
    )


def classify(method: str, data: Any, params: Mapping[str, Any]) -> Any:
    sums = np.asarray(data, dtype=float).sum(axis=1)
    return np.stack([1 - sums, sums], axis=1) if method == "predict_proba" else (sums > 0.5).astype(np.int64)


def describe_person(method: str, data: Any, params: Mapping[str, Any]) -> Any:
    return np.array([f"{row.name}:{row.age:g}:{row.fit}" for row in data.itertuples()], dtype=object)


ARRAY = model_of(
    Signature(
        "array",
        (Field("input", "float64", (-1, 2)),),
        (Field("predict", "int64"), Field("predict_proba", "float64", (-1, 2))),
    ),
    classify,
    methods=("predict", "predict_proba"),
)
TABLE = model_of(
    Signature("table", (Field("age", "float64"), Field("name", "str"), Field("fit", "bool"))), describe_person
)
TENSORS = model_of(
    Signature("tensors", (Field("a", "float32", (-1, 2)), Field("b", "bytes", (-1,)))),
    lambda method, data, params: {"sum": data["a"].sum(axis=1), "copy": data["b"]},
)
UNKNOWN = model_of(Signature(), lambda method, data, params: np.asarray(data))


def send(model: LoadedModel, body: Any, *, path: str = PATH, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    (reply,) = ModelScorer(model).score([Request(raw, path=path, headers=pairs)])
    return reply


def told(reply: Reply) -> Any:
    return json.loads(reply.body)


def tensor(name: str, datatype: str, shape: list[int], data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}


TWO_ROWS = tensor("input", "FP64", [2, 2], [0.1, 0.2, 0.4, 0.5])


def test_json_in_and_out() -> None:
    reply = send(ARRAY, {"id": "7", "inputs": [TWO_ROWS]})
    assert reply.status == 200
    assert reply.content_type == "application/json"
    assert told(reply) == {
        "model_name": "m",
        "id": "7",
        "outputs": [{"name": "predict", "datatype": "INT64", "shape": [2], "data": [0, 1]}],
    }


def test_the_version_in_the_path_is_echoed() -> None:
    reply = send(ARRAY, {"inputs": [TWO_ROWS]}, path="/v2/models/m/versions/v%201/infer")
    assert told(reply)["model_version"] == "v 1"


def test_outputs_choose_methods_and_their_order() -> None:
    reply = send(ARRAY, {"inputs": [TWO_ROWS], "outputs": [{"name": "predict_proba"}, {"name": "predict"}]})
    assert [output["name"] for output in told(reply)["outputs"]] == ["predict_proba", "predict"]
    assert told(reply)["outputs"][0]["shape"] == [2, 2]
    assert told(reply)["outputs"][1]["data"] == [0, 1]


def test_columns_by_name_and_as_one_tensor() -> None:
    inputs = [
        tensor("name", "BYTES", [2, 1], [["Ann"], ["Bo"]]),
        tensor("fit", "BOOL", [2], [True, False]),
        tensor("age", "INT32", [2], [39, 52]),
    ]
    assert told(send(TABLE, {"inputs": inputs}))["outputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [2], "data": ["Ann:39:True", "Bo:52:False"]}
    ]
    assert told(send(ARRAY, {"inputs": [{**TWO_ROWS, "name": "any name"}]}))["outputs"][0]["data"] == [0, 1]


def test_tensors_by_name_and_dict_outputs() -> None:
    inputs = [
        tensor("b", "BYTES", [1], ["/w=="], parameters={"content_type": "base64"}),
        tensor("a", "FP32", [1, 2], [[1, 2]]),
    ]
    reply = told(send(TENSORS, {"inputs": inputs}))
    assert reply["outputs"] == [
        {"name": "sum", "datatype": "FP32", "shape": [1], "data": [3.0]},
        {
            "name": "copy",
            "datatype": "BYTES",
            "shape": [1],
            "parameters": {"content_type": "base64"},
            "data": ["/w=="],
        },
    ]
    asked = told(send(TENSORS, {"inputs": inputs, "outputs": [{"name": "copy"}]}))
    assert [output["name"] for output in asked["outputs"]] == ["copy"]
    refused = send(TENSORS, {"inputs": inputs, "outputs": [{"name": "total"}]})
    assert refused.status == 400
    assert told(refused)["error"] == "the model has no output 'total'; it has 'sum', 'copy'"


def test_parameters_that_the_model_takes_reach_it() -> None:
    model = model_of(
        Signature("array", (Field("input", "float64", (-1, 1)),)),
        lambda method, data, params: data[:, 0] * params.get("scale", 1),
        params=(Field("scale", "float64"),),
    )
    inputs = [tensor("x", "FP64", [1, 1], [2])]
    reply = send(model, {"inputs": inputs, "parameters": {"scale": 3, "timeout": 100, "priority": 1}})
    assert told(reply)["outputs"][0]["data"] == [6.0]


def triton_request(
    arrays: dict[str, Any], *, binary: bool, outputs: list[InferRequestedOutput] | None = None
) -> tuple[bytes, dict[str, str]]:
    inputs = []
    for name, array in arrays.items():
        kinds = {"f8": "FP64", "f4": "FP32", "i8": "INT64", "b1": "BOOL", "O8": "BYTES"}
        sent = InferInput(name, list(array.shape), kinds[array.dtype.kind + str(array.dtype.itemsize)])
        inputs.append(sent.set_data_from_numpy(array, binary_data=binary))
    body, length = InferenceServerClient.generate_request_body(inputs, outputs=outputs, request_id="r1")
    return body, {"Inference_Header_Content_Length": str(length)} if length is not None else {}


def triton_result(reply: Reply) -> InferResult:
    assert reply.status == 200, reply.body
    length = dict(reply.headers).get(openinference.HEADER_LENGTH)
    return InferResult.from_response_body(reply.body, header_length=length and int(length))


rows = st.integers(1, 5).flatmap(
    lambda count: st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.text(max_size=6), st.booleans()), min_size=count, max_size=count
    )
)


@given(rows, st.booleans(), st.booleans())
def test_what_triton_sends_and_reads(
    people: list[tuple[float, str, bool]], binary_in: bool, binary_out: bool
) -> None:
    arrays = {
        "age": np.array([age for age, _, _ in people]),
        "name": np.array([name for _, name, _ in people] + [None], dtype=object)[:-1],
        "fit": np.array([fit for _, _, fit in people]),
    }
    outputs = [InferRequestedOutput("predict", binary_data=binary_out)]
    body, headers = triton_request(arrays, binary=binary_in, outputs=outputs)
    result = triton_result(send(TABLE, body, **headers))
    found = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("predict")]
    assert found == [f"{name}:{age:g}:{fit}" for age, name, fit in people]
    assert result.get_response()["id"] == "r1"


def test_triton_without_outputs_gets_them_all_in_binary() -> None:
    body, headers = triton_request({"input": np.array([[0.1, 0.2], [0.4, 0.5]])}, binary=True)
    reply = send(ARRAY, body, **headers)
    assert reply.content_type == "application/octet-stream"
    assert triton_result(reply).as_numpy("predict").tolist() == [0, 1]


def test_one_output_in_binary_and_one_in_json() -> None:
    outputs = [InferRequestedOutput("predict", binary_data=False), InferRequestedOutput("predict_proba")]
    body, headers = triton_request({"x": np.array([[0.1, 0.2]])}, binary=True, outputs=outputs)
    result = triton_result(send(ARRAY, body, **headers))
    assert result.as_numpy("predict").tolist() == [0]
    np.testing.assert_allclose(result.as_numpy("predict_proba"), [[0.7, 0.3]])


def test_requests_of_one_frame_are_answered_apart() -> None:
    bodies = []
    for number in range(4):
        body, headers = triton_request({"x": np.full((number + 1, 2), number / 4.0)}, binary=True)
        bodies.append(
            Request(body, path=PATH, headers=[(k.replace("_", "-"), v) for k, v in headers.items()])
        )
    replies = ModelScorer(ARRAY).score([*bodies, Request(b"{}", path=PATH)])
    for number, reply in enumerate(replies[:4]):
        expected = [int(number / 2 > 0.5)] * (number + 1)
        assert triton_result(reply).as_numpy("predict").tolist() == expected
    assert replies[4].status == 400


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    body = json.dumps({"inputs": [TWO_ROWS]}).encode()
    assert send(ARRAY, pack(body), Content_Encoding=encoding).status == 200
    cut_short = send(ARRAY, pack(body)[:-6], Content_Encoding=encoding)
    assert cut_short.status == 400
    assert "not whole" in told(cut_short)["error"]
    assert send(ARRAY, body, Content_Encoding=encoding).status == 400


def test_a_body_that_unfolds_without_end_is_refused() -> None:
    megabyte = bytes(2**20)
    packer = zlib.compressobj(1)
    sent = [packer.compress(megabyte) for _ in range(compressed.LARGEST_INFLATED_BYTES // 2**20 + 1)]
    bomb = b"".join([*sent, packer.flush()])
    reply = send(ARRAY, bomb, Content_Encoding="deflate")
    assert reply.status == 400
    assert "unfolds to more than" in told(reply)["error"]


def test_an_encoding_that_nobody_reads_is_415() -> None:
    assert send(ARRAY, b"x", Content_Encoding="br").status == 415


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in TWO_ROWS.items() if name != key}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "the body is empty"),
        (b"{", "not JSON"),
        ([], "expected an inference request"),
        ({}, "inputs: expected a list of objects, missing"),
        ({"inputs": []}, "inputs: expected a list of objects, empty"),
        ({"inputs": {}}, "inputs: expected a list of objects, found an empty object"),
        ({"inputs": [1]}, "inputs: expected objects, found 1"),
        ({"inputs": [without("name")]}, "the name of an input: expected a string, found none"),
        ({"inputs": [without("datatype")]}, "tensor 'input': datatype None is not one of BOOL"),
        ({"inputs": [{**TWO_ROWS, "datatype": "FLOAT"}]}, "datatype 'FLOAT' is not one of"),
        ({"inputs": [without("shape")]}, "tensor 'input': shape is None, expected a list"),
        ({"inputs": [{**TWO_ROWS, "shape": [-1, 2]}]}, "shape holds -1"),
        ({"inputs": [without("data")]}, "neither data nor binary_data_size"),
        ({"inputs": [TWO_ROWS, TWO_ROWS]}, "inputs: named twice: 'input'"),
        ({"inputs": [{**TWO_ROWS, "shape": [1, 4]}]}, "expected the shape (rows, 2), found (1, 4)"),
        ({"inputs": [{**TWO_ROWS, "shape": [4]}]}, "expected the shape (rows, 2), found (4)"),
        ({"inputs": [{**TWO_ROWS, "shape": [3, 2]}]}, "shape [3, 2] holds 6 elements"),
        ({"inputs": [TWO_ROWS], "id": 7}, "id: expected a string, found 7"),
        ({"inputs": [TWO_ROWS], "parameters": []}, "parameters of the request: expected an object"),
        (
            {"inputs": [TWO_ROWS], "parameters": {"binary_data_output": 1}},
            "binary_data_output of the request",
        ),
        ({"inputs": [TWO_ROWS], "outputs": [{"name": "score"}]}, "no output 'score'; it has 'predict', "),
        ({"inputs": [TWO_ROWS], "outputs": [{"name": "predict"}] * 2}, "outputs: named twice: 'predict'"),
        ({"inputs": [TWO_ROWS], "outputs": 3}, "outputs: expected a list of objects, found 3"),
        (
            {"inputs": [TWO_ROWS], "outputs": [{"name": "predict", "parameters": {"classification": 3}}]},
            "the classification extension is not served here",
        ),
        (
            {"inputs": [{**without("data"), "parameters": {"shared_memory_region": "r"}}]},
            "shared memory is not served here",
        ),
        ({"inputs": [{**TWO_ROWS, "parameters": {"binary_data_size": 8}}]}, "both data and binary_data_size"),
        (
            {"inputs": [{**without("data"), "parameters": {"binary_data_size": 8}}]},
            "binary_data_size is 8, but 0 bytes are left",
        ),
    ],
)
def test_what_is_wrong_is_named(body: Any, complaint: str) -> None:
    reply = send(ARRAY, body)
    assert reply.status == 400
    assert list(told(reply)) == ["error"]
    assert complaint in told(reply)["error"]


def test_a_wrong_column_is_named_with_what_was_expected() -> None:
    age = tensor("age", "BYTES", [1], ["old"])
    name = tensor("name", "BYTES", [1], ["Ann"])
    fit = tensor("fit", "BOOL", [1], [True])
    reply = send(TABLE, {"inputs": [age, name, fit]})
    assert reply.status == 400
    assert "'age'" in told(reply)["error"]
    assert "float64" in told(reply)["error"]
    missing = send(TABLE, {"inputs": [name, fit]})
    assert "missing column: 'age'" in told(missing)["error"]


@pytest.mark.parametrize(
    ("size", "rest", "length", "complaint"),
    [
        (32, b"\0" * 31, None, "binary_data_size is 32, but 31 bytes are left"),
        (32, b"\0" * 33, None, "add up to 32 bytes, but 33 follow"),
        (-1, b"", None, "binary_data_size is -1"),
        (31, b"\0" * 31, None, "FP64 of shape [2, 2] takes 32 bytes, got 31"),
        ("32", b"\0" * 32, None, "binary_data_size is the string"),
        (32, b"\0" * 32, "999999", "999999 is no length of the JSON"),
        (32, b"\0" * 32, "-1", "-1 is no length of the JSON"),
        (32, b"\0" * 32, "0", "0 is no length of the JSON"),
        (32, b"\0" * 32, "5", "not JSON"),
    ],
)
def test_binary_sizes_that_do_not_add_up(size: Any, rest: bytes, length: str | None, complaint: str) -> None:
    header = json.dumps({"inputs": [{**without("data"), "parameters": {"binary_data_size": size}}]}).encode()
    sent = length or str(len(header))
    reply = send(ARRAY, header + rest, Inference_Header_Content_Length=sent)
    assert reply.status == 400
    assert complaint in told(reply)["error"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "datatype", "data", "parameters", "binary_data_size", "id"]),
            inner,
        )
    ),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(anything, max_size=2)}, optional={"outputs": anything, "id": anything}
    )
)
def test_any_request_is_answered_or_refused(body: Any) -> None:
    for model in (ARRAY, TABLE, TENSORS, UNKNOWN):
        reply = send(model, json.dumps(body).encode())
        assert reply.status in (200, 400), reply.body
        assert told(reply)


@given(st.binary(max_size=60), st.text(alphabet="0123456789- ", max_size=4))
def test_any_bytes_are_refused(body: bytes, length: str) -> None:
    reply = send(ARRAY, body, Inference_Header_Content_Length=length)
    assert reply.status == 400
    assert list(told(reply)) == ["error"]


def test_deep_nesting_is_refused() -> None:
    deep = (
        b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": '
        + b"[" * 900
        + b"]" * 900
        + b"}]}"
    )
    assert send(ARRAY, deep).status == 400
    assert send(ARRAY, b"[" * 100_000).status == 400


def test_no_rows_are_no_error() -> None:
    reply = send(ARRAY, {"inputs": [tensor("x", "FP64", [0, 2], [])], "outputs": [{"name": "predict_proba"}]})
    assert told(reply)["outputs"][0]["shape"] == [0]


@pytest.mark.parametrize(
    ("result", "datatype", "shape", "data"),
    [
        (np.array([1.5, np.nan, np.inf]), "FP64", [3], [1.5, None, None]),
        (np.array(["a", "b"]), "BYTES", [2], ["a", "b"]),
        (np.array([True, False]), "BOOL", [2], [True, False]),
        (np.array(["2020-01-02", "NaT"], dtype="datetime64[D]"), "BYTES", [2], ["2020-01-02", "NaT"]),
        (np.array([1, None, 2.5], dtype=object), "FP64", [3], [1.0, None, 2.5]),
        (np.array([2**70, 1], dtype=object), "FP64", [2], [2.0**70, 1.0]),
        ([{"label": 1}, {"label": 2}], "BYTES", [2], ['{"label":1}', '{"label":2}']),
        ([[1], [2, 3]], "BYTES", [2], ["[1]", "[2,3]"]),
        ([[1, 2], [3, 4]], "INT64", [2, 2], [1, 2, 3, 4]),
        (["x", None], "BYTES", [2], ["x", ""]),
        (["x", 1], "BYTES", [2], ["x", "1"]),
        (np.array([1 + 2j]), "FP64", [1, 2], [1.0, 2.0]),
        (np.array([1.5], dtype=np.longdouble), "FP64", [1], [1.5]),
        (np.array([3], dtype=">i4"), "INT32", [1], [3]),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_whatever_a_model_answers_is_carried(
    result: Any, datatype: str, shape: list[int], data: list[Any], binary: bool
) -> None:
    model = model_of(
        Signature("array", (Field("x", "float64", (-1,)),)), lambda method, given, params: result
    )
    rows_in = tensor("x", "FP64", [shape[0]], [0] * shape[0])
    reply = send(model, {"inputs": [rows_in], "parameters": {"binary_data_output": binary}})
    found = triton_result(reply)
    output = found.get_output("predict")
    assert output["datatype"] == datatype
    assert output["shape"] == shape
    if not binary:
        assert output["data"] == data
    elif datatype == "BYTES":
        assert [text.decode() for text in found.as_numpy("predict")] == data
    elif None not in data:
        assert found.as_numpy("predict").ravel().tolist() == data


def test_a_data_frame_answers_a_tensor_a_column() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "score": [0.5, 0.25],
            "label": pd.Categorical(["a", "b"]),
            "count": pd.array([1, None], dtype="Int64"),
            "whole": pd.array([1, 2], dtype="Int64"),
        }
    )
    model = model_of(Signature("array", (Field("x", "float64", (-1,)),)), lambda method, given, params: frame)
    outputs = told(send(model, {"inputs": [tensor("x", "FP64", [2], [0, 0])]}))["outputs"]
    assert [(each["name"], each["datatype"], each["data"]) for each in outputs] == [
        ("score", "FP64", [0.5, 0.25]),
        ("label", "BYTES", ["a", "b"]),
        ("count", "FP64", [1.0, None]),
        ("whole", "INT64", [1, 2]),
    ]


def test_metadata_is_what_the_signature_says() -> None:
    model = model_of(
        Signature(
            "table",
            (
                Field("age", "float32"),
                Field("city", "category", categories=("a", "b")),
                Field("size", "category"),
            ),
            (Field("predict", "int64"), Field("predict_proba", "float64", (-1, 2))),
        ),
        classify,
    )
    assert openinference.metadata(model, version="2") == {
        "name": "m",
        "versions": ["2"],
        "platform": "sklearn_pickle",
        "inputs": [
            {"name": "age", "datatype": "FP32", "shape": [-1]},
            {"name": "city", "datatype": "BYTES", "shape": [-1]},
            {"name": "size", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "predict", "datatype": "INT64", "shape": [-1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }
    assert "versions" not in openinference.metadata(model)
