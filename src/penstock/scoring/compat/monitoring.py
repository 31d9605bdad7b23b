"""Stands in for ``azureml.ai.monitoring``: ``Collector`` writes what a script collects to a local folder.

One CloudEvents object a line, under ``modelDataCollector/<endpoint>/<deployment>/<collection>/yyyy/MM/dd/HH/``
in the folder that ``PENSTOCK_COLLECTION_DIR`` names. Runs in workers: Python 3.8, standard library only (the
frames are the environment's pandas).
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import socket
import uuid
from typing import Any, Callable

from penstock.kit import context as process_context
from penstock.scoring.compat.monitoring_context import (
    BasicCorrelationContext,
    CorrelationContext,
    get_context,
)

__all__ = ["BasicCorrelationContext", "Collector", "CorrelationContext", "get_context"]

MOST_COLLECTORS = 5

_logger = logging.getLogger("azmlinfsrv.collector")
_names: set[str] = set()


class Collector:
    """Collects DataFrames under a `name`. `on_error` gets what goes wrong; without it, it is raised."""

    def __init__(self, name: str, on_error: Callable[[Exception], Any] | None = None) -> None:
        self.name = name
        self._on_error = on_error
        self._folder = os.environ.get("PENSTOCK_COLLECTION_DIR", "")
        if not name or not all(character.isalnum() or character in "_-" for character in name):
            self._fail(ValueError(f"a collector's name has letters, digits, _ and - only, not {name!r}"))
        elif name not in _names and len(_names) >= MOST_COLLECTORS:
            self._fail(ValueError(f"at most {MOST_COLLECTORS} collectors; {name!r} is one more"))
        else:
            _names.add(name)
            if not self._folder:
                _logger.warning(
                    "Collector %r keeps nothing; set PENSTOCK_COLLECTION_DIR to a folder to keep it there",
                    name,
                )

    def collect(self, data: Any, correlation_context: CorrelationContext | None = None) -> CorrelationContext:
        """Append the DataFrame `data` as one event; returns the context to collect related data with."""
        context = correlation_context or get_context()
        try:
            records = _records(data)
            if self._folder:
                self._append(records, context.get_id())
        except Exception as error:  # noqa: BLE001 - the caller decides, by on_error, what may fail scoring
            self._fail(error)
        return context

    def _append(self, records: Any, correlation_id: str) -> None:
        now = dt.datetime.now(dt.timezone.utc)
        endpoint = os.environ.get("PENSTOCK_ENDPOINT", "local")
        deployment = os.environ.get("PENSTOCK_DEPLOYMENT", "local")
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": f"/onlineEndpoints/{endpoint}/deployments/{deployment}",
            "type": f"azureml.inference.{self.name}",
            "datacontenttype": "application/json",
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "data": records,
            "correlationid": correlation_id,
            "xrequestid": process_context.request_id,
            "modelversion": os.environ.get("PENSTOCK_MODEL_VERSION", "default"),
            "collectdatatype": "pandas.core.frame.DataFrame",
            "agent": "penstock",
        }
        directory = os.path.join(
            self._folder, "modelDataCollector", endpoint, deployment, self.name, now.strftime("%Y/%m/%d/%H")
        )
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, f"{socket.gethostname()}-{os.getpid()}.jsonl")
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def _fail(self, error: Exception) -> None:
        if self._on_error is None:
            raise error
        self._on_error(error)


def _records(data: Any) -> Any:
    if type(data).__name__ != "DataFrame" or not hasattr(data, "to_json"):
        raise TypeError(f"a collector takes a pandas DataFrame, not a {type(data).__name__}")
    return json.loads(data.to_json(orient="records", date_format="iso"))
