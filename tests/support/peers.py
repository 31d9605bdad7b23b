"""Programs that tests talk to and that must not share our environment: each in one of its own, built once by uv
from ``tests/peers/NAME.txt`` and kept under ``.build/peers``, named by what is in that file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def requirements(name: str) -> Path:
    """The locked requirements of the peer `name`."""
    return ROOT / "tests" / "peers" / f"{name}.txt"


def build(name: str) -> Path:
    """The Python of an environment that holds the peer `name`."""
    wanted = requirements(name)
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()[:16]
    home = ROOT / ".build" / "peers" / f"{name}-{digest}"
    python = home / "bin" / "python"
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".ready").exists():
            uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
            assert uv, "uv comes with `make dev`"
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, home], check=True)
            subprocess.run(
                [uv, "pip", "install", "--quiet", "--python", python, "--requirement", wanted], check=True
            )
            (home / ".ready").touch()
    return python
