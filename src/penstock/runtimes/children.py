"""A process that the supervisor has started: its channel, and what it writes past it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

from penstock.kit import channels, processes

LONGEST_LINE = 64 * 1024
"""What is written without a line end is logged in pieces of this size."""


class Child:
    """One process and its channel. Starts the process; OSError when that cannot be."""

    def __init__(self, argv: list[str], *, variables: dict[str, str], keep: tuple[int, ...] = ()) -> None:
        self.channel, theirs = channels.pair()
        self.channel.set_blocking(False)
        self.since = time.monotonic()
        self.is_forgotten = False
        try:
            # A session of its own: Ctrl-C at the terminal is for the supervisor alone to act upon.
            self.process = subprocess.Popen(
                [*argv, str(theirs.fileno())],
                env=variables,
                pass_fds=(theirs.fileno(), *keep),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError:
            self.channel.close()
            raise
        finally:
            theirs.close()

    @property
    def pipes(self) -> list[tuple[Any, str]]:
        """What it writes past its channel."""
        return [(self.process.stdout, "stdout"), (self.process.stderr, "stderr")]

    def tell(self, **message: Any) -> None:
        """Send an order; a child that is gone needs none."""
        try:
            self.channel.send(message)
        except (channels.ChannelClosedError, BlockingIOError):
            return

    def end(self) -> None:
        """Kill what is left of it and of whom it has started, and let go of it."""
        self.is_forgotten = True
        self.channel.close()
        if self.process.returncode is None:
            # Not reaped yet: nobody else can have been given its number.
            processes.kill_group(self.process.pid)
            self.process.wait()


class Lines:
    """Cuts what comes from a pipe into lines. `take` is given whole lines, several at a time."""

    def __init__(self, pipe: Any, take: Callable[[str], None]) -> None:
        self._pipe = pipe
        self._take = take
        self._rest = b""

    def read(self) -> bool:
        """Read what is there; False when nobody can write any more."""
        try:
            data = os.read(self._pipe.fileno(), LONGEST_LINE)
        except BlockingIOError:
            return True
        whole, _, rest = (self._rest + data).rpartition(b"\n")
        if not data or len(rest) > LONGEST_LINE:
            whole, rest = self._rest + data, b""
        self._rest = rest
        text = whole.decode("utf-8", "replace").rstrip("\n")
        if text:
            self._take(text)
        return bool(data)


def how_it_ended(code: int | None) -> str:
    """An exit code, negative for a signal, in words."""
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            # Real-time signals between the first and the last have no names.
            name = f"signal {-code}"
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"exit code {code}"
