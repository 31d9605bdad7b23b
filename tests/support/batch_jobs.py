"""Real batch jobs for tests: the command as a user types it, in processes of its own, under a jobs folder of its
own; and data and models to score that load quickly."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LinearRegression

from support.servers import PENSTOCK
from support.waiting import until

COLUMNS = ["a", "b", "c"]


@dataclass
class Done:
    """A job that has ended: what a shell sees of it, and its events."""

    code: int
    out: str
    err: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def event(self, name: str) -> dict[str, Any]:
        """The last event of this name."""
        return [event for event in self.events if event["event"] == name][-1]

    @property
    def summary(self) -> dict[str, Any]:
        """What came of it."""
        return self.event("finished")


class Jobs:
    """Runs ``penstock score`` with `folder` as the working directory."""

    def __init__(self, folder: Path, variables: Mapping[str, str] = {}) -> None:
        self.folder = folder
        self.root = folder / "jobs"
        self.environment = {**os.environ, "PENSTOCK_JOBS": str(self.root), **variables}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: object, report: str = "json") -> subprocess.Popen[str]:
        """Begin a job; `finish` waits for it."""
        process = subprocess.Popen(
            [PENSTOCK, "score", "-o", report, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], timeout_s: float = 100.0) -> Done:
        """Wait for its end."""
        out, err = process.communicate(timeout=timeout_s)
        return Done(process.returncode, out, err, list(_events(out)))

    def run(self, *arguments: object, report: str = "json", code: int | None = 0) -> Done:
        """A whole job; AssertionError unless it ends with `code` (None: any)."""
        done = self.finish(self.start(*arguments, report=report))
        assert code is None or done.code == code, f"exit code {done.code}\n{done.out}\n{done.err}"
        return done

    def close(self) -> None:
        """End whatever is left."""
        for process in self._started:
            for child in _family(process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def workers_of(driver: int) -> list[psutil.Process]:
    """The processes that a driver's nursery has forked."""
    found = []
    for nursery in _children(driver):
        found += _children(nursery.pid)
    return found


def wait_for_workers(driver: int, count: int = 1) -> list[psutil.Process]:
    """At least `count` workers of `driver`."""
    return until(lambda: (found := workers_of(driver)) and len(found) >= count and found, "workers")  # type: ignore[return-value]


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _events(out: str) -> Iterator[dict[str, Any]]:
    for line in out.splitlines():
        if line.startswith('{"event"'):
            yield json.loads(line)


def model(folder: Path) -> Path:
    """A linear model of `COLUMNS`: ``a + 10 b + 100 c``, as a pickle."""
    import pandas as pd

    data = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=COLUMNS)
    fitted = LinearRegression().fit(data, data @ [1.0, 10.0, 100.0])
    path = folder / "model.pkl"
    joblib.dump(fitted, path)
    return path


def table(rows: int, start: int = 0) -> pa.Table:
    """An ``id`` that counts from `start`, and `COLUMNS` that follow from it."""
    numbers = np.arange(start, start + rows)
    columns = {name: np.sin(numbers * (place + 1)) for place, name in enumerate(COLUMNS)}
    return pa.table({"id": numbers, **columns})


def parquet(folder: Path, files: Sequence[int], *, group: int = 1000) -> Path:
    """A folder ``data`` of Parquet files of so many rows each."""
    target = folder / "data"
    target.mkdir()
    start = 0
    for number, rows in enumerate(files):
        pq.write_table(table(rows, start), target / f"{number:04}.parquet", row_group_size=group)
        start += rows
    return target


def script(folder: Path, text: str, name: str = "score.py") -> Path:
    """A scoring script with this text, in a folder of its own."""
    code = folder / "code"
    code.mkdir(exist_ok=True)
    path = code / name
    path.write_text(text)
    return path


def finished_mini_batches(logs: Path) -> int:
    """How many mini-batches the workers of a job have finished so far, by its log folder."""
    return sum(file.read_text().count(" succeeded, ") for file in logs.glob("sys/node/*/*.txt"))


def content(path: Path) -> dict[str, bytes]:
    """Every file at or under `path`, by its relative name."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {
        str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()
    }
