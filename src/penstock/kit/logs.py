"""One log line: an event with key-values, written for people or as JSON. Only entry points make a Log.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import collections
import datetime as dt
import json
import os
import select
import threading
import time
from typing import Any

LEVELS = {"debug": 10, "info": 20, "warning": 30, "warn": 30, "error": 40, "critical": 50}

_COLOURS = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


MOST_WAITING_BYTES = 4 * 2**20
"""What may wait for a slow reader of the log; lines beyond it are dropped, and counted."""


class Writer:
    """Writes to a file descriptor from a thread of its own: whoever logs must never wait for whoever reads the
    log. A terminal that is scrolled back or a full pipe would otherwise stop the service."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)

    def write(self, line: bytes) -> None:
        """Have `line` written, some time; or dropped, when too much waits."""
        with self._changed:
            if not self._thread.ident:
                self._thread.start()
            if self._waiting_bytes + len(line) > MOST_WAITING_BYTES and self._waiting:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._waiting_bytes += len(line)
            self._changed.notify_all()

    def take_dropped(self) -> int:
        """How many lines were dropped since this was last asked; 0 while there is no room to say so."""
        with self._changed:
            if self._waiting_bytes > MOST_WAITING_BYTES // 2:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def finish(self, timeout_s: float) -> None:
        """Wait until all is written, but no longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting and self._changed.wait(max(deadline - time.monotonic(), 0)):
                continue

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                line = self._waiting[0]
            self._write(line)
            with self._changed:
                self._waiting.popleft()
                self._waiting_bytes -= len(line)
                self._changed.notify_all()

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                # Somebody else has made the terminal or pipe non-blocking.
                select.select([], [self._fd], [], 1.0)
            except OSError:
                # Nobody reads any more; serving goes on.
                return


class Log:
    """Writes to file descriptor `fd`, each line as one, so that lines of several processes never mix."""

    def __init__(self, *, style: str = "human", level: str = "info", fd: int = 2) -> None:
        self._json = style == "json"
        self._threshold = LEVELS[level]
        self._writer = Writer(fd)
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
        dropped = self._writer.take_dropped()
        if dropped:
            self("warning", f"{dropped} lines were dropped: the log is read too slowly")
        self._writer.write(text.encode("utf-8", "backslashreplace"))

    def finish(self, timeout_s: float = 1.0) -> None:
        """Before the process ends: wait for a reader of the log, within reason."""
        self._writer.finish(timeout_s)

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
