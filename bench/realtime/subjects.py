"""Who is measured: a name, and how its server is started. One entry a subject; a peer is one more entry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.realtime import peers, place, tree
from bench.realtime.workloads import Workload

YARDSTICK = "bare-batching"


@dataclass(frozen=True, kw_only=True)
class Start:
    """How to start one server."""

    argv: list[str]
    cwd: Path = place.ROOT
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A server to measure. `start` gets the workload, the port and the number of workers."""

    name: str
    title: str
    start: Callable[[Workload, int, int], Start]
    scripted: bool = False
    """Serves the scoring script instead of the bare model."""


def _bare(form: str) -> Callable[[Workload, int, int], Start]:
    def start(workload: Workload, port: int, workers: int) -> Start:
        del workers
        return Start(
            argv=[sys.executable, str(place.SERVERS / "bare.py"), form, str(workload.model), str(port)]
        )

    return start


def _penstock(workload: Workload, port: int, workers: int) -> Start:
    command = str(Path(sys.executable).with_name("penstock"))
    return Start(argv=[command, "serve", str(workload.model), "--port", str(port), "--workers", str(workers)])


def _penstock_script(workload: Workload, port: int, workers: int) -> Start:
    plain = _penstock(workload, port, workers)
    code = ["--code", str(workload.script.parent), "--script", workload.script.name]
    return Start(argv=[*plain.argv, *code])


def _fastapi(workload: Workload, port: int, workers: int) -> Start:
    argv = [str(peers.python("fastapi")), "-m", "uvicorn", "fastapi_app:app", "--port", str(port)]
    argv += ["--workers", str(workers), "--no-access-log"]
    return Start(argv=argv, cwd=place.SERVERS, variables={"BENCH_MODEL": str(workload.model)})


def _azmlinfsrv(workload: Workload, port: int, workers: int) -> Start:
    argv = [str(peers.python("azmlinfsrv").with_name("azmlinfsrv")), "--entry_script", workload.script.name]
    argv += ["--model_dir", str(workload.model.parent), "--port", str(port), "--worker_count", str(workers)]
    return Start(argv=argv, cwd=workload.script.parent)


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(name=YARDSTICK, title="bare loop, one `predict` a batch", start=_bare("batching")),
        Subject(name="bare-single", title="bare loop, one `predict` a request", start=_bare("single")),
        Subject(name="penstock", title="Penstock, no script", start=_penstock),
        Subject(name="penstock-script", title="Penstock, `score.py`", start=_penstock_script, scripted=True),
        Subject(name="fastapi", title="hand-written FastAPI + uvicorn", start=_fastapi),
        Subject(
            name="azmlinfsrv",
            title="azureml-inference-server-http, `score.py`",
            start=_azmlinfsrv,
            scripted=True,
        ),
    )
}


@contextmanager
def running(name: str, workload: Workload, *, workers: int = 1) -> Iterator[tree.Tree]:
    """The subject `name`, started, answering and checked; stopped in the end."""
    port = place.free_port()
    how = SUBJECTS[name].start(workload, port, workers)
    server = tree.start(f"{name}-{workload.name}", how.argv, port, cwd=how.cwd, variables=how.variables)
    try:
        server.wait_until_it_answers(workload.bodies[0])
        server.check(workload)
        yield server
    finally:
        server.stop()
