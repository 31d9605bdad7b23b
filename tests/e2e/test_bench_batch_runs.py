"""The batch benchmark runs on tiny data, and sees a wrong output. How fast is not asked here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def bench(folder: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "bench.batch", "--quick", "--results", str(folder), *arguments]
    environ = {**os.environ, **variables}
    done = subprocess.run(
        argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "batch.md").read_text().strip() == done.stdout.strip()
    found: dict[str, Any] = json.loads((folder / "batch.json").read_text())
    return found


def verdicts(found: dict[str, Any]) -> set[str]:
    """The bars that were measured."""
    return {bar["name"] for bar in found["bars"] if bar["value"] is not None}


def test_ours_and_the_bare_loop_race_and_agree(tmp_path: Path) -> None:
    found = bench(tmp_path, "--only", "throughput,small")

    rounds = found["rounds"]["rounds"]
    assert [one["bench"] for one in rounds] == ["throughput", "small"]
    for one in rounds:
        assert one["runs"].keys() == {"bare", "ours"}
        for run in one["runs"].values():
            assert run["rows"] == one["rows"]
            assert run["largest_difference"] <= 1e-6
            assert 0 < run["reading"]["cpu_s"] < 3 * run["reading"]["wall_s"]
            assert run["reading"]["peak_mb"] > 50
            assert run["reading"]["left_behind"] == 0
    page = (tmp_path / "batch.md").read_text()
    assert "| Penstock |" in page
    assert "not measured" in page  # a bar that this run cannot know is named all the same
    assert any("rows/s over the bare loop's" in name for name in verdicts(found))
    assert any("10,000 rows in one file" in name for name in verdicts(found))


def test_overheads_are_read_off_the_job(tmp_path: Path) -> None:
    found = bench(tmp_path, "--only", "ledger,planning")

    (ledger,) = found["ledger"]
    assert ledger["mini_batches"] == 50
    assert 0 < ledger["ledger_s"] < ledger["wall_s"]
    assert 0 < ledger["publish_s"] < ledger["wall_s"]
    (planning,) = found["planning"]
    assert planning["files"] == 1000
    assert planning["wall_s"] > 0
    assert planning["peak_mb"] > 20
    # What was promised of 10,000 mini-batches and 100,000 files is not met by fewer.
    assert not any("mini-batches" in name or "planning" in name for name in verdicts(found))


def test_what_cannot_run_here_is_named(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    taskset = shutil.which("taskset")
    assert taskset
    (tmp_path / "bin" / "taskset").symlink_to(taskset)  # and nothing else: no Java

    found = bench(tmp_path, "--only", "small", "--subjects", "bare,spark", PATH=str(tmp_path / "bin"))

    assert found["rounds"]["rounds"][0]["runs"].keys() == {"bare"}
    assert "needs Java" in found["skipped"]["spark"]
    assert "PySpark, `mapInPandas`: Spark needs Java" in (tmp_path / "batch.md").read_text()


METERED = """
import dataclasses, json, sys
from pathlib import Path
from bench.batch import meter

meter.adopt_orphans()
try:
    reading = meter.run(sys.argv[2:], Path(sys.argv[1]), timeout_s=50)
except meter.CommandError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps(dataclasses.asdict(reading)))
"""

DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        kept = b"x" * 200_000_000
        until = time.process_time() + 0.5
        while time.process_time() < until: pass
        os.close(write)
    os._exit(0)
"""


def metered(folder: Path, code: str) -> dict[str, Any]:
    """What the meter says of a Python program; in a process of its own, since it waits for all children."""
    argv = [sys.executable, "-c", METERED, str(folder / "log"), sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_daemon_that_detaches_itself_is_weighed_and_timed(tmp_path: Path) -> None:
    # The command waits for the far end of a pipe, which the daemon holds until it has worked.
    code = f"import os\nread, write = os.pipe()\n{DAEMON}\nos.close(write)\nos.read(read, 1)"
    found = metered(tmp_path, code)

    assert found["peak_mb"] > 200
    assert 0.5 <= found["cpu_s"] < 5
    assert found["left_behind"] == 0


def test_what_stays_behind_is_ended_and_counted(tmp_path: Path) -> None:
    found = metered(tmp_path, "import os, signal\nif os.fork() == 0: signal.pause()")

    assert found["left_behind"] == 1
    assert found["wall_s"] < 50  # it does not wait for it


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    found = metered(tmp_path, "raise SystemExit('no such model')")

    assert found["error"].endswith("ended with 1.\nno such model")


def written(folder: Path, ids: list[int], values: list[float]) -> Path:
    folder.mkdir()
    pq.write_table(pa.table({"id": ids, "p": values}), folder / "part-0.parquet")
    return folder


def verified(output: Path, reference: Path) -> str:
    """What the check says of `output`."""
    argv = [sys.executable, "-m", "bench.batch.verify", "check", str(output), str(reference)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == (1 if done.stderr else 0)
    return done.stderr or done.stdout


@pytest.mark.parametrize(
    ("ids", "values", "complaint"),
    [
        ([0, 1], [0.5, 0.25], "1 rows missing"),
        ([0, 1, 1, 2], [0.5, 0.25, 0.25, 1.0], "1 more than once"),
        ([0, 1, 3], [0.5, 0.25, 1.0], "ids from 0 to 3"),
        ([0, 1, 2], [0.5, 0.25, 0.5], "differ by up to 0.5"),
        ([0, 1, 2], [0.5, 0.25, float("nan")], "differ by up to nan"),
    ],
)
def test_a_wrong_output_is_seen(tmp_path: Path, ids: list[int], values: list[float], complaint: str) -> None:
    reference = tmp_path / "reference.npy"
    np.save(reference, np.array([0.5, 0.25, 1.0]))

    assert complaint in verified(written(tmp_path / "wrong", ids, values), reference)


def test_a_right_output_in_any_order_is_right(tmp_path: Path) -> None:
    reference = tmp_path / "reference.npy"
    np.save(reference, np.array([0.5, 0.25, 1.0]))

    found = verified(written(tmp_path / "right", [2, 0, 1], [1.0, 0.5, 0.25]), reference)
    assert json.loads(found) == {"largest_difference": 0.0}
