"""Our own command line, and what it says about a job: the one place to change when those change."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.batch import shape
from bench.batch.workloads import Workload

ROWS_A_MINI_BATCH = 1_000
VARIABLES: dict[str, str] = {}
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
    return [*argv(workload, output), "--mini-batch-size", f"{ROWS_A_MINI_BATCH} rows", *EVENTS]


def on(engine: str) -> Callable[[Workload, Path], list[str]]:
    """The same job on `engine`, with events."""
    return lambda workload, output: [*argv(workload, output), "--engine", engine, *EVENTS]


def seconds(log: Path, *parts: str) -> float:
    """How long the job took for `parts`, as its last event says: ``{"seconds": {"ledger": 0.2, ...}}``.

    Raises LookupError where `log` holds no such event, or not all of the parts.
    """
    for line in reversed(log.read_text(errors="replace").splitlines()):
        with contextlib.suppress(ValueError):
            event: Any = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("seconds"), dict):
                return sum(float(event["seconds"][part]) for part in parts)
    raise LookupError(f"{log}: no event says how many seconds went where")
