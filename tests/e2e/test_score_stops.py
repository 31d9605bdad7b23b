"""A batch job and the world around it: terminals, second drivers, closed pipes, folders that cannot be used."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from support import batch_jobs, processes
from support.servers import PENSTOCK
from support.waiting import until

pytestmark = pytest.mark.slow

HELD = """
import os, time
here = os.path.dirname(os.path.abspath(__file__))


def init():
    pass


def run(paths):
    open(os.path.join(here, "called"), "a").write("x")
    while not os.path.exists(os.path.join(here, "go")):
        time.sleep(0.01)
    return [open(path).read() for path in paths]
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def held(folder: Path, files: int = 4) -> tuple[str, ...]:
    """Arguments of a job whose calls wait for the file ``code/go``."""
    batch_jobs.script(folder, HELD)
    (folder / "texts").mkdir()
    for number in range(files):
        (folder / "texts" / f"{number}.txt").write_text(f"text {number}")
    return (
        "--script", "code/score.py", "-i", "texts", "--mini-batch-size", "1", "--workers", "2",
        "--output", "out.jsonl", "--job", "held",
    )  # fmt: skip


def test_a_second_driver_touches_nothing_of_a_job_that_runs(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    process = jobs.start(*held(tmp_path))
    until((tmp_path / "code" / "called").exists, "a call")
    folder = tmp_path / "jobs" / "held"
    before = {name: (folder / name).read_bytes() for name in ("launch.json", "job.json", "worker.json")}
    done = jobs.run("--resume", "held", "--workers", "1", report="text", code=5)
    assert str(process.pid) in done.err
    assert {name: (folder / name).read_bytes() for name in before} == before
    # Its nursery dies; the next one reads what the second driver has left alone.
    [nursery] = psutil.Process(process.pid).children()
    nursery.kill()
    (tmp_path / "code" / "go").touch()
    assert jobs.finish(process).code == 0
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 4


def test_of_two_equal_jobs_begun_at_once_one_is_done(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    arguments = held(tmp_path)[:-1]
    processes = [jobs.start(*arguments, name, report="text") for name in ("one", "other")]
    until(lambda: any(process.poll() is not None for process in processes), "one to give up")
    (tmp_path / "code" / "go").touch()
    ends = sorted((jobs.finish(process) for process in processes), key=lambda end: end.code)
    assert [end.code for end in ends] == [0, 5]
    assert "the very same at this moment" in ends[1].err


@pytest.mark.parametrize("moment", ["planning", "calling"])
def test_ctrl_c_in_a_terminal(jobs: batch_jobs.Jobs, tmp_path: Path, moment: str) -> None:
    """The terminal tells every process of the group; only the driver acts on it."""
    arguments = held(tmp_path)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", PENSTOCK, "score", *arguments],
        cwd=tmp_path, env=jobs.environment, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    if moment == "calling":
        called = tmp_path / "code" / "called"
        until(lambda: called.exists() and called.stat().st_size == 2, "calls")
    else:
        until((tmp_path / "jobs" / "held" / "launch.json").exists, "the job")
    os.write(ours, b"\x03")
    if moment == "calling":
        shown = b""
        while b"once more stops at once" not in shown:
            shown += os.read(ours, 4096)
        (tmp_path / "code" / "go").touch()
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break  # the last of them has closed it
        if b"once more stops at once" in shown:
            (tmp_path / "code" / "go").touch()  # we were late: calls were under way
    process.wait(60)
    os.close(ours)
    assert process.returncode == 130, shown
    assert b"Traceback" not in shown
    assert b"--resume held" in shown
    about = tmp_path / "jobs" / "held" / "job.json"
    assert not about.exists() or json.loads(about.read_text())["status"] == "stopped"
    (tmp_path / "code" / "go").touch()
    done = jobs.run("--resume", "held")
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 4
    if moment == "calling":
        assert (tmp_path / "code" / "called").stat().st_size == 4, "what was under way was finished"
        assert not [event for event in done.events if event["event"] == "worker-lost"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_however_it_is_ended_nothing_is_left(
    jobs: batch_jobs.Jobs, tmp_path: Path, temporary: Path, number: signal.Signals
) -> None:
    """Neither processes nor temporary folders."""
    jobs.environment["TMPDIR"] = str(temporary)
    process = jobs.start(*held(tmp_path))
    until((tmp_path / "code" / "called").exists, "a call")
    family = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, number)
    (tmp_path / "code" / "go").touch()
    done = jobs.finish(process)
    assert done.code == 130
    until(lambda: processes.are_gone(family), "their end")
    assert not list(temporary.iterdir())


def test_a_killed_driver_leaves_nothing_but_its_job(
    jobs: batch_jobs.Jobs, tmp_path: Path, temporary: Path
) -> None:
    jobs.environment["TMPDIR"] = str(temporary)
    process = jobs.start(*held(tmp_path))
    until((tmp_path / "code" / "called").exists, "a call")
    assert list(temporary.iterdir())
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    until(lambda: processes.are_gone(family), "their end")
    until(lambda: not list(temporary.iterdir()), "an empty folder")


def test_a_deep_temporary_folder_is_no_obstacle(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    """Where a socket's path would be too long."""
    deep = tmp_path / ("d" * 60) / ("d" * 60)
    deep.mkdir(parents=True)
    jobs.environment["TMPDIR"] = str(deep)
    batch_jobs.model(tmp_path)
    pq.write_table(batch_jobs.table(100), tmp_path / "data.parquet")
    jobs.run("model.pkl", "-i", "data.parquet", "--output", "x.csv")


def test_nobody_needs_to_read_what_is_shown(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    pq.write_table(batch_jobs.table(100), tmp_path / "data.parquet")
    for report in ("json", "text"):
        process = subprocess.Popen(
            [PENSTOCK, "score", "model.pkl", "-i", "data.parquet", "--output", f"{report}.csv", "-o", report],
            cwd=tmp_path, env=jobs.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.stderr.close()
        assert (process.wait(60), b"Traceback" in err, b"Broken" in err) == (0, False, False), err
        assert (tmp_path / f"{report}.csv").exists()


def test_a_jobs_folder_that_cannot_be_used_is_told(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    pq.write_table(batch_jobs.table(100), tmp_path / "data.parquet")
    jobs.environment["PENSTOCK_JOBS"] = str(tmp_path / "model.pkl")
    done = jobs.run("model.pkl", "-i", "data.parquet", "--output", "x.csv", report="text", code=5)
    assert "Traceback" not in done.err
    assert "PENSTOCK_JOBS" in done.err


def test_a_memory_limit_that_nobody_can_keep_is_told(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    pq.write_table(batch_jobs.table(100), tmp_path / "data.parquet")
    done = jobs.run(
        "model.pkl", "-i", "data.parquet", "--output", "x.csv", "--memory-limit", "1MB", report="text", code=5
    )
    assert "only loaded" in done.err
    assert "--memory-limit" in done.err


def test_a_script_that_was_changed_meanwhile_is_said(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    arguments = held(tmp_path)
    process = jobs.start(*arguments)
    called = tmp_path / "code" / "called"
    until(lambda: called.exists() and called.stat().st_size == 2, "calls")
    os.kill(process.pid, signal.SIGINT)
    (tmp_path / "code" / "go").touch()
    assert jobs.finish(process).code == 130
    batch_jobs.script(tmp_path, HELD + "\n# mended\n")
    done = jobs.run("--resume", "held")
    said = [event["message"] for event in done.events if event["event"] == "log"]
    assert any("has changed since the job began; " in text for text in said)
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 4
