"""From the command to the first answer, and `penstock --help`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.realtime import place, subjects
from bench.realtime.workloads import Workload


def first_answer_s(names: Sequence[str], workload: Workload, *, repeats: int) -> dict[str, list[float]]:
    """Seconds from start to the first right answer, each subject in turn, `repeats` times."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            print(f"cold start: {name}", file=sys.stderr)
            start = time.perf_counter()
            with subjects.running(name, workload):
                found[name].append(time.perf_counter() - start)
    return found


def help_s(*, repeats: int) -> float:
    """Median seconds of `penstock --help`, on the server core."""
    argv = ["taskset", "--cpu-list", str(place.cores()[0])]
    argv += [str(Path(sys.executable).with_name("penstock")), "--help"]
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=60)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
