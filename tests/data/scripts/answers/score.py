"""Undecorated, by the older import names: one kind of answer for each word that is asked for."""

import decimal

import numpy as np
from azureml.contrib.services.aml_request import AMLRequest  # noqa: F401 - official examples import it unused
from azureml.contrib.services.aml_response import AMLResponse


def init():
    pass


ANSWERS = {
    "string": lambda: '{"already": "json"}',
    "none": lambda: None,
    "number": lambda: 1.5,
    "nan": lambda: [float("nan"), float("inf")],
    "unicode": lambda: {"gr\u00fc\u00dfe": "\u4e16\u754c"},
    "tuple": lambda: (1, (2, 3)),
    "keys": lambda: {1: "a", None: "b", True: "c"},
    "array": lambda: np.array([1.0]),
    "scalar": lambda: np.float64(1.5),
    "integer": lambda: np.int64(1),
    "set": lambda: {1, 2},
    "decimal": lambda: decimal.Decimal("1.5"),
    "bytes": lambda: b"abc",
    "circular": lambda: (lambda made: made.append(made) or made)([]),
    "response-none": lambda: AMLResponse(None, 200),
    "response-json": lambda: AMLResponse({"a": [1]}, 200, json_str=True),
    "response-text": lambda: AMLResponse("plain text", 200),
    "response-bytes": lambda: AMLResponse(b"\x00\xff", 202, {"Content-Type": "image/png"}),
    "response-dict": lambda: AMLResponse({"key": "value"}, 200),
    "response-list": lambda: AMLResponse(["one", "two"], 200),
    "response-headers": lambda: AMLResponse("x", 200, {"X-List": "a,b , c", "Cache-Control": "no-store"}),
    "response-400": lambda: AMLResponse({"message": "your fault"}, 400, json_str=True),
    "response-500": lambda: AMLResponse("my fault", 500),
    "response-503": lambda: AMLResponse("busy", 503, {"Retry-After": "7"}),
    "response-failed": lambda: AMLResponse("x", 200, run_function_failed=True),
    "response-number": lambda: AMLResponse(5, 200),
    "response-empty": lambda: AMLResponse("", 200),
    "response-204": lambda: AMLResponse("", 204),
    "response-charset": lambda: AMLResponse("x", 200, {"Content-Type": "text/csv; charset=latin-1"}),
}


def run(data):
    return ANSWERS[data]()
