"""What the gateway answers by itself: health, schema pages, model metadata, and refusals. No I/O.

Azure ML's routes are in Azure's manner (``{"message": ...}``), those of the Open Inference Protocol in its own
(``{"error": ...}``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from penstock.bundle.launch import Launch
from penstock.runtimes.realtime import metrics
from penstock.runtimes.realtime.connections import Incoming
from penstock.runtimes.realtime.protocols import openinference, pages

SCORE_PATH, SCHEMA_PATH, DOCS_PATH, METRICS_PATH = b"/score", b"/swagger.json", b"/docs", b"/metrics"
SCHEMA_VERSIONS = {"2": "2", "2.0": "2", "3": "3", "3.0": "3", "3.1": "3.1"}


class Answer:
    """One answer of the gateway's own. `counts` is the route it is counted under."""

    __slots__ = ("body", "content_type", "counts", "head", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        counts: metrics.Route | None = None,
        head: bytes = b"",
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.counts = counts
        self.head = head

    @classmethod
    def refusal(cls, status: int, message: str, counts: metrics.Route | None = None) -> Answer:
        """``{"message": message}``."""
        return cls(status, orjson.dumps({"message": message}), counts=counts)


class Routes:
    """The routes of one deployment. `describe` fills in what only a loaded worker knows."""

    def __init__(self, launch: Launch, counts: metrics.Metrics) -> None:
        self._prefix = launch.path_prefix.rstrip("/").encode()
        self._counts = counts
        self._name = launch.manifest.name
        self._origin = f"http://{launch.host}:{launch.port}"
        self._has_keys = bool(launch.keys)
        self._metadata: Mapping[str, Any] | None = None
        self._scoring = {SCORE_PATH}
        self._methods: tuple[bytes, ...] = (b"GET", b"POST", b"OPTIONS")
        if launch.manifest.code is None:
            # MLflow's clients post there.
            self._scoring.add(b"/invocations")
            self._methods = (b"POST", b"OPTIONS")
        self._inference = openinference.OpenInference()
        self._documents: Mapping[str, Any] = {}

    def strip_prefix(self, request: Incoming) -> bytes:
        """Take the prefix off `request`'s target; its path, without the query.

        Routes answer without the prefix too: to azureml-inference-server-http it is only a word for the
        schema pages, and probes are often set up without it.
        """
        target = request.target
        prefix = self._prefix
        if (
            prefix
            and target.startswith(prefix)
            and target[len(prefix) : len(prefix) + 1] in (b"/", b"?", b"")
        ):
            target = target[len(prefix) :]
            request.target = target if target.startswith(b"/") else b"/" + target
        return request.target.partition(b"?")[0]

    def describe(self, description: dict[str, Any]) -> None:
        """Take over what a worker says of its scorer."""
        self._methods = tuple(method.encode() for method in description["methods"])
        self._documents = description["documents"]
        self._metadata = description["inference"]
        self._inference.describe(self._metadata)

    def scoring(self, path: bytes, method: bytes) -> metrics.Route | None:
        """Where a request that workers answer is counted; None: it is answered here."""
        if path in self._scoring:
            return self._counts.score if method in self._methods else None
        if method == b"POST" and path in self._inference.infer_paths:
            return self._counts.infer
        return None

    def is_open(self, path: bytes) -> bool:
        """Whether `path` needs no key: only what tells no more than that somebody is here."""
        health = path == b"/" or path.startswith(self._inference.base + b"/health/")
        # The page has a field for the key: a browser could not open it otherwise. Without one it tells no schema.
        return health or path == DOCS_PATH

    def counts_of(self, path: bytes) -> metrics.Route:
        """Where a refusal of `path` is counted."""
        if path in self._scoring:
            return self._counts.score
        if path in self._inference.infer_paths:
            return self._counts.infer
        return self._counts.inference_metadata if self._inference.owns(path) else self._counts.other

    def answer(
        self, request: Incoming, path: bytes, query: bytes, *, ready: bool, authorized: bool
    ) -> Answer:
        """The answer to anything that is not a scoring request."""
        if self._inference.owns(path):
            reply = self._inference.answer(request.method, path, request.body, ready=ready)
            counts = self._counts.health if reply.is_health else self._counts.inference_metadata
            return Answer(reply.status, reply.body, counts=counts, head=reply.head)
        if path in self._scoring:
            return self._not_allowed(request.method, self._methods)
        if path not in (SCHEMA_PATH, DOCS_PATH, b"/"):
            score = (self._prefix + SCORE_PATH).decode()
            return Answer.refusal(404, f"There is nothing at {path.decode('latin-1')}; score at {score}.")
        if request.method not in (b"GET", b"HEAD"):
            return self._not_allowed(request.method, (b"GET", b"HEAD"))
        if path == b"/":
            return self._health(ready)
        return self._schema(query) if path == SCHEMA_PATH else self._docs(authorized)

    def _not_allowed(self, method: bytes, allowed: tuple[bytes, ...]) -> Answer:
        names = ", ".join(name.decode() for name in allowed)
        refusal = Answer.refusal(405, f"{method.decode('latin-1')} is not served here; use {names}.")
        refusal.head = b"allow: " + names.encode() + b"\r\n"
        return refusal

    def _health(self, ready: bool) -> Answer:
        status, text = (200, b"Healthy") if ready else (503, b"Not ready: no worker has loaded")
        return Answer(status, text, "text/plain; charset=utf-8", self._counts.health)

    def _schema(self, query: bytes) -> Answer:
        asked = parse_qs(query.decode("latin-1")).get("version", ["2"])[0]
        document = self._documents.get(SCHEMA_VERSIONS.get(asked, ""))
        if document is None:
            return Answer.refusal(404, f"There is no schema of version {asked}.", self._counts.schema)
        return Answer(200, orjson.dumps(document), counts=self._counts.schema)

    def _docs(self, authorized: bool) -> Answer:
        page = pages.schema_page(
            (authorized and (self._documents.get("3.1") or self._documents.get("3"))) or {},
            name=self._name,
            origin=self._origin,
            prefix=self._prefix.decode(),
            requires_key=self._has_keys,
            inference=self._metadata if authorized else None,
        )
        return Answer(200, page, "text/html; charset=utf-8", self._counts.docs)
