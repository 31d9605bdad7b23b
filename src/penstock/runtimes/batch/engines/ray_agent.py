"""The agent: the supervisor of a few workers on a node of a Ray cluster.

It hosts the very engine that runs workers on a single machine, so that a loaded model is shared by forking and a
dead worker is replaced in milliseconds, on the node itself. Orders come down, events go up by long polls. When
nobody polls, the job's driver is gone: the agent ends its workers and itself.

Runs in Ray's own Python on the node; the workers run in the deployment's.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

import penstock
from penstock.bundle import environments
from penstock.bundle.requirements import Requirements
from penstock.errors import EnvironmentBuildError, PenstockError
from penstock.runtimes.batch.engines.local import LocalEngine
from penstock.runtimes.batch.messages import Job, Order

MACHINES_OWN = frozenset(
    (
        "CUDA_VISIBLE_DEVICES",
        "HOME",
        "HOSTNAME",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "OLDPWD",
        "PATH",
        "PENSTOCK_CACHE",
        "PWD",
        "SHELL",
        "TMPDIR",
        "USER",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR",
    )
)
"""Environment variables that a node keeps, unless the deployment says otherwise; all others are the driver's."""

SLICE_S = 0.25

GROUPS = {"begin": 1, "up": 1, "down": 1}
"""Ray runs one call of a group at a time, in order: orders never overtake each other."""

News = tuple[str, str, dict[str, Any]]
"""An event: kind, worker, content."""


class Agent:
    """One of Ray's actors. `silence_s`: how long it lives when nobody polls."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._lock = threading.Lock()
        self._hosting = threading.Lock()
        self._raylet = os.getppid()
        self._news: list[News] = []
        self._engine: LocalEngine | None = None
        self._is_ending = False
        self._polled = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    @ray.method(concurrency_group="begin")  # type: ignore[untyped-decorator, unused-ignore]
    def begin(self, order: Mapping[str, Any], workers: int, prefix: str) -> dict[str, str]:
        """Build the environment and start `workers` workers; what goes wrong is told by `poll`. Who we are is
        returned when that is done."""
        try:
            job = _shared_job(order)
            python = self._python(order)
            engine = LocalEngine(
                job_file=order["job_file"],
                python=python,
                variables=variables_of(order["variables"], order["said"], dict(os.environ)),
                preload=order["preload"],
                start_timeout_s=order["start_timeout_s"],
                log_level=order["log_level"],
                prefix=prefix,
                model_format=job.manifest.model.format if job.manifest.model else "",
            )
            _check_places(job)
            engine.start(workers)
            self._engine = engine
        except PenstockError as error:
            self._fail(getattr(error, "stage", "environment"), error.message, error.hint, error)
        except Exception:  # noqa: BLE001 - the edge: the driver must hear of it
            self._fail("environment", "the agent could not begin", "", None)
        return {"host": socket.gethostname(), "version": penstock.__version__}

    @ray.method(concurrency_group="up")  # type: ignore[untyped-decorator, unused-ignore]
    def poll(self, timeout_s: float) -> list[News]:
        """What has happened, waiting up to `timeout_s` when nothing has."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:
                self._polled = time.monotonic()
                news, self._news = self._news, []
            engine = self._engine
            wait_s = min(SLICE_S, max(deadline - time.monotonic(), 0.0))
            if engine is not None and not self._is_ending:
                with self._hosting:
                    found = engine.events(0.0 if news else wait_s)
                news += [(event.kind, event.worker, dict(event.content)) for event in found]
            elif not news:
                time.sleep(wait_s)
            if news or self._is_ending or time.monotonic() >= deadline:
                return news

    @ray.method(concurrency_group="down")  # type: ignore[untyped-decorator, unused-ignore]
    def order(self, worker: str, payload: bytes) -> None:
        """Hand an order to a worker."""
        if self._engine is not None:
            self._engine.order(worker, Order.from_payload(payload))

    @ray.method(concurrency_group="down")  # type: ignore[untyped-decorator, unused-ignore]
    def replace(self, worker: str, kill: bool) -> None:
        """As `Engine.replace`."""
        if self._engine is not None:
            self._engine.replace(worker, kill=kill)

    @ray.method(concurrency_group="down")  # type: ignore[untyped-decorator, unused-ignore]
    def hush(self) -> None:
        """Let the poll that runs return: `end` comes next."""
        self._is_ending = True

    @ray.method(concurrency_group="up")  # type: ignore[untyped-decorator, unused-ignore]
    def end(self) -> None:
        """End the workers, scripts' ``shutdown()`` included."""
        self._stop()

    def _stop(self) -> None:
        self._is_ending = True
        with self._hosting:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.stop()

    @ray.method(concurrency_group="up")  # type: ignore[untyped-decorator, unused-ignore]
    def leave(self) -> None:
        """End this actor."""
        ray.actor.exit_actor()  # type: ignore[no-untyped-call, unused-ignore]

    def _python(self, order: Mapping[str, Any]) -> str:
        raw = order["requirements"]
        if raw is None:
            python: str = order["python"]
            if not os.access(python, os.X_OK):
                raise EnvironmentBuildError(
                    f"node {socket.gethostname()} has no {python}, on which the job's workers run",
                    hint="install the same environment at the same place on every node, "
                    "or name an environment that Penstock can build there",
                )
            return python
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        requirements = Requirements(**fields)
        return environments.prepare(requirements, strict=False, say=self._say).python

    def _say(self, text: str) -> None:
        self._tell("log", level="info", text=f"{socket.gethostname()}: {text}", stream="")

    def _fail(self, stage: str, message: str, hint: str, error: BaseException | None) -> None:
        detail = getattr(error, "detail", "") if error is not None else traceback.format_exc()[-20_000:]
        where = f"node {socket.gethostname()}: {message}"
        self._tell("load-failed", failure={"stage": stage, "message": where, "detail": detail, "hint": hint})

    def _tell(self, kind: str, **content: Any) -> None:
        with self._lock:
            self._news.append((kind, "", content))

    def _watch(self) -> None:
        while True:
            time.sleep(SLICE_S)
            with self._lock:
                is_forgotten = time.monotonic() - self._polled > self._silence_s
            # Ray leaves actors alone for a while whose node's own process has died.
            if is_forgotten or os.getppid() != self._raylet:
                self._stop()
                os._exit(0)


def variables_of(drivers: Mapping[str, str], said: list[str], nodes: Mapping[str, str]) -> dict[str, str]:
    """The environment of the workers: `drivers`, but for what is each machine's own; `said` are the names that the
    deployment sets, which hold everywhere."""
    kept = {name: value for name, value in nodes.items() if name in MACHINES_OWN}
    sent = {name: value for name, value in drivers.items() if name not in MACHINES_OWN or name in said}
    return {**kept, **sent}


def _shared_job(order: Mapping[str, Any]) -> Job:
    """The job, read from the driver's own file. Raises PenstockError when this node does not see it."""
    token_file = Path(order["token_file"])
    try:
        token = token_file.read_text()
        job = Job.from_json(Path(order["job_file"]).read_text(encoding="utf-8"))
    except OSError as error:
        raise _unshared(str(token_file.parent), error.strerror or str(error)) from error
    if token != order["token"]:
        raise _unshared(str(token_file.parent), "another folder is there")
    return job


def _check_places(job: Job) -> None:
    """That what the workers need lies on this node. Raises PenstockError naming what does not."""
    if not os.access(job.staging, os.W_OK):
        raise _unshared(job.staging, "it cannot be written")
    model, code = job.manifest.model, job.manifest.code
    for directory in (model.directory if model else "", code.directory if code else ""):
        if directory and not Path(directory).is_dir():
            raise _unshared(directory, "there is no such folder")


def _unshared(path: str, why: str) -> EnvironmentBuildError:
    return EnvironmentBuildError(
        f"{path} is not the folder that the job's driver sees: {why}",
        hint="job folder, inputs, model and output must lie on a file system that all nodes share, "
        "at the same path",
    )
