"""Builds one environment in a process of its own, as `penstock serve` does; run by tests.

Arguments: the requirements as JSON (fields of `Requirements`). Prints what is said, and last the interpreter.
"""

from __future__ import annotations

import json
import sys

from penstock.bundle import environments
from penstock.bundle.requirements import Requirements
from penstock.errors import PenstockError


def say(line: str) -> None:
    print(line, flush=True)


try:
    fields = json.loads(sys.argv[1])
    requirements = Requirements(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    )
    print(environments.prepare(requirements, strict=False, say=say).python, flush=True)
except PenstockError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
    sys.exit(1)
