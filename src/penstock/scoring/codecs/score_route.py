"""The codec of ``/score`` (Azure ML) and ``/invocations`` (MLflow): JSON, CSV or Arrow in, the same out.

The two routes read the same. ``/score`` answers the bare value, as Azure ML's no-code deployments do, and
errors as ``{"message": ...}``; ``/invocations`` answers ``{"predictions": ...}`` and adds MLflow's
``error_code``. Runs in workers: Python 3.8.
"""

from __future__ import annotations

from typing import Any, Mapping

from penstock import errors
from penstock.scoring.codecs import (
    accept,
    answers,
    arrow_stream,
    compressed,
    csv_text,
    envelopes,
    json_text,
    schema,
)
from penstock.scoring.codecs.interface import Call
from penstock.scoring.interface import Model, Reply, Request

SCORE = "/score"
INVOCATIONS = "/invocations"
"""How the paths of the two routes end; a deployment may put a prefix before them."""


class ScoreRoute:
    """See the module. `Call.form` is the content type of the answer and whether it is wrapped."""

    def decode(self, request: Request, model: Model) -> Call:
        """See `Codec.decode`."""
        answer = accept.answer_type(request)
        if answer == accept.ARROW:
            _require_arrow()
        data, method, params = _read(request, model)
        return Call(
            data,
            schema.row_count(data),
            method=envelopes.method_of(model, method, envelopes.method_asked(request.query)),
            params=params,
            form=(answer, request.path.endswith(INVOCATIONS)),
        )

    def encode(self, result: Any, call: Call, model: Model) -> Reply:
        """See `Codec.encode`."""
        content_type, wrapped = call.form
        output = next((field for field in model.signature.outputs if field.name == call.method), None)
        body = answers.write(result, content_type, output, wrapped=wrapped)
        return Reply(body, content_type=content_type)

    def refuse(self, status: int, message: str, request: Request) -> Reply:
        """See `Codec.refuse`."""
        said = {"message": message}
        if request.path.endswith(INVOCATIONS):
            said["error_code"] = "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST"
        return Reply(json_text.dumps(said), status=status)


def _read(request: Request, model: Model) -> tuple[Any, str, Mapping[str, Any]]:
    body_type = accept.body_type(request)
    body = compressed.inflated(request)
    if body_type == accept.CSV:
        return csv_text.read(body, model), "", {}
    if body_type == accept.ARROW:
        return arrow_stream.read(body, model), "", {}
    return envelopes.read(json_text.loads(body), model)


def _require_arrow() -> None:
    try:
        answers.arrow_library()
    except errors.UnsupportedMedia as error:
        raise errors.NotAcceptable(error.message) from None
