"""How many agents a job has on a Ray cluster, and how many workers each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

MOST_FAILURES = 5
"""When so many agents in a row were lost that had done nothing, the job fails: another would fare no better."""


def sizes(workers: int, cpus_per_agent: int, max_agents: int, nodes: Sequence[int]) -> list[int]:
    """The workers of each agent, a CPU each. `nodes` are the CPUs of the nodes that are there; those without take
    none. `workers` 0: as many as these have, or one. `cpus_per_agent` and `max_agents` as in `RayOptions`."""
    usable = [cpus for cpus in nodes if cpus > 0]
    workers = workers or sum(usable) or 1
    size = min(cpus_per_agent or min(usable, default=1), workers)
    whole, rest = divmod(workers, size)
    found = [size] * whole + [rest] * (rest > 0)
    return found[:max_agents] if max_agents else found
