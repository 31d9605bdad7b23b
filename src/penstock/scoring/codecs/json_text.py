"""JSON text to values and back: orjson where the environment has it, the standard library otherwise.

Read leniently, written strictly: the ``NaN`` and ``Infinity`` that Python clients send are read; what is
written is JSON, where a number that JSON cannot say is ``null``. Runs in workers: Python 3.8.
"""

from __future__ import annotations

import json
import math
from typing import Any, Callable

from penstock import errors

try:
    import orjson
except ImportError:  # the deployment's environment need not bring it
    orjson = None  # type: ignore[assignment] # its absence is a value here


# Made once: `json.dumps` with any option makes its encoder anew each time.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder().decode


def _standard_loads(body: bytes) -> Any:
    return _decode(str(body, "utf-8"))


quick_loads: Callable[[bytes], Any] = orjson.loads if orjson is not None else _standard_loads
"""For callers that fall back on `loads` whatever is raised: ValueError or RecursionError."""


def loads(body: bytes) -> Any:
    """The value of a JSON `body`. Raises MalformedInput, which says where the text goes wrong."""
    if not body or body.isspace():
        raise errors.MalformedInput("the body is empty; expected JSON")
    if orjson is not None:
        try:
            return orjson.loads(body)
        except ValueError:
            pass  # NaN, a byte order mark or UTF-16 are read below; everything else is explained there
    try:
        return json.loads(body)
    except UnicodeDecodeError as error:
        raise errors.MalformedInput(f"the body is not UTF-8: {error}") from None
    except RecursionError:
        raise errors.MalformedInput("the body is not usable JSON: it is nested too deeply") from None
    except ValueError as error:
        raise errors.MalformedInput(f"the body is not JSON: {error}") from None


def dumps(value: Any) -> bytes:
    """JSON text of dicts, lists, strings, numbers, booleans and None. Raises TypeError for anything else."""
    if orjson is not None:
        try:
            return orjson.dumps(value)
        except TypeError:
            pass  # integers beyond 64 bits, keys that are no strings, lone surrogates
    try:
        return _encode(value).encode()
    except ValueError:
        return _encode(_finite(value)).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
