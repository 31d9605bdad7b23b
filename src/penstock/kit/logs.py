"""One log line: an event with key-values, written for people or as JSON. Only entry points make a Log.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import Any

LEVELS = {"debug": 10, "info": 20, "warning": 30, "warn": 30, "error": 40, "critical": 50}

_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


class Log:
    """Writes to file descriptor `fd`, one `write` a line so that lines of several processes never mix."""

    def __init__(self, *, style: str = "human", level: str = "info", fd: int = 2) -> None:
        self._json = style == "json"
        self._threshold = LEVELS[level]
        self._fd = fd
        self._colour = style == "human" and os.isatty(fd) and "NO_COLOR" not in os.environ

    def __call__(self, level: str, text: str, **fields: Any) -> None:
        """Log `text` with `fields`; nothing below the log's level. Fields that are None or empty are left out."""
        if LEVELS.get(level, 20) < self._threshold:
            return
        now = dt.datetime.now(dt.timezone.utc)
        fields = {key: value for key, value in fields.items() if value not in (None, "")}
        line = (
            self._as_json(now, level, text, fields) if self._json else self._as_text(now, level, text, fields)
        )
        self.raw(line)

    def raw(self, text: str) -> None:
        """Write `text` as it stands, for what is laid out for people already."""
        data = text.encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                continue
            except OSError:
                # Nobody reads any more; serving goes on.
                return

    @property
    def for_people(self) -> bool:
        """Whether a person reads this, rather than a machine."""
        return not self._json

    def _as_json(self, now: dt.datetime, level: str, text: str, fields: dict[str, Any]) -> str:
        record = {"time": now.isoformat(timespec="milliseconds"), "level": level, "message": text}
        record.update(fields)
        return json.dumps(record, default=str) + "\n"

    def _as_text(self, now: dt.datetime, level: str, text: str, fields: dict[str, Any]) -> str:
        start = "{} {:<7} ".format(now.astimezone().strftime("%H:%M:%S.%f")[:-3], level.upper())
        tail = "".join(f"  {key}={value}" for key, value in fields.items())
        # Continuation lines stand under the first, so that a traceback reads as one thing.
        body = ("\n" + " " * len(start)).join(text.split("\n"))
        if self._colour:
            start = _COLOURS.get(level, "") + start + "\x1b[0m"
            tail = "\x1b[2m" + tail + "\x1b[0m" if tail else ""
        return start + body + tail + "\n"
