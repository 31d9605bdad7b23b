"""From the command line to a supervisor or driver: this process becomes it.

The launch goes through an inherited file without a name, so that keys stand neither in the argument list nor
in the environment of any process.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from typing import NoReturn, Protocol

SUPERVISOR = "penstock.runtimes.realtime.supervisor"
DRIVER = "penstock.runtimes.batch.driver"


class Launch(Protocol):
    """What is handed over: `penstock.bundle.launch.Launch` or `penstock.bundle.batch.BatchLaunch`."""

    def to_json(self) -> str:
        """One line of JSON."""


def hand_over(launch: Launch, environ: Mapping[str, str], *, to: str = SUPERVISOR) -> NoReturn:
    """Replaces this process by the module `to` for `launch`, in the environment `environ`."""
    descriptor = write_launch(launch)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, argv_of(descriptor, to), dict(environ))  # noqa: S606 - no shell is wanted


def argv_of(descriptor: int, module: str = SUPERVISOR) -> list[str]:
    """The argument list of `module`. `-P`: modules in the user's working directory must not shadow any of ours."""
    return [sys.executable, "-P", "-m", module, "--launch-fd", str(descriptor)]


def write_launch(launch: Launch) -> int:
    """A descriptor that survives exec and reads as `launch`, from the start."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("penstock-launch", 0)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.set_inheritable(descriptor, True)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(launch.to_json().encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
