"""Stands in for ``azureml_inference_server_http.log_config``, whose classes ``logging.json`` files name.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import logging
import time
from typing import Any


class RootAccessFilter(logging.Filter):
    """Drops the access lines of health probes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is kept."""
        return "GET / HTTP/1.1" not in record.getMessage()


class AMLLogFormatter(logging.Formatter):
    """Lines with the time in UTC, the level's letter, the process and the logger."""

    converter = staticmethod(time.gmtime)

    def __init__(
        self,
        fmt: str = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s",
        datefmt: str | None = None,
        style: Any = "%",
    ) -> None:
        super().__init__(fmt=fmt, datefmt=datefmt, style=style)
