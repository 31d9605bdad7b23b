"""Runs a command on a Ray cluster of one node with two CPUs, which is there for as long as the command runs.

    python on_ray.py COMMAND ...        runs COMMAND ... --address HOST:PORT

A folder and a token of its own keep it apart from any other Ray on this machine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0


@contextlib.contextmanager
def head(variables: dict[str, str]) -> Iterator[str]:
    """A running head; its address."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port = listener.getsockname()[1]
    start = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=2"]
    start += [f"--port={port}", f"--node-ip-address={HOST}", "--include-dashboard=false"]
    process = subprocess.Popen(start, env=variables)
    try:
        _wait_until_it_listens(process, port)
        yield f"{HOST}:{port}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("Ray's head does not start")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.1)


def main(command: list[str]) -> int:
    """The exit status of `command`."""
    # Sockets of Ray lie deep in its folder, and their names must be short.
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        variables = {
            **os.environ,
            "RAY_TMPDIR": folder,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with head(variables) as address:
            return subprocess.run([*command, "--address", address], env=variables, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
