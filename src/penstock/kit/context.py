"""What this process is working on right now, and where its log records go. A worker scores one request at a time.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import logging
from typing import Callable

request_id: str = ""
"""The id of the request being scored, or empty."""

log_handler: Callable[[], logging.Handler] | None = None
"""Makes a handler that hands records to the supervisor, for loggers that do not propagate; None: there is no
supervisor."""
