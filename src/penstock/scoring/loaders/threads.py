"""How many threads a model may use inside one worker.

A worker is one lane: workers, not threads, are how a deployment uses its cores, and threads of several
workers on the same cores slow each other down. So the count is 1 unless the user set ``OMP_NUM_THREADS``.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def count() -> int:
    """``OMP_NUM_THREADS`` where it is a positive number (the first of a comma-separated list), else 1."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() and int(first) > 0 else 1


def limit() -> None:
    """Set the variables that numeric libraries read when they are first imported; what is set stays."""
    wanted = str(count())
    for variable in _VARIABLES:
        os.environ.setdefault(variable, wanted)
