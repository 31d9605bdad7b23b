"""A scoring script behind the one door: what goes in, what comes out, what it costs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from script_bench import opened, untouched, write

from penstock.scoring.interface import Reply, Request
from penstock.scoring.scripts.scorer import ScriptScorer


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    with untouched():
        yield


def answer(scorer: ScriptScorer, request: Request) -> Reply:
    (reply,) = scorer.score([request])
    return reply


def calls_of(action: Callable[[], object]) -> int:
    """How many functions `action` calls, itself among them, once it is warm."""
    action()
    calls = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: calls.append(event) if event in ("call", "c_call") else None)
    try:
        action()
    finally:
        sys.setprofile(before)
    return len(calls)


def header(reply: Reply, name: str) -> str:
    return dict(reply.headers)[name]


def test_a_plain_run_gets_text_and_its_result_leaves_as_json(tmp_path):
    write(tmp_path, "def run(data):\n    return {'n': len(data)}\n")
    reply = answer(opened(tmp_path), Request(b"abc"))
    assert (reply.status, reply.body, reply.content_type) == (200, b'{"n": 3}', "application/json")
    assert header(reply, "x-ms-run-function-failed") == "False"
    assert float(header(reply, "x-ms-run-fn-exec-ms")) >= 0


def test_requests_are_answered_in_order_and_fail_alone(tmp_path):
    write(tmp_path, "def run(data):\n    return 1 / int(data)\n")
    replies = opened(tmp_path).score([Request(b"1"), Request(b"0"), Request(b"2")])
    assert [reply.status for reply in replies] == [200, 500, 200]
    assert [reply.body for reply in replies][::2] == [b"1.0", b"0.5"]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary())
def test_any_body_is_text_for_run_or_a_400(tmp_path_factory, body):
    if not hasattr(test_any_body_is_text_for_run_or_a_400, "scorer"):
        folder = tmp_path_factory.mktemp("echo")
        write(folder, "def run(data):\n    return data\n")
        test_any_body_is_text_for_run_or_a_400.scorer = opened(folder)
    reply = answer(test_any_body_is_text_for_run_or_a_400.scorer, Request(body))
    try:
        expected = body.decode()
    except UnicodeDecodeError:
        assert reply.status == 400
    else:
        assert (reply.status, json.loads(reply.body)) == (200, expected)


def test_request_headers_arrive_under_their_canonical_names(tmp_path):
    write(tmp_path, "def run(request_headers, data):\n    return request_headers\n")
    scorer = opened(tmp_path)
    sent = [("x-ms-REQUEST-id", "1"), ("accept", "a"), ("Accept", "b")]
    assert json.loads(answer(scorer, Request(b"", headers=sent)).body) == {
        "X-Ms-Request-Id": "1",
        "Accept": "a,b",
    }
    assert scorer.describe().wants_headers


def test_a_script_that_cannot_see_headers_does_not_ask_for_them(tmp_path):
    write(tmp_path, "def run(data):\n    return 1\n")
    assert not opened(tmp_path).describe().wants_headers


def test_exit_in_run_fails_the_request_and_not_the_worker(tmp_path):
    write(tmp_path, "import sys\ndef run(data):\n    sys.exit(1)\n")
    reply = answer(opened(tmp_path), Request(b""))
    assert reply.status == 500
    assert header(reply, "x-ms-run-function-failed") == "True"


def test_a_failing_run_is_logged_with_the_users_frames_only(tmp_path, caplog):
    write(tmp_path, "def inner():\n    raise KeyError('x')\ndef run(data):\n    return inner()\n")
    with caplog.at_level(logging.ERROR):
        answer(opened(tmp_path), Request(b""))
    assert "in inner" in caplog.text
    assert "KeyError: 'x'" in caplog.text
    assert "scoring/scripts/scorer.py" not in caplog.text


def test_a_result_that_is_no_json_is_logged_with_its_type(tmp_path, caplog):
    write(tmp_path, "def run(data):\n    return {1, 2}\n")
    with caplog.at_level(logging.ERROR):
        assert answer(opened(tmp_path), Request(b"")).status == 500
    assert "run() returned set, which cannot be sent" in caplog.text


def test_scoring_timeout_ends_run_and_no_except_clause_can_stop_it(tmp_path):
    source = """
        import time
        def run(data):
            try:
                time.sleep(float(data))
            except Exception:
                return "swallowed"
            return "slept"
    """
    write(tmp_path, source)
    scorer = opened(tmp_path, SCORING_TIMEOUT_MS="500")
    late = answer(scorer, Request(b"5"))
    assert (late.status, json.loads(late.body)) == (500, {"message": "Scoring timeout after 500 ms"})
    assert answer(scorer, Request(b"0")).body == b'"slept"'


def test_siblings_are_imported_plainly_and_relatively(tmp_path):
    write(tmp_path / "app", "WORD = 'plain'\n", "plain_sibling.py")
    write(tmp_path / "app", "WORD = 'relative'\n", "relative_sibling.py")
    source = """
        import plain_sibling
        from .relative_sibling import WORD
        def run(data):
            return [plain_sibling.WORD, WORD]
    """
    write(tmp_path, source, "app/score.py")
    assert json.loads(answer(opened(tmp_path, "app/score.py"), Request(b"")).body) == ["plain", "relative"]


def test_without_a_script_name_main_py_is_taken(tmp_path):
    write(tmp_path, "def run(data):\n    return __name__\n", "main.py")
    assert answer(opened(tmp_path, ""), Request(b"")).body == b'"main"'


def test_classes_of_the_script_can_be_pickled_by_name(tmp_path):
    source = """
        import pickle
        class Model: pass
        def run(data):
            return type(pickle.loads(pickle.dumps(Model()))).__name__
    """
    write(tmp_path, source)
    assert answer(opened(tmp_path), Request(b"")).body == b'"Model"'


def test_one_script_leaves_no_mark_on_the_next(tmp_path):
    pytest.importorskip("numpy")
    raw = """
        from azureml.contrib.services.aml_request import rawhttp
        @rawhttp
        def run(request):
            return request.method
    """
    schema = """
        from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
        from inference_schema.schema_decorators import input_schema
        @input_schema("n", StandardPythonParameterType(1))
        def run(n):
            return n
    """
    write(tmp_path / "a", raw)
    write(tmp_path / "b", schema)
    write(tmp_path / "c", "def run(data):\n    return data\n")
    assert answer(opened(tmp_path / "a"), Request(b"", method="PATCH")).body == b'"PATCH"'
    assert answer(opened(tmp_path / "b"), Request(b'{"n": 4}')).body == b"4"
    assert answer(opened(tmp_path / "c"), Request(b"x")).body == b'"x"'


def test_logging_json_governs_print_and_loggers(tmp_path):
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "azure": {
                "()": "azureml_inference_server_http.log_config.AMLLogFormatter",
                "fmt": "%(name)s|%(message)s",
            }
        },
        "handlers": {
            "file": {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "formatter": "azure"}
        },
        "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["file"], "propagate": False}},
    }
    (tmp_path / "logging.json").write_text(json.dumps(config))
    write(tmp_path, "def run(data):\n    print('seen', data)\n    return 1\n")
    try:
        answer(opened(tmp_path), Request(b"x"))
    finally:
        logger = logging.getLogger("azmlinfsrv")
        for handler in list(logger.handlers):
            handler.close()
            logger.removeHandler(handler)
        logger.propagate = True
    assert "azmlinfsrv.print|seen x" in (tmp_path / "log").read_text()


def test_the_door_costs_a_few_calls(tmp_path):
    """Counted, not timed: what stands between a request and the script's run is a handful of functions."""
    write(tmp_path, "import json\ndef run(data):\n    return {'n': len(json.loads(data)['data'])}\n")
    scorer = opened(tmp_path)
    requests = [Request(b'{"data": [[1, 2, 3]]}')]
    text = requests[0].body.decode()
    through = calls_of(lambda: scorer.score(requests))
    alone = calls_of(lambda: scorer._run(data=text))
    assert 0 < alone < through <= alone + 20, (alone, through)


def test_a_version_clash_at_start_becomes_a_note(tmp_path):
    init = """
import warnings
def init():
    warnings.warn("Trying to unpickle estimator Ridge from version 0.24.2 when using version 1.9.1. "
                  "This might lead to breaking code or invalid results.", UserWarning)
"""
    write(tmp_path, "def run(data):\n    return 1\n", init=init)
    (note,) = opened(tmp_path).describe().notes
    assert "scikit-learn 0.24.2" in note
    assert "with 1.9.1" in note
