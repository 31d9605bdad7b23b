"""What thousands of idle and slow connections cost: memory of the server tree, and throughput of the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.realtime import load, place, subjects
from bench.realtime.tree import ServerError, Tree
from bench.realtime.workloads import Workload

IDLE = 2000
SLOW = 500
ACTIVE = 32


@dataclass(frozen=True, kw_only=True)
class CrowdCost:
    """`kept` is requests/s with the crowd over requests/s without, one ratio a round; `cpu_kept` is CPU a
    request without over with, which others on the core disturb less. `closed` counts the
    connections that the server closed (or refused) on the crowd; `open` those that stood at the end."""

    growth_mb: float
    kept: list[float]
    cpu_kept: list[float]
    errors: int
    closed: dict[str, int]


def measure(name: str, workload: Workload, *, repeats: int, seconds: float) -> CrowdCost:
    """`repeats` rounds of: load alone, load beside the crowd."""
    kept: list[float] = []
    cpu_kept: list[float] = []
    growths_mb: list[float] = []
    errors = 0
    closed: dict[str, int] = {}
    with subjects.running(name, workload) as server:
        load.measure(server, workload, connections=ACTIVE, seconds=seconds)
        for attempt in range(1, repeats + 1):
            print(f"connections: {name}, round {attempt}", file=sys.stderr)
            alone = load.measure(server, workload, connections=ACTIVE, seconds=seconds)
            before_mb = server.settled_pss_mb()
            with _crowd(server, closed):
                growths_mb.append(server.settled_pss_mb() - before_mb)
                beside = load.measure(server, workload, connections=ACTIVE, seconds=seconds)
            kept.append(beside.requests_per_s / alone.requests_per_s)
            cpu_kept.append(alone.cpu_us / beside.cpu_us)
            errors += alone.errors + beside.errors
    # A process may keep the memory it once took: then only the first crowd shows what a crowd costs.
    return CrowdCost(growth_mb=max(growths_mb), kept=kept, cpu_kept=cpu_kept, errors=errors, closed=closed)


@contextmanager
def _crowd(server: Tree, closed: dict[str, int]) -> Iterator[None]:
    """2,500 connections that stay as long as the block; what became of them is added to `closed`."""
    argv = ["taskset", "--cpu-list", str(place.cores()[1]), sys.executable, "-m", "bench.realtime.crowd"]
    argv += [str(server.port), str(IDLE), str(SLOW)]
    with subprocess.Popen(
        argv, cwd=place.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise ServerError(f"{server.name}: the crowd could not connect")
            yield
            output, _ = process.communicate("", timeout=30)
            for key, count in json.loads(output).items():
                closed[key] = closed.get(key, 0) + count
        finally:
            process.kill()
