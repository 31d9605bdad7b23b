"""The log folder of a job: every file is where those who know Azure ML's parallel jobs look for it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from support import batch_jobs

pytestmark = pytest.mark.slow

SCRIPT = """
import logging
import os
import sys

from azureml_user.parallel_run import EntryScript


def init():
    print("loading")


def run(paths):
    first = int(open(paths[0]).read())
    print(f"file {first}")
    print(f"careful at {first}", file=sys.stderr)
    logging.getLogger("mine").warning("warned at %d", first)
    EntryScript().logger.info("entry at %d", first)
    os.makedirs(EntryScript().log_dir, exist_ok=True)
    with open(os.path.join(EntryScript().log_dir, "own.txt"), "a") as own:
        own.write(f"own at {first}\\n")
    if first == 20:
        os.write(1, b"past Python\\n")
        raise ValueError(f"no {first}")
    if first == 40 and not os.path.exists("MARK"):
        open("MARK", "w").close()
        os._exit(9)
    return [first]


def shutdown():
    print("farewell")
"""


def start(tmp_path: Path) -> list[object]:
    batch_jobs.script(tmp_path, SCRIPT.replace("MARK", str(tmp_path / "mark")))
    (tmp_path / "data").mkdir()
    for number in range(0, 100, 20):
        (tmp_path / "data" / f"{number:02}.txt").write_text(str(number))
    return [
        "--script", "code/score.py", "-i", "data", "--mini-batch-size", 1, "--output", "out.csv",
        "--workers", 2, "--job", "logged", "--max-retries", 1, "--on-error", "fail",
    ]  # fmt: skip


def texts(logs: Path, pattern: str) -> str:
    """All files of a pattern, which are some."""
    files = sorted(logs.glob(pattern))
    assert files, f"no {pattern} among {sorted(str(file.relative_to(logs)) for file in logs.rglob('*'))}"
    return "".join(file.read_text() for file in files)


def test_every_file_is_there_and_says_what_it_should(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    done = jobs.run(*start(tmp_path), "--error-threshold", "-1")
    assert done.summary["failed"] == 1
    logs = tmp_path / "jobs" / "logged" / "logs"

    overview = (logs / "job_progress_overview.txt").read_text()
    assert "mini-batches   5" in overview
    assert "left         0" in overview
    assert "result         done" in overview
    assert "user/error.txt" in (logs / "readme.txt").read_text()

    master = (logs / "sys/master_role.txt").read_text()
    for said in ("planned: 5 mini-batches", "worker ready", "worker lost", "is tried again", "verdict: done"):
        assert said in master, master

    assert batch_jobs.finished_mini_batches(logs) == 5
    assert "1 files, 0 succeeded, 1 failed" in texts(logs, "sys/node/*/process*.txt")

    errors = (logs / "user/error.txt").read_text()
    assert "ValueError: no 20" in errors
    assert errors.count("Traceback") == 1
    assert errors.count("--- ") == 1, "once for each mini-batch that failed"
    assert "Traceback" in texts(logs, "user/error/*/process*.txt")

    printed = texts(logs, "user/stdout/*/process*.stdout.txt")
    assert all(f"\nfile {first}\n" in printed for first in range(0, 100, 20))
    assert "loading\n" in printed
    assert "past Python\n" in printed
    assert "farewell\n" in printed, "what is said last is not lost"
    assert "mini-batch 1\nfile 20\n" in printed
    assert "careful at 60\n" in texts(logs, "user/stderr/*/process*.stderr.txt")
    logged = texts(logs, "user/entry_script_log/*/process*.log.txt")
    assert "|WARNING|mine|mini-batch 3|warned at 60\n" in logged
    assert "entry at 80" in logged
    assert "own at 80\n" in texts(logs, "user/entry_script_log/*/own.txt")

    [node] = (logs / "perf").iterdir()
    assert sorted(node.glob("os/" + "[0-9]" * 10 + "/processes_" + "[0-9]" * 2))
    with (node / "processes_resource_usage.csv").open(newline="") as file:
        assert {"driver"} <= {row["process"] for row in csv.DictReader(file)}
    with (node / "node_resource_usage.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2, "at the start and at the end"
    assert (node / "node_disk_usage.csv").read_text().count("\n") > 1


def test_a_job_that_fails_says_where_to_begin(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    jobs.run(*start(tmp_path), code=5)
    logs = tmp_path / "jobs" / "logged" / "logs"
    overview = (logs / "job_progress_overview.txt").read_text()
    assert "failed: job logged failed" in overview
    assert "Begin with user/error.txt" in overview
    assert "verdict: failed" in (logs / "sys/master_role.txt").read_text()


def test_a_script_that_cannot_be_loaded_has_its_traceback(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    arguments = start(tmp_path)
    batch_jobs.script(
        tmp_path, "def init():\n    raise KeyError('nothing here')\n\n\ndef run(paths):\n    pass\n"
    )
    jobs.run(*arguments, code=3)
    errors = (tmp_path / "jobs" / "logged" / "logs" / "user/error.txt").read_text()
    assert "nothing here" in errors
    assert "Traceback" in errors


def test_a_job_that_is_done_is_not_logged_again(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    jobs.run(*start(tmp_path), "--error-threshold", "-1")
    logs = tmp_path / "jobs" / "logged" / "logs"
    before = batch_jobs.content(logs)
    jobs.run("--resume", "logged")
    assert batch_jobs.content(logs) == before
