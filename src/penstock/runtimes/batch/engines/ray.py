"""Workers on a Ray cluster (``--engine ray``), as the driver sees them.

Ray stands in a process of its own, the bridge: it writes to its streams as it likes, takes over signals, and ends
its process when it has lost its head. None of that may happen to the driver. So Ray is imported there
(`ray_api`) and on the nodes (`ray_agent`), and nowhere else.

The driver's ledger alone decides about attempts: here orders go down and events come up.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.bundle.batch import BatchLaunch
from penstock.bundle.requirements import Requirements
from penstock.errors import JobError
from penstock.kit import frames, processes
from penstock.runtimes import children
from penstock.runtimes.batch import messages
from penstock.runtimes.batch.engines import ray_link, ray_options
from penstock.runtimes.batch.engines.interface import Event

STOP_S = 30.0
"""How long agents and bridge may take to end; then they are left to notice by themselves."""


def open_engine(launch: BatchLaunch, *, job_file: str, variables: Mapping[str, str]) -> RayEngine:
    """The engine of `launch`. Raises JobError: a wrong option, Ray is not installed."""
    return RayEngine(
        job=launch.job,
        folder=launch.folder,
        job_file=job_file,
        python=launch.python,
        requirements=launch.requirements,
        is_open_ended=not launch.settings.workers,
        variables=variables,
        preload=launch.settings.preload,
        start_timeout_s=launch.settings.start_timeout_s,
        log_level=launch.log_level,
        options=launch.engine_options,
    )


class RayEngine:
    """See `penstock.runtimes.batch.engines.interface.Engine`, and `LocalEngine` for what has the same name there.

    `job` and `folder` are the job's; `requirements` are what its environment is built from on each node, None:
    `python` itself is there. `is_open_ended`: nobody has said how many workers, so that the cluster's size counts,
    not this machine's. `options` are as `ray_options.RayOptions` has them.
    """

    def __init__(
        self,
        *,
        job: str,
        folder: str,
        job_file: str,
        python: str,
        requirements: Requirements | None,
        is_open_ended: bool,
        variables: Mapping[str, str],
        preload: str,
        start_timeout_s: float,
        log_level: str,
        options: Mapping[str, str],
    ) -> None:
        chosen = ray_options.parse(options)
        if importlib.util.find_spec("ray") is None:
            raise JobError("Ray is not installed beside Penstock", hint="pip install 'penstock[ray]'")
        self._is_open_ended = is_open_ended
        self._token: Path | None = None
        self._log = Path(folder, "logs", "ray.txt")
        self._order: dict[str, Any] = {
            "name": f"{job}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}",
            "options": dataclasses.asdict(chosen),
            "agent": {
                "job_file": job_file,
                "python": python,
                "requirements": None if requirements is None else dataclasses.asdict(requirements),
                "variables": dict(variables),
                # Those say what they say on every node; what was inherited may be this machine's own.
                "said": [name for name, value in variables.items() if os.environ.get(name) != value],
                "preload": preload,
                "start_timeout_s": start_timeout_s,
                "log_level": log_level,
            },
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = frames.FrameReader()

    def prepare(self) -> None:
        """See `Engine.prepare`: the bridge imports Ray while the driver plans."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        self._socket = ours
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "penstock.runtimes.batch.engines.ray_bridge", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C is the driver's to hear.
                start_new_session=True,
            )
        theirs.close()

    def start(self, workers: int) -> None:
        """See `Engine.start`. Where nobody has said how many: one for each CPU that the cluster has now."""
        if self._process is None:
            self.prepare()
        agent = self._order["agent"]
        staging = messages.Job.from_json(Path(agent["job_file"]).read_text(encoding="utf-8")).staging
        self._token = Path(staging, f".shared-{secrets.token_hex(4)}")
        agent.update(token_file=str(self._token), token=secrets.token_hex(16))
        self._token.write_text(agent["token"])
        # Fewer than this machine would take: there are no more mini-batches.
        is_open_ended = self._is_open_ended and workers >= processes.usable_processors()
        order = {**self._order, "workers": 0 if is_open_ended else workers}
        self._send(ray_link.BEGIN, json.dumps(order).encode())

    def events(self, timeout_s: float) -> Sequence[Event]:
        """See `Engine.events`. Raises JobError when the cluster is lost or cannot be used."""
        if self._process is None:
            return ()  # stopped: what its agents' workers say last is not told
        readable, _, _ = select.select([self._socket], [], [], timeout_s)
        if not readable:
            return ()
        try:
            data = self._socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            assert self._process is not None
            how = children.how_it_ended(self._process.wait(5))
            raise JobError(
                f"the connection to Ray is gone: its process {how}",
                hint=f"resume the job when the cluster is back; what Ray wrote is in {self._log}",
            )
        found: list[Event] = []
        for kind, payload in self._reader.feed(data):
            if kind == ray_link.EVENTS:
                found += [Event(kind=k, worker=w, content=c) for k, w, c in json.loads(payload)]
            elif kind == ray_link.FAILED:
                raise JobError(**json.loads(payload))
        return found

    def order(self, worker: str, order: messages.Order) -> None:
        """See `Engine.order`."""
        self._send(ray_link.ORDER, ray_link.addressed(worker, order))

    def replace(self, worker: str, *, kill: bool) -> None:
        """See `Engine.replace`."""
        self._send(ray_link.REPLACE, json.dumps([worker, kill]).encode())

    def spare(self, worker: str) -> None:
        """Nothing is left for `worker` to do: when that holds for all of an agent's workers, the agent ends, so
        that its node may go away. Agents that wait for a node wait no longer."""
        self._send(ray_link.SPARE, json.dumps(worker).encode())

    def stop(self) -> None:
        """See `Engine.stop`. Once more is fine."""
        process, self._process = self._process, None
        if process is None:
            return
        self._send(ray_link.END)
        deadline = time.monotonic() + STOP_S
        with contextlib.suppress(OSError):
            while (left := deadline - time.monotonic()) > 0:
                readable, _, _ = select.select([self._socket], [], [], left)
                if readable and not self._socket.recv(1 << 20):
                    break
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._token is not None:
            self._token.unlink(missing_ok=True)

    def _send(self, kind: int, payload: bytes = b"") -> None:
        # A bridge that is gone says so itself: `events` finds the end of its stream.
        with contextlib.suppress(OSError):
            self._socket.sendall(frames.frame(kind, payload))
