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
        self.metrics_path = b"/metrics"
        self._counts = counts
        self._name = launch.manifest.name
        self._docs_path = prefix + b"/docs"
        self._schema_path = prefix + b"/swagger.json"
        self._scoring = {self.score_path: counts.score}
        if launch.manifest.code is None:
            self._scoring[prefix + b"/invocations"] = counts.score
        self._methods: tuple[bytes, ...] = (b"GET", b"POST", b"OPTIONS")
        self._documents: Mapping[str, Any] = {}
        self._described = False

    def describe(self, description: dict[str, Any]) -> None:
        """Take over what a worker says of its scorer."""
        self._described = True
        self._methods = tuple(method.encode() for method in description["methods"])
        self._documents = description["documents"]

    def scoring(self, path: bytes) -> metrics.Route | None:
        """The counts of a route that workers answer; None: it is answered here."""
        return self._scoring.get(path)

    def is_open(self, path: bytes) -> bool:
        """Whether `path` needs no key: only what tells no more than that somebody is here."""
        return path == b"/" or path.startswith(b"/v2/health/")

    def refuse_method(self, path: bytes, method: bytes) -> Answer | None:
        """405 where a scoring route does not take `method`."""
        if method in self._methods:
            return None
        allowed = ", ".join(m.decode() for m in self._methods)
        refusal = Answer.refusal(405, f"{method.decode('latin-1')} is not served here; use {allowed}.")
        refusal.head = b"allow: " + allowed.encode() + b"\r\n"
        refusal.counts = self._scoring[path]
        return refusal

    def answer(self, request: Incoming, path: bytes, query: bytes, *, ready: bool) -> Answer:
        """The answer to anything that is not a scoring request."""
        if path == b"/":
            return self._health(ready)
        if path == self._schema_path:
            return self._schema(query)
        return Answer.refusal(404, f"There is nothing at {path.decode('latin-1')}; score at {self.score_path.decode()}.")

    def _health(self, ready: bool) -> Answer:
        if ready:
            return Answer(200, b"Healthy", "text/plain; charset=utf-8", self._counts.health)
        return Answer(503, b"Not ready: no worker has loaded", "text/plain; charset=utf-8", self._counts.health)

    def _schema(self, query: bytes) -> Answer:
        asked = parse_qs(query.decode("latin-1")).get("version", ["2"])[0]
        document = self._documents.get(SCHEMA_VERSIONS.get(asked, ""))
        if document is None:
            return Answer.refusal(404, f"There is no schema of version {asked}.", self._counts.schema)
        return Answer(200, orjson.dumps(document), counts=self._counts.schema)
