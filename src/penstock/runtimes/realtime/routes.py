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
        prefix = launch.path_prefix.rstrip("/").encode()
        self.score_path = prefix + b"/score"
        self.metrics_path = prefix + b"/metrics"
        self._counts = counts
        self._name = launch.manifest.name
        self._origin = f"http://{launch.host}:{launch.port}"
        self._prefix = prefix.decode()
        self._has_keys = bool(launch.keys)
        self._metadata: Mapping[str, Any] | None = None
        self._docs_path = prefix + b"/docs"
        self._schema_path = prefix + b"/swagger.json"
        self._healths = (b"/", prefix, prefix + b"/")
        self._scoring = {self.score_path}
        self._methods: tuple[bytes, ...] = (b"GET", b"POST", b"OPTIONS")
        if launch.manifest.code is None:
            # MLflow's clients post there.
            self._scoring.add(prefix + b"/invocations")
            self._methods = (b"POST", b"OPTIONS")
        self._inference = openinference.OpenInference(prefix=prefix)
        self._documents: Mapping[str, Any] = {}

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
        health = path in self._healths or path.startswith(self._inference.base + b"/health/")
        # The page has a field for the key: a browser could not open it otherwise. Without one it tells no schema.
        return health or path == self._docs_path

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
        if path not in (self._schema_path, self._docs_path, *self._healths):
            score = self.score_path.decode()
            return Answer.refusal(404, f"There is nothing at {path.decode('latin-1')}; score at {score}.")
        if request.method not in (b"GET", b"HEAD"):
            return self._not_allowed(request.method, (b"GET", b"HEAD"))
        if path in self._healths:
            return self._health(ready)
        return self._schema(query) if path == self._schema_path else self._docs(authorized)

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
            prefix=self._prefix,
            requires_key=self._has_keys,
            inference=self._metadata if authorized else None,
        )
        return Answer(200, page, "text/html; charset=utf-8", self._counts.docs)
