"""Stands in for ``azureml.monitoring``, the v1 collector: rows of CSV in a local folder.

They go to ``modeldata/.../<service>/<model>/<version>/<designation>/yyyy/MM/dd/data.csv`` in the folder that
``PENSTOCK_COLLECTION_DIR`` names. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import logging
import os
import uuid
from typing import Any, Sequence

from penstock.kit import context

_logger = logging.getLogger("azmlinfsrv.collector")


class ModelDataCollector:
    """Collects the rows that go into (`designation` ``inputs``) or come out of a model."""

    def __init__(
        self,
        model_name: str,
        designation: str = "default",
        feature_names: Sequence[str] | None = None,
        model_version: Any = "1",
        **others: Any,
    ) -> None:
        self.model_name = model_name
        self.designation = designation
        self.feature_names = list(feature_names or ())
        self._version = str(model_version)
        self._folder = os.environ.get("PENSTOCK_COLLECTION_DIR", "")
        if not self._folder:
            _logger.warning(
                "The collector of %r keeps nothing; set PENSTOCK_COLLECTION_DIR to a folder to keep it there",
                model_name,
            )

    def collect(self, input_data: Any, user_correlation_id: str = "") -> None:
        """Append `input_data`: one row, rows, a NumPy array or a DataFrame."""
        if not self._folder:
            return
        now = dt.datetime.now(dt.timezone.utc)
        stamp = [now.isoformat(), context.request_id or str(uuid.uuid4()), user_correlation_id]
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        rows = _rows(input_data)
        path = self._path(now)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="utf-8", newline="") as file:
            if file.tell() == 0:
                width = max((len(row) for row in rows), default=0)
                names = self.feature_names or [f"f{number}" for number in range(width)]
                writer.writerow(["$Timestamp", "$RequestId", "$CorrelationId", *names])
            for row in rows:
                writer.writerow([*stamp, *row])
            # One write, so that lines of several workers do not mix.
            file.write(lines.getvalue())

    def _path(self, now: dt.datetime) -> str:
        service = os.environ.get("PENSTOCK_DEPLOYMENT", "local")
        where = ("local", "local", "local", service, self.model_name, self._version, self.designation)
        return os.path.join(self._folder, "modeldata", *where, now.strftime("%Y/%m/%d"), "data.csv")


def _rows(data: Any) -> list[list[Any]]:
    values = data.to_numpy() if hasattr(data, "to_numpy") else data
    listed = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(listed, (list, tuple)):
        listed = [listed]
    if any(isinstance(row, (list, tuple)) for row in listed):
        return [list(row) if isinstance(row, (list, tuple)) else [row] for row in listed]
    return [list(listed)]
