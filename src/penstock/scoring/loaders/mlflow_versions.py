"""What an MLflow folder says of its environment, against what is installed. Runs in workers: Python 3.8,
standard library only."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Mapping

from penstock.scoring.loaders import packages

_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;,#]+)")
_NEVER_NEEDED = {"mlflow", "mlflow-skinny", "cloudpickle"}


def notes(path: str, flavors: Mapping[str, Any]) -> tuple[str, ...]:
    """A line for the Python, and one for all pinned packages, that differ from the running ones."""
    found: list[str] = []
    saved = str(flavors.get("python_function", {}).get("python_version") or "")
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if saved and packages.parsed(saved)[:2] != sys.version_info[:2]:
        found.append(f"the model was saved with Python {saved} and is served with {running}")
    clashes = [
        f"{name} {wanted} ({installed})"
        for name, wanted in _pins(os.path.join(path, "requirements.txt"))
        for installed in (packages.version(name),)
        # What is not installed was not needed: the model has loaded.
        if name not in _NEVER_NEEDED and installed and installed.split("+")[0] != wanted.split("+")[0]
    ]
    if clashes:
        found.append(
            f"the model's requirements.txt asks for other versions than installed: {', '.join(clashes)}"
        )
    return tuple(found)


def _pins(path: str) -> list[tuple[str, str]]:
    if not os.path.isfile(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        matches = [_PIN.match(line.strip()) for line in file]
    return [(match.group(1).lower(), match.group(2)) for match in matches if match]
