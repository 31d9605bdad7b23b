"""Limits and arithmetic that Azure ML's deployment files share, v1 and v2."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]i?|k|)")
_UNITS = {"": 1, "k": 1000, "K": 1000} | {
    f"{letter}{suffix}": base ** (power + 1)
    for power, letter in enumerate("KMGTPE")
    for suffix, base in (("", 1000), ("i", 1024))
}


def name_problem(name: str) -> str:
    """What is wrong with the `name` of an endpoint or deployment; empty: nothing."""
    if not 3 <= len(name) <= 32:
        return f"must have 3 to 32 characters, has {len(name)}"
    if _NAME.fullmatch(name) is None:
        return "must start with a letter, and hold letters, digits and single dashes between them"
    return ""


def memory_bytes(text: str) -> int | None:
    """A Kubernetes quantity of memory, ``500Mi`` or ``2G``, in bytes; None: it is none."""
    match = _MEMORY.fullmatch(text.strip())
    return None if match is None else round(float(match[1]) * _UNITS[match[2]])


def queue_length(concurrent: int, instances: int, workers: int) -> int:
    """How many requests may wait where Azure ML lets twice ``concurrent x instances`` be in flight, of which
    `workers` are being scored; at least one."""
    return max(1, 2 * concurrent * instances - workers)


LEAST_START_TIMEOUT_S = 120.0
"""However impatient a probe: it was written for an image that has run before, and the first start in a fresh
environment compiles every module that it imports, which takes many times as long."""


def start_timeout_s(initial_delay: int, period: int, timeout: int, failure_threshold: int) -> float:
    """Seconds that a starting container gets from its liveness probe, or LEAST_START_TIMEOUT_S if that is
    more."""
    return max(LEAST_START_TIMEOUT_S, float(initial_delay + failure_threshold * max(period, timeout)))
