"""Where a worker's words go: `print`, `logging` and tracebacks reach the supervisor as records that carry the
worker's pid and the request that was being scored.

What bypasses Python (a C library writing to file descriptor 2, a fatal error) still reaches the supervisor
through the pipes behind the descriptors, without a request id.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from typing import Any

from penstock.kit import channels, context

LONGEST = 10_000
"""Characters of one record; a longer line is cut into several. Escaped they take up to twelve bytes each, which
the channel holds."""


class Outlet:
    """Sends records over the supervisor's channel; silent once that is gone."""

    def __init__(self, channel: channels.Channel) -> None:
        self._channel = channel

    def send(self, text: str, *, stream: str, level: str, logger: str = "") -> None:
        """One record; `text` may hold line breaks."""
        for start in range(0, len(text), LONGEST):
            record: dict[str, Any] = {
                "event": "log",
                "pid": os.getpid(),
                "stream": stream,
                "level": level,
                "text": text[start : start + LONGEST],
            }
            if logger:
                record["logger"] = logger[:200]
            if context.request_id:
                record["request"] = context.request_id
            try:
                self._channel.send(record)
            except (channels.ChannelClosedError, OSError):
                return


class Stream(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`: whole lines become records."""

    def __init__(self, outlet: Outlet, name: str, level: str, fd: int) -> None:
        self._outlet = outlet
        self._name = name
        self._level = level
        self._fd = fd
        self.buffer = Buffer(self)
        self._forked()
        # A fork while another thread prints would leave the child a lock that nobody opens, and half a line
        # that is not its own.
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._line = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override] # a plain attribute in typeshed, a property here
        """What scripts ask of a stream."""
        return "utf-8"

    def reconfigure(self, **_: Any) -> None:
        """Scripts that ask for UTF-8 or for lines to leave at once have both already."""

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor beneath, for libraries that write to it."""
        return self._fd

    def write(self, text: str) -> int:
        """Take `text`; lines leave when they are whole."""
        with self._lock:
            whole, newline, rest = (self._line + text).rpartition("\n")
            self._line = rest
            if newline:
                self._outlet.send(whole, stream=self._name, level=self._level)
            if len(rest) > LONGEST:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what has no line end yet."""
        with self._lock:
            if self._line:
                text, self._line = self._line, ""
                self._outlet.send(text, stream=self._name, level=self._level)


class Buffer(io.RawIOBase):
    """The stream's `buffer`, for scripts that write bytes."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The stream's."""
        return self._stream.fileno()

    def write(self, data: Any) -> int:
        """Take bytes; what is not UTF-8 is shown escaped."""
        taken = bytes(data)
        self._stream.write(taken.decode("utf-8", "backslashreplace"))
        return len(taken)

    def flush(self) -> None:
        """Send what has no line end yet."""
        self._stream.flush()


class Handler(logging.Handler):
    """The root logger's handler unless a script's own configuration replaces it."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """Send the formatted record, traceback and all."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a bad format string in a log call must not fail the request
            self.handleError(record)
            return
        self._outlet.send(text, stream="log", level=record.levelname.lower(), logger=record.name)


def install(channel: channels.Channel, *, level: str) -> None:
    """Route this process's stdout, stderr and logging through `channel`. Forked children inherit the route."""
    outlet = Outlet(channel)
    sys.stdout = Stream(outlet, "stdout", "info", 1)
    sys.stderr = Stream(outlet, "stderr", "warning", 2)
    root = logging.getLogger()
    root.handlers[:] = [Handler(outlet)]
    root.setLevel(level.upper())
    context.log_handler = lambda: Handler(outlet)
