"""From what ``run`` returned to the answer on the wire. Runs in workers: Python 3.8, standard library only."""

from __future__ import annotations

import json
import sys
from typing import Any

from penstock.scoring.interface import Reply
from penstock.scoring.scripts.raw_response import RawResponse

FAILED, NOT_FAILED = ("x-ms-run-function-failed", "True"), ("x-ms-run-function-failed", "False")
_LEAST_STATUS, _GREATEST_STATUS = 200, 999
_BODILESS = (204, 304)
_OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "upgrade", "trailer")
"""Headers that say how an answer is sent; that is the gateway's business, and a wrong word would cut it short."""
_NO_RESPONSE = (str, dict, list, int, float, bool, tuple, type(None))


def error_reply(status: int, message: str, *, run_failed: bool = False) -> Reply:
    """``{"message": ...}``, the body of every error that this side answers."""
    return Reply(
        json.dumps({"message": message}).encode(),
        status=status,
        headers=(FAILED if run_failed else NOT_FAILED,),
    )


def options_reply() -> Reply:
    """The answer to OPTIONS outside rawhttp; CORS headers are the gateway's."""
    return Reply(b"", content_type="text/html; charset=utf-8", headers=(NOT_FAILED,))


def result_reply(result: Any, elapsed_ms: float) -> Reply:
    """The answer that carries `result`: a response object as it is, anything else as JSON.

    Raises TypeError or ValueError when `result` is no JSON, whatever a response raises while it is read.
    """
    timing = ("x-ms-run-fn-exec-ms", "%.3f" % elapsed_ms)  # noqa: UP031 - the fastest form, on the hot path
    if type(result) not in _NO_RESPONSE:
        if isinstance(result, RawResponse):
            return _with(result.to_reply(), timing)
        flask = sys.modules.get("flask")
        if flask is not None and isinstance(result, flask.Response):
            return _with(flask_reply(result), timing)
    # None leaves as an empty object, as the inference server has it.
    return Reply(json.dumps({} if result is None else result).encode(), headers=(NOT_FAILED, timing))


def _with(reply: Reply, timing: tuple[str, str]) -> Reply:
    if not _LEAST_STATUS <= reply.status <= _GREATEST_STATUS:
        # Below are interim answers, after which the caller would wait for the real one.
        raise ValueError(f"{reply.status} is no status of an answer")
    if reply.status in _BODILESS:
        reply.body = b""
    headers = [header for header in reply.headers if header[0].lower() not in _OF_THE_CONNECTION]
    if reply.status >= 500:
        headers = [header for header in headers if header[0].lower() != FAILED[0]]
        headers.append(FAILED)
    headers.append(timing)
    reply.headers = headers
    return reply


def flask_reply(response: Any) -> Reply:
    """A Flask response, its body read to the end (a generator too), its headers in order."""
    headers: list[tuple[str, str]] = []
    content_type = ""
    # send_file() marks its response so that a server may pass the file on; here it is read.
    response.direct_passthrough = False
    try:
        body = response.get_data()
    finally:
        response.close()
    for name, value in response.headers.items():
        lower = name.lower()
        if lower == "content-type" and not content_type:
            content_type = value
        elif lower != "content-length":
            headers.append((name, value))
    return Reply(body, status=response.status_code, content_type=content_type, headers=headers)
