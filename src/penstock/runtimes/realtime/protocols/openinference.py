"""The Open Inference Protocol's routes: which requests are inference and go to a worker, and the answers to
all others, which the gateway gives by itself. Pure; translates only.

Sources: the protocol's REST specification, and Triton's model repository extension. One server holds one
model: the repository lists it, loading it again changes nothing, and unloading it is refused.

Every path that can be answered is written out when the model is known, so a request costs one look-up,
whatever the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import orjson

import penstock

EXTENSIONS: Final = ("binary_tensor_data", "model_repository")

NOT_READY: Final = 400
"""The protocol asks for a 4xx where a server or model is not ready; Triton gives this one."""

_LONGEST_SHOWN = 120


class Reply(NamedTuple):
    """An answer: JSON, whose error form is ``{"error": ...}``. `head` is its own header lines. `is_health`
    tells health checks from the rest, for the counts."""

    status: int
    body: bytes
    head: bytes = b""
    is_health: bool = False


class _Asked(NamedTuple):
    """What an answer may depend on."""

    body: bytes
    ready: bool


_Answer = Callable[[_Asked], Reply]


def error(status: int, message: str, *, head: bytes = b"") -> Reply:
    """``{"error": message}``; also for refusals (no key, queue full) of requests to inference paths."""
    return Reply(status, orjson.dumps({"error": message}), head)


class OpenInference:
    """The routes of one deployment.

    `infer_paths`: a POST to one of them goes to a worker; empty until `describe` has named a model. `base`:
    every path of the protocol is this one or begins with it and a slash.
    """

    def __init__(self, *, prefix: bytes = b"") -> None:
        self.base = prefix + b"/v2"
        self.infer_paths: frozenset[bytes] = frozenset()
        self._is_described = False
        self._routes: dict[bytes, dict[bytes, _Answer]] = {}
        self.describe(None)
        self._is_described = False

    def describe(self, inference: Mapping[str, Any] | None) -> None:
        """Take over a worker's model metadata (`Description.inference`); None where it is a script."""
        self._is_described = True
        self._routes = self._server_routes()
        infer_paths: set[bytes] = set()
        if inference is not None:
            for path in self._model_paths(inference):
                infer_paths.add(path + b"/infer")
                self._routes.update(self._model_routes(path, inference))
            for model in _spellings(inference["name"]):
                repository = self.base + b"/repository/models/" + model
                self._routes[repository + b"/load"] = {b"POST": lambda asked: Reply(200, b"{}")}
                self._routes[repository + b"/unload"] = {b"POST": _refuse_unload}
        self._routes[self.base + b"/repository/index"] = {b"POST": _index(inference)}
        self.infer_paths = frozenset(infer_paths)

    def owns(self, path: bytes) -> bool:
        """Whether `path` is the protocol's."""
        return path.startswith(self.base) and path[len(self.base) : len(self.base) + 1] in (b"", b"/")

    def answer(self, method: bytes, path: bytes, body: bytes = b"", *, ready: bool) -> Reply:
        """The answer to a request that is no inference. `path` is as sent, without the query."""
        path = path.rstrip(b"/")
        routes = self._routes.get(path) or self._routes.get(unquote_to_bytes(path))
        if routes is None:
            return self._unknown(path, method)
        answer = routes.get(b"GET" if method == b"HEAD" else method)
        if answer is None:
            return _not_allowed(method, b", ".join(routes))
        return answer(_Asked(body, ready))

    def _server_routes(self) -> dict[bytes, dict[bytes, _Answer]]:
        server = _json({"name": "penstock", "version": penstock.__version__, "extensions": list(EXTENSIONS)})
        return {
            self.base: {b"GET": lambda asked: server},
            self.base + b"/health/live": {b"GET": lambda asked: _health({"live": True}, True)},
            self.base + b"/health/ready": {
                b"GET": lambda asked: _health({"ready": asked.ready}, asked.ready)
            },
        }

    def _model_paths(self, inference: Mapping[str, Any]) -> list[bytes]:
        models = [self.base + b"/models/" + name for name in _spellings(inference["name"])]
        versions = [v for version in inference.get("versions") or () for v in _spellings(version)]
        return models + [model + b"/versions/" + version for model in models for version in versions]

    def _model_routes(self, path: bytes, inference: Mapping[str, Any]) -> dict[bytes, dict[bytes, _Answer]]:
        metadata = _json(inference)
        name = inference["name"]
        return {
            path: {b"GET": lambda asked: metadata},
            path + b"/ready": {
                b"GET": lambda asked: _health({"name": name, "ready": asked.ready}, asked.ready)
            },
            # Here only for its 405: a POST never gets as far.
            path + b"/infer": {b"POST": lambda asked: error(404, _spell(path + b"/infer"))},
        }

    def _unknown(self, path: bytes, method: bytes) -> Reply:
        shown = _shown(path)
        models = self.base + b"/models/"
        if not path.startswith(models):
            return error(404, f"there is nothing at {shown}")
        if not self._is_described:
            return error(503, "no worker has loaded the model yet", head=b"retry-after: 1\r\n")
        if not self.infer_paths:
            return error(404, "this deployment is a scoring script, which has its own form: POST to /score")
        known = min(self.infer_paths, key=len).removesuffix(b"/infer").decode()
        return error(404, f"there is no model, version or route {shown}; the model is at {known}")


def _health(state: Mapping[str, Any], is_well: bool) -> Reply:
    return Reply(200 if is_well else NOT_READY, orjson.dumps(state), is_health=True)


def _index(inference: Mapping[str, Any] | None) -> _Answer:
    def answer(asked: _Asked) -> Reply:
        only_ready: Any = False
        if asked.body.strip():
            try:
                parsed = orjson.loads(asked.body)
            except orjson.JSONDecodeError as problem:
                return error(400, f"the body is not JSON: {problem}")
            only_ready = parsed.get("ready", False) if isinstance(parsed, dict) else None
            if type(only_ready) is not bool:
                return error(400, 'the body is {"ready": true}, {"ready": false} or empty')
        if inference is None or (only_ready and not asked.ready):
            return _json([])
        state = {"state": "READY", "reason": ""}
        if not asked.ready:
            state = {"state": "UNAVAILABLE", "reason": "no worker is ready"}
        versions = inference.get("versions") or [""]
        return _json([{"name": inference["name"], "version": version, **state} for version in versions])

    return answer


def _refuse_unload(asked: _Asked) -> Reply:
    return error(400, "this server holds one model for as long as it runs: stop the server to unload it")


def _not_allowed(method: bytes, allowed: bytes) -> Reply:
    return error(
        405,
        f"{_shown(method)} is not served here; use {allowed.decode()}",
        head=b"allow: " + allowed + b"\r\n",
    )


def _json(value: Any) -> Reply:
    return Reply(200, orjson.dumps(value))


def _spellings(name: str) -> list[bytes]:
    """The ways in which clients write `name` in a path; tritonclient leaves slashes as they are."""
    spellings = (name.encode(), quote(name).encode(), quote(name, safe="").encode())
    return list(dict.fromkeys(spellings))


def _spell(path: bytes) -> str:
    return f"the path has needless percent-encoding; write {_shown(path)}"


def _shown(path: bytes) -> str:
    text = path.decode("utf-8", "replace")
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
