"""The benchmark runs: a second of each, with numbers in the table and no errors. How fast is not asked here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (apt-get install wrk)"),
]


def bench(folder: Path, *arguments: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "bench.realtime", "--quick", "--results", str(folder), *arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "realtime.md").read_text().strip() == done.stdout.strip()
    found: dict[str, Any] = json.loads((folder / "realtime.json").read_text())
    return found


def test_quick_throughput_gives_numbers_and_no_errors(tmp_path: Path) -> None:
    who = ("bare-batching", "penstock")
    names = ",".join(who)
    found = bench(
        tmp_path, "--only", "throughput", "--models", "ridge", "--connections", "32", "--subjects", names
    )

    rounds = found["rounds"]["rounds"]
    assert rounds
    for one in rounds:
        assert one["slices"].keys() == set(who)
        for figures in one["slices"].values():
            assert figures["errors"] == 0
            assert figures["requests"] > 100
            assert 0 < figures["p50_ms"] <= figures["p90_ms"] <= figures["p99_ms"]
            assert figures["cpu_us"] > 1
    page = (tmp_path / "realtime.md").read_text()
    assert "| Penstock, no script | 32 |" in page
    assert "not measured" in page  # a bar that this run cannot know is named all the same
    measured = {bar["name"]: bar for bar in found["bars"] if bar["value"] is not None}
    assert any("bare batching loop" in name for name in measured)
    assert measured["errors of ours in all of the above"]["passes"]


def test_quick_crowd_stays_connected(tmp_path: Path) -> None:
    found = bench(tmp_path, "--only", "connections")

    crowd = found["crowd"]
    assert crowd["errors"] == 0
    assert crowd["closed"]["open"] == 2500
    assert len(crowd["kept"]) == 1
