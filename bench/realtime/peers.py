"""Each peer's own environment, built by uv from ``bench/peers/NAME.txt`` and kept until that file changes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.realtime import place


def python(name: str) -> Path:
    """The interpreter of the peer `name`; built on first use."""
    requirements = place.PEERS / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:12]
    folder = place.CACHE / "environments" / f"{name}-{digest}"
    interpreter = folder / "bin" / "python"
    ready = folder / ".ready"
    if not ready.exists():
        print(f"building the environment of {name} ...", file=sys.stderr, flush=True)
        uv = str(Path(sys.executable).with_name("uv"))
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        fill = [uv, "pip", "sync", "--quiet", "--python", str(interpreter), str(requirements)]
        for argv in (make, fill):
            subprocess.run(argv, check=True, timeout=900)
        ready.touch()
    return interpreter
