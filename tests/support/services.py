"""Real services that tests talk to: started once a session, on loopback, by the first test that asks.

On a laptop a service that is not installed costs its tests a skip that says what is missing. Where the variable
CI is set it costs a failure: there a skipped test would be a test that nobody runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from support.waiting import until

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def missing(what: str) -> NoReturn:
    """Skip, or where CI is set fail, because `what` is not here."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; in CI no service may be missing", pytrace=False)
    pytest.skip(what)


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections on `port`."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def running(
    argv: Sequence[str],
    ready: Callable[[], bool],
    *,
    user: str | None = None,
    variables: Mapping[str, str] = {},
    stop: signal.Signals = signal.SIGTERM,
    timeout_s: float = 90.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is `ready`, and is gone afterwards, even when this one is killed. What it wrote stands in
    the AssertionError when it does not start."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )

        def started() -> bool:
            if process.poll() is None:
                return ready()
            log.seek(0)
            text = log.read().decode("utf-8", "replace")
            raise AssertionError(f"{argv[0]} ended with {process.returncode}:\n{text}")

        try:
            until(started, f"{Path(argv[0]).name} to listen", timeout_s)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(stop)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
