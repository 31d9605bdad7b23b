"""Memory of a server tree that has worked: proportional set size, so that shared pages count once.

Pages are also shared with strangers that map the same files; so one server at a time, and nothing else of
this Python beside it.
"""

from __future__ import annotations

import sys

from bench.realtime import load, subjects
from bench.realtime.workloads import Workload


def pss_mb(name: str, workload: Workload, *, workers: int, seconds: float) -> float:
    """MB of the tree of `name` after `seconds` of load at 32 connections and a moment of rest."""
    print(f"memory: {name}, {workers} worker(s)", file=sys.stderr)
    with subjects.running(name, workload, workers=workers) as server:
        # All workers must be there before the load, or it is not they who carry it.
        server.settled_pss_mb()
        load.measure(server, workload, connections=32, seconds=seconds)
        return server.settled_pss_mb()
