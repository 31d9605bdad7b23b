"""The Open Inference Protocol as its own client speaks it: the real tritonclient against the real server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException

from support.servers import Server, serving

pytestmark = pytest.mark.slow

KEY = "a-key-for-triton"
HEADERS = {"Authorization": f"Bearer {KEY}"}

PEOPLE = pd.DataFrame(
    {
        "age": [20.0, 31.0, 44.0, 58.0, 29.0, 63.0],
        "city": ["Oslo", "Bergen", "Tromsø", "Oslo", "Bergen", "Tromsø"],
        "years": [1, 9, 20, 33, 5, 40],
    }
)


@pytest.fixture(scope="module")
def model() -> Pipeline:
    columns = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["age", "years"]))
    fitted = make_pipeline(columns, LogisticRegression()).fit(PEOPLE, ["no", "no", "yes", "yes", "no", "yes"])
    assert isinstance(fitted, Pipeline)
    return fitted


@pytest.fixture(scope="module")
def server(model: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("model") / "people.pkl"
    joblib.dump(model, path)
    with serving(str(path), "--auth-key", KEY, cwd=Path(path).parent) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(
        f"127.0.0.1:{server.port}", network_timeout=30, connection_timeout=30
    ) as client:
        yield client


def inputs_of(frame: pd.DataFrame, *, binary: bool, shape: str = "column") -> list[InferInput]:
    inputs = []
    for name, datatype in (("age", "FP64"), ("city", "BYTES"), ("years", "INT64")):
        array = frame[name].to_numpy(dtype=object if datatype == "BYTES" else None)
        array = array.reshape(-1, 1) if shape == "matrix" else array
        tensor = InferInput(name, list(array.shape), datatype)
        inputs.append(tensor.set_data_from_numpy(array, binary_data=binary))
    return inputs


def infer(client: InferenceServerClient, inputs: list[InferInput], **more: Any) -> InferResult:
    # The client writes into the headers that it is given.
    return client.infer("people", inputs, headers=dict(HEADERS), **more)


def texts(array: Any) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else text for text in array]


def test_health_and_metadata(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("people", headers=HEADERS)
    assert not client.is_model_ready("other", headers=HEADERS)
    server = client.get_server_metadata(headers=HEADERS)
    assert server["name"] == "penstock"
    assert "binary_tensor_data" in server["extensions"]
    found = client.get_model_metadata("people", headers=HEADERS)
    assert found["name"] == "people"
    assert [(tensor["name"], tensor["datatype"], tensor["shape"]) for tensor in found["inputs"]] == [
        ("age", "FP64", [-1]),
        ("city", "BYTES", [-1]),
        ("years", "FP64", [-1]),
    ]
    assert {"name": "predict", "datatype": "BYTES", "shape": [-1]} in found["outputs"]


@pytest.mark.parametrize("shape", ["column", "matrix"])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_columns_in_labels_out(
    client: InferenceServerClient, model: Pipeline, shape: str, binary_in: bool, binary_out: bool
) -> None:
    outputs = [InferRequestedOutput("predict", binary_data=binary_out)]
    inputs = inputs_of(PEOPLE, binary=binary_in, shape=shape)
    result = infer(client, inputs, outputs=outputs, request_id="77")
    assert texts(result.as_numpy("predict")) == model.predict(PEOPLE).tolist()
    assert result.get_response()["id"] == "77"
    assert result.get_response()["model_name"] == "people"


def test_outputs_by_method(client: InferenceServerClient, model: Pipeline) -> None:
    outputs = [InferRequestedOutput("predict_proba"), InferRequestedOutput("predict", binary_data=False)]
    result = infer(client, inputs_of(PEOPLE, binary=True), outputs=outputs)
    np.testing.assert_array_equal(result.as_numpy("predict_proba"), model.predict_proba(PEOPLE))
    assert texts(result.as_numpy("predict")) == model.predict(PEOPLE).tolist()
    assert [output["name"] for output in result.get_response()["outputs"]] == ["predict_proba", "predict"]


def test_no_outputs_named(client: InferenceServerClient, model: Pipeline) -> None:
    result = infer(client, inputs_of(PEOPLE, binary=True))
    assert texts(result.as_numpy("predict")) == model.predict(PEOPLE).tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client: InferenceServerClient, model: Pipeline, algorithm: str) -> None:
    result = infer(
        client,
        inputs_of(PEOPLE, binary=True),
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert texts(result.as_numpy("predict")) == model.predict(PEOPLE).tolist()


def test_many_at_once_get_their_own(server: Server, model: Pipeline) -> None:
    with InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=8, network_timeout=30) as client:
        rows = [PEOPLE.iloc[[number % len(PEOPLE)]].assign(age=20.0 + number) for number in range(40)]
        asked = [
            client.async_infer(
                "people",
                inputs_of(row, binary=number % 2 == 0),
                outputs=[InferRequestedOutput("predict_proba", binary_data=number % 3 == 0)],
                headers=dict(HEADERS),
                request_id=str(number),
            )
            for number, row in enumerate(rows)
        ]
        for number, (pending, row) in enumerate(zip(asked, rows, strict=True)):
            result = pending.get_result()
            assert result.get_response()["id"] == str(number)
            np.testing.assert_allclose(result.as_numpy("predict_proba"), model.predict_proba(row), rtol=1e-12)


def refusal(client: InferenceServerClient, inputs: list[InferInput], **more: Any) -> InferenceServerException:
    with pytest.raises(InferenceServerException) as caught:
        infer(client, inputs, **more)
    return caught.value


def test_refusals_reach_the_client_in_words(client: InferenceServerClient) -> None:
    whole = inputs_of(PEOPLE, binary=True)
    missing = refusal(client, whole[:2])
    assert missing.status() == "400"
    assert "missing column: 'years'" in missing.message()
    unknown = refusal(client, whole, outputs=[InferRequestedOutput("price")])
    assert "no output 'price'" in unknown.message()
    text = InferInput("age", [6], "BYTES").set_data_from_numpy(PEOPLE["city"].to_numpy(dtype=object))
    wrong = refusal(client, [text, *whole[1:]])
    assert "'age'" in wrong.message()
    assert "float64" in wrong.message()
    classes = refusal(client, whole, outputs=[InferRequestedOutput("predict", class_count=2)])
    assert "classification" in classes.message()


def test_what_is_not_there(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("other", inputs_of(PEOPLE, binary=True), headers=dict(HEADERS))
    assert caught.value.status() == "404"
    assert "other" in caught.value.message()
    with pytest.raises(InferenceServerException) as caught:
        client.get_inference_statistics("people", headers=HEADERS)
    assert caught.value.status() == "404"


def test_repository(client: InferenceServerClient) -> None:
    (listed,) = client.get_model_repository_index(headers=HEADERS)
    assert (listed["name"], listed["state"]) == ("people", "READY")
    client.load_model("people", headers=HEADERS)
    with pytest.raises(InferenceServerException, match="one model"):
        client.unload_model("people", headers=HEADERS)
    with pytest.raises(InferenceServerException, match="other"):
        client.load_model("other", headers=HEADERS)


def test_without_a_key(server: Server, client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("people", inputs_of(PEOPLE, binary=True))
    assert caught.value.status() == "401"
    assert "key" in caught.value.message().lower()


def test_the_same_over_plain_http(server: Server, model: Pipeline) -> None:
    body = {
        "inputs": [
            {"name": "age", "shape": [1], "datatype": "FP64", "data": [31]},
            {"name": "years", "shape": [1], "datatype": "INT64", "data": [9]},
            {"name": "city", "shape": [1], "datatype": "BYTES", "data": ["Tromsø"]},
        ]
    }
    packed = gzip.compress(json.dumps(body).encode())
    headers = {**HEADERS, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    reply = server.request("POST", "/v2/models/people/infer", packed, headers)
    assert reply.status == 200
    frame = pd.DataFrame({"age": [31.0], "city": ["Tromsø"], "years": [9]})
    assert reply.json()["outputs"][0]["data"] == model.predict(frame).tolist()
    refused = server.request("GET", "/v2/models/people/infer", headers=HEADERS)
    assert refused.status == 405
    assert "error" in refused.json()
