"""What is scored: a model, and one row a request for it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.realtime import place

FEATURES = {"ridge": 10, "forest": 20, "nothing": 10}
TITLES = {
    "ridge": "Ridge, 10 features",
    "forest": "random forest, 100 trees, 20 features",
    "nothing": "a model that does nothing",
}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One trained model. `bodies` are requests of one row each; `answers` what the model itself says."""

    name: str
    model: Path
    script: Path
    bodies: tuple[bytes, ...]
    answers: tuple[list[float], ...]


def prepare(name: str) -> Workload:
    """Train the model `name` and read its sample rows back."""
    folder = place.CACHE / "models" / name
    argv = [sys.executable, "-m", "bench.realtime.train", name, str(FEATURES[name]), str(folder)]
    subprocess.run(argv, check=True, cwd=place.ROOT, env=place.environment(), timeout=300)
    sample = json.loads((folder / "sample.json").read_text())
    return Workload(
        name=name,
        model=folder / "model.pkl",
        script=place.SERVERS / ("score_nothing.py" if name == "nothing" else "score.py"),
        bodies=tuple(json.dumps({"data": [row]}).encode() for row in sample["rows"]),
        answers=tuple([answer] for answer in sample["answers"]),
    )
