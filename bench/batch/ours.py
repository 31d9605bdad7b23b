"""Our own command line, and what it says about a job: the one place to change when those change."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.batch import shape
from bench.batch.workloads import CONTESTANTS, Workload

ROWS_A_MINI_BATCH = 1_000
MINI_BATCH_BYTES = "64KB"
"""Less than a row group of that many rows, so that each is a mini-batch of its own."""
JOBS = shape.CACHE / "jobs"
VARIABLES = {"PENSTOCK_JOBS": str(JOBS)}
EVENTS = ["-o", "json"]
PLAN_ONLY = ["--check", *EVENTS]


def score(model: Path, folder: Path, output: Path, *more: str, workers: int = 2) -> list[str]:
    """``penstock score`` as everybody would call it, and `more`."""
    argv = [str(Path(sys.executable).with_name("penstock")), "score", str(model)]
    argv += ["--input", str(folder), "--output", str(output), "--workers", str(workers)]
    argv += ["--method", "predict_proba", "--output-columns", shape.PROBABILITY, "--keep-columns", shape.ID]
    return [*argv, *more]


def argv(workload: Workload, output: Path) -> list[str]:
    """The command that is measured beside the others."""
    return score(workload.model, workload.folder, output)


def in_mini_batches(workload: Workload, output: Path) -> list[str]:
    """The same job in mini-batches of 1,000 rows, with events."""
    return [*argv(workload, output), "--mini-batch-size", MINI_BATCH_BYTES, *EVENTS]


def on_local(workload: Workload, output: Path) -> list[str]:
    """The same job with events."""
    return [*argv(workload, output), *EVENTS]


def on_ray(workload: Workload, output: Path) -> list[str]:
    """The same job on a Ray cluster that is started for it, with events."""
    wrapper = [sys.executable, str(CONTESTANTS / "on_ray.py")]
    return [*wrapper, *on_local(workload, output), "--engine", "ray"]


def summary(log: Path) -> Mapping[str, Any]:
    """The last event of a job: what it did and how long that took. Raises LookupError where there is none."""
    return _event(log, "finished", reversed)


def working_s(log: Path) -> float:
    """Seconds from the first worker that was ready to the end. Raises LookupError where nobody was."""
    return float(summary(log)["time"] - _event(log, "worker-ready", iter)["time"])


def _event(log: Path, name: str, order: Callable[[list[str]], Iterable[str]]) -> Mapping[str, Any]:
    for line in order(log.read_text(errors="replace").splitlines()):
        with contextlib.suppress(ValueError):
            event: Any = json.loads(line)
            if isinstance(event, dict) and event.get("event") == name:
                return event
    raise LookupError(f"{log}: no event {name!r}")
