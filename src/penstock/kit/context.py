"""What this process is working on right now, for logs. A worker scores one request at a time.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

request_id: str = ""
"""The id of the request being scored, or empty."""
