"""The Open Inference Protocol's routes: what the gateway answers, and what it leaves to a worker."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.realtime.protocols.openinference import OpenInference, Reply

INFERENCE = {
    "name": "iris model",
    "versions": ["3"],
    "platform": "sklearn_pickle",
    "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 4]}],
    "outputs": [],
}


@pytest.fixture
def routes() -> OpenInference:
    routes = OpenInference()
    routes.describe(INFERENCE)
    return routes


def get(routes: OpenInference, path: str, *, ready: bool = True) -> Reply:
    return routes.answer(b"GET", path.encode(), ready=ready)


def told(reply: Reply) -> Any:
    return json.loads(reply.body)


def test_server_metadata(routes: OpenInference) -> None:
    found = told(get(routes, "/v2"))
    assert found["name"] == "penstock"
    assert "binary_tensor_data" in found["extensions"]
    assert get(routes, "/v2/") == get(routes, "/v2")


@pytest.mark.parametrize("path", ["/v2/health/ready", "/v2/models/iris%20model/ready"])
def test_readiness_tells_the_truth(routes: OpenInference, path: str) -> None:
    assert get(routes, path).status == 200
    assert told(get(routes, path))["ready"] is True
    unready = get(routes, path, ready=False)
    assert 400 <= unready.status < 500
    assert told(unready)["ready"] is False
    assert unready.is_health


def test_live_even_when_not_ready(routes: OpenInference) -> None:
    assert get(routes, "/v2/health/live", ready=False).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/iris%20model",
        "/v2/models/iris model",
        "/v2/models/iris%20model/versions/3",
        "/v2/models/%69ris%20model",
    ],
)
def test_model_metadata_under_every_spelling(routes: OpenInference, path: str) -> None:
    assert told(get(routes, path)) == INFERENCE


def test_inference_paths_are_known_ahead(routes: OpenInference) -> None:
    assert b"/v2/models/iris%20model/infer" in routes.infer_paths
    assert b"/v2/models/iris%20model/versions/3/infer" in routes.infer_paths
    assert b"/v2/models/other/infer" not in routes.infer_paths


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        "/v2/models/other/infer",
        "/v2/models/iris%20model/versions/9",
        "/v2/models",
        "/v2/nothing",
    ],
)
def test_what_is_not_there_is_404_with_an_error(routes: OpenInference, path: str) -> None:
    reply = routes.answer(b"POST", path.encode(), ready=True)
    assert reply.status == 404
    assert path in told(reply)["error"]


def test_a_wrong_method_is_told_the_right_one(routes: OpenInference) -> None:
    reply = get(routes, "/v2/models/iris%20model/infer")
    assert reply.status == 405
    assert reply.head == b"allow: POST\r\n"
    assert routes.answer(b"DELETE", b"/v2", ready=True).status == 405
    assert routes.answer(b"HEAD", b"/v2", ready=True).status == 200


def index(routes: OpenInference, body: bytes = b"", *, ready: bool = True) -> Any:
    return told(routes.answer(b"POST", b"/v2/repository/index", body, ready=ready))


def test_repository_index(routes: OpenInference) -> None:
    assert index(routes) == [{"name": "iris model", "version": "3", "state": "READY", "reason": ""}]
    assert index(routes, b'{"ready": true}', ready=False) == []
    assert index(routes, b'{"ready": false}', ready=False)[0]["state"] == "UNAVAILABLE"
    assert "error" in index(routes, b"[1]")
    assert "error" in index(routes, b"{")


def test_load_is_nothing_new_and_unload_is_refused(routes: OpenInference) -> None:
    models = b"/v2/repository/models/"
    assert routes.answer(b"POST", models + b"iris%20model/load", ready=True).status == 200
    unload = routes.answer(b"POST", models + b"iris%20model/unload", ready=True)
    assert unload.status == 400
    assert "one model" in told(unload)["error"]
    assert routes.answer(b"POST", models + b"other/load", ready=True).status == 404


def test_a_script_has_no_model_but_is_healthy() -> None:
    routes = OpenInference()
    routes.describe(None)
    assert routes.infer_paths == frozenset()
    assert get(routes, "/v2/health/ready").status == 200
    assert "scoring script" in told(get(routes, "/v2/models/x"))["error"]
    assert index(routes) == []


def test_before_a_worker_has_loaded() -> None:
    routes = OpenInference()
    assert get(routes, "/v2/models/x", ready=False).status == 503
    assert get(routes, "/v2", ready=False).status == 200


def test_under_a_prefix() -> None:
    routes = OpenInference(prefix=b"/svc")
    routes.describe(INFERENCE)
    assert get(routes, "/svc/v2/models/iris%20model").status == 200
    assert routes.owns(b"/svc/v2/anything")
    assert routes.owns(b"/svc/v2")
    assert not routes.owns(b"/svc/v22")
    assert not routes.owns(b"/v2")


@given(
    st.text(min_size=1).filter(lambda name: name.strip("/") == name),
    st.sampled_from([b"GET", b"POST", b"PUT"]),
    st.binary(max_size=40),
    st.binary(max_size=20),
    st.booleans(),
)
def test_any_path_gets_json(name: str, method: bytes, tail: bytes, body: bytes, ready: bool) -> None:
    routes = OpenInference()
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    routes.describe({**INFERENCE, "name": name})
    reply = routes.answer(method, b"/v2/" + tail, body, ready=ready)
    assert 200 <= reply.status < 600
    assert told(reply) is not None
