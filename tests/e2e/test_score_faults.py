"""Batch jobs that are killed, hung, starved and lied to: every row once, the same bytes, or a clear word."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import batch_jobs, processes
from support.waiting import until

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("PENSTOCK_CHAOS_KILLS", "12"))
"""How many times the chaos test kills something; a long run sets more."""

KILLS_OF_A_JOB = 6

FILES_SCRIPT = """
import time


def init():
    pass


def run(paths):
    time.sleep(0.01)
    return [open(path).read().upper() for path in paths]
"""


def texts(folder: Path, count: int) -> None:
    """So many small files."""
    (folder / "texts").mkdir()
    for number in range(count):
        (folder / "texts" / f"{number:04}.txt").write_text(f"text {number}")


def rows_script(folder: Path, body: str) -> tuple[str, ...]:
    """Arguments of a job whose script takes DataFrames of 20 rows; `body` is the inside of ``run(frame)``."""
    batch_jobs.script(
        folder,
        "import os, signal, time\n\n\ndef init():\n    pass\n\n\n"
        f"def run(frame):\n{body}    return frame[['id']]\n",
    )
    pq.write_table(batch_jobs.table(100), folder / "data.parquet")
    return (
        "--script",
        "code/score.py",
        "-i",
        "data.parquet",
        "--mini-batch-size",
        "20rows",
        "--output",
        "out.csv",
    )


def ids(path: Path) -> list[int]:
    return list(pd.read_csv(path)["id"])


def letters(done: batch_jobs.Done) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(done.summary["dead_letters"]).read_text().splitlines()]


def test_any_number_of_kills_leaves_the_same_bytes(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, FILES_SCRIPT)
    texts(tmp_path, 90)
    arguments = ("--script", "code/score.py", "-i", "texts", "--mini-batch-size", "1", "--max-retries", "100")
    jobs.run(*arguments, "--output", "serial.jsonl", "--workers", "1")
    expected = (tmp_path / "serial.jsonl").read_bytes()
    assert expected.count(b"\n") == 90
    kills, job = 0, 0
    chance = random.Random(20261126)
    while kills < KILLS:
        job += 1
        output = tmp_path / f"{job}.jsonl"
        whole = (*arguments, "--output", output, "--job", f"j{job}", "--workers", "3")
        process = jobs.start(*whole)
        before = kills
        while not output.exists():
            # A slow machine needs longer to begin than we leave it: nobody is killed for ever.
            if kills - before < KILLS_OF_A_JOB:
                kills += _kill_something(process, chance)
            else:
                jobs.finish(process)
            if process.poll() is not None:
                jobs.finish(process)
                if not output.exists():
                    # Killed before it was a job, it is begun again.
                    is_begun = (jobs.root / f"j{job}" / "launch.json").exists()
                    process = jobs.start("--resume", f"j{job}") if is_begun else jobs.start(*whole)
        done = jobs.finish(process)
        if done.code:
            jobs.run("--resume", f"j{job}")
        assert output.read_bytes() == expected
        assert not list(tmp_path.glob(".*penstock*")), "something of ours was left"


def _kill_something(process: subprocess.Popen[str], chance: random.Random) -> int:
    """Wait for a random moment, then kill driver, nursery or a worker. How many were killed."""
    try:
        process.wait(chance.uniform(0.05, 3.0))
        return 0
    except subprocess.TimeoutExpired:
        pass
    try:
        driver = psutil.Process(process.pid)
        family = [driver, *driver.children(recursive=True)]
        chance.choice(family).kill()
    except psutil.NoSuchProcess:
        return 0
    return 1


@pytest.mark.parametrize(
    "death", ["os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(0)"]
)
def test_rows_that_kill_are_found(jobs: batch_jobs.Jobs, tmp_path: Path, death: str) -> None:
    arguments = rows_script(tmp_path, f"    if (frame['id'] == 33).any():\n        {death}\n")
    done = jobs.run(*arguments, "--on-error", "bisect", "--max-retries", "1")
    assert ids(tmp_path / "out.csv") == [number for number in range(100) if number != 33]
    [letter] = letters(done)
    assert letter["row"] == 33


def test_rows_that_hang_are_found(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    arguments = rows_script(tmp_path, "    if (frame['id'] == 71).any():\n        time.sleep(1000)\n")
    done = jobs.run(*arguments, "--on-error", "bisect", "--max-retries", "0", "--timeout", "2s")
    assert ids(tmp_path / "out.csv") == [number for number in range(100) if number != 71]
    [letter] = letters(done)
    assert letter["row"] == 71
    assert "2 s" in str(letter["error"])


def test_a_call_that_always_hangs_costs_only_its_rows(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    arguments = rows_script(tmp_path, "    if (frame['id'] == 71).any():\n        time.sleep(1000)\n")
    done = jobs.run(*arguments, "--error-threshold", "-1", "--max-retries", "1", "--timeout", "2s")
    assert ids(tmp_path / "out.csv") == [*range(60), *range(80, 100)]
    assert done.summary["failed"] == 20


def test_a_call_that_fails_now_and_then_is_repeated(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    body = (
        "    mark = f'/{}/mark-' + str(frame['id'].iloc[0])\n"
        "    if not os.path.exists(mark):\n        open(mark, 'w').close()\n        raise OSError('try again')\n"
    ).format(str(tmp_path).strip("/"))
    jobs.run(*rows_script(tmp_path, body))
    assert ids(tmp_path / "out.csv") == list(range(100))


def test_a_worker_that_grows_is_ended_and_the_row_is_named(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    body = (
        "    if (frame['id'] == 50).any():\n        hoard = []\n        while True:\n"
        "            hoard.append(bytearray(b'x' * (8 << 20)))\n            time.sleep(0.01)\n"
    )
    arguments = rows_script(tmp_path, body)
    done = jobs.run(*arguments, "--on-error", "bisect", "--max-retries", "0", "--memory-limit", "500MB")
    assert ids(tmp_path / "out.csv") == [number for number in range(100) if number != 50]
    assert "memory" in str(letters(done)[0]["error"])


def test_ctrl_c_drains_and_the_job_goes_on_later(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, FILES_SCRIPT.replace("0.01", "0.2"))
    texts(tmp_path, 40)
    arguments = ("--script", "code/score.py", "-i", "texts", "--mini-batch-size", "1", "--workers", "2")
    process = jobs.start(*arguments, "--output", "out.jsonl", "--job", "drained", report="text")
    batch_jobs.wait_for_workers(process.pid)
    logs = tmp_path / "jobs" / "drained" / "logs"
    until(lambda: batch_jobs.finished_mini_batches(logs) > 3, "some mini-batches")
    os.kill(process.pid, signal.SIGINT)
    done = jobs.finish(process)
    assert done.code == 130
    assert "penstock score --resume drained" in done.err
    assert not (tmp_path / "out.jsonl").exists()
    assert batch_jobs.finished_mini_batches(logs) < 40
    jobs.run("--resume", "drained")
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 40
    assert batch_jobs.finished_mini_batches(logs) == 40, "nothing was scored twice"


def test_a_second_ctrl_c_stops_at_once(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, FILES_SCRIPT.replace("0.01", "1000"))
    texts(tmp_path, 2)
    process = jobs.start(
        "--script",
        "code/score.py",
        "-i",
        "texts",
        "--mini-batch-size",
        "1",
        "--output",
        "out.jsonl",
        "--job",
        "now",
    )
    shown = process.stdout
    assert shown is not None
    assert any('"event": "progress"' in line and '"workers": 2' in line for line in shown)
    workers = batch_jobs.wait_for_workers(process.pid, 2)
    os.kill(process.pid, signal.SIGINT)
    assert any("once more stops at once" in line for line in shown), (
        "two signals in one moment may count as one"
    )
    os.kill(process.pid, signal.SIGINT)
    assert jobs.finish(process, timeout_s=30).code == 130
    until(lambda: not any(worker.is_running() for worker in workers), "the workers' end")


def test_two_drivers_never_work_on_one_job(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.script(tmp_path, FILES_SCRIPT.replace("0.01", "1000"))
    texts(tmp_path, 2)
    process = jobs.start("--script", "code/score.py", "-i", "texts", "--output", "out.jsonl", "--job", "only")
    batch_jobs.wait_for_workers(process.pid)
    done = jobs.run("--resume", "only", report="text", code=5)
    assert str(process.pid) in done.err


def test_an_input_that_changes_is_no_input(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    """The script's init, which runs after the plan, changes the file under the job."""
    arguments = rows_script(tmp_path, "")
    code = tmp_path / "code" / "score.py"
    path = tmp_path / "data.parquet"
    code.write_text(
        code.read_text().replace("def init():\n    pass", f"def init():\n    os.utime({str(path)!r}, (1, 1))")
    )
    done = jobs.run(*arguments, report="text", code=5)
    assert "data.parquet has changed" in done.err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("does", "fails"), [("open(name, 'a').write('more')", True), ("os.unlink(name)", False)]
)
def test_files_that_change_under_a_script(
    jobs: batch_jobs.Jobs, tmp_path: Path, does: str, fails: bool
) -> None:
    """A script may clear away what it has read; nobody may write to it meanwhile."""
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "in" / name).write_text(name)
    text = f"import os\n\n\ndef run(names):\n    for name in names:\n        {does}\n    return names\n"
    batch_jobs.script(tmp_path, text)
    given = ("--script", "code/score.py", "-i", "in", "--output", "out.csv", "--mini-batch-size", "2")
    done = jobs.run(*given, report="text", code=5 if fails else 0)
    assert ("a.txt has changed" in done.err) == fails
    assert not fails or "2 files failed" in done.err


def test_another_schema_in_the_middle_is_told_before_any_work(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    folder = batch_jobs.parquet(tmp_path, [10, 10, 10])
    odd = pa.table({"id": [1], "a": ["text"], "b": [1.0], "c": [1.0]})
    pq.write_table(odd, folder / "0001.parquet")
    done = jobs.run("model.pkl", "-i", "data", "--output", "scores", report="text", code=5)
    assert "0001.parquet" in done.err
    assert "'a'" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "scores").exists()


def test_a_full_disk_is_told_and_the_job_goes_on_when_there_is_room(
    jobs: batch_jobs.Jobs, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    try:
        batch_jobs.model(tmp_path)
        batch_jobs.parquet(tmp_path, [60_000])
        done = jobs.run(
            "model.pkl", "-i", "data", "--output", "small/scores.csv", "--job", "full", report="text", code=5
        )
        assert "small" in done.err
        assert "Traceback" not in done.err
        assert not (small / "scores.csv").exists()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        jobs.run("--resume", "full")
        assert ids(small / "scores.csv") == list(range(60_000))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_million_rows_of_one_bad_value_end_soon(jobs: batch_jobs.Jobs, tmp_path: Path) -> None:
    batch_jobs.model(tmp_path)
    rows = 200_000
    table = batch_jobs.table(rows).set_column(1, "a", pa.array(np.full(rows, np.nan)))
    pq.write_table(table, tmp_path / "data.parquet")
    done = jobs.run(
        "model.pkl", "-i", "data.parquet", "--output", "scores.csv", "--on-error", "bisect",
        "--error-threshold", "1000", report="text", code=5,
    )  # fmt: skip
    assert "NaN" in done.err
    assert "error_threshold allows 1000" in done.err


def test_a_worker_that_outlives_its_driver_harms_no_resumed_job(
    jobs: batch_jobs.Jobs, tmp_path: Path
) -> None:
    """Driver and nursery die at once while a worker calls. It goes on, and ends within the resumed job."""
    batch_jobs.script(
        tmp_path,
        "import os, time\nhere = os.path.dirname(os.path.abspath(__file__))\n\n\ndef init():\n    pass\n\n\n"
        "def held(name):\n    path = os.path.join(here, name)\n    if not os.path.exists(path + '-mark'):\n"
        "        open(path + '-mark', 'w').close()\n"
        "        while not os.path.exists(path):\n            time.sleep(0.01)\n\n\n"
        "def run(paths):\n    held('first')\n    if paths[0].endswith('1.txt'):\n        held('second')\n"
        "    return [open(path).read() for path in paths]\n",
    )
    texts(tmp_path, 2)
    code = tmp_path / "code"
    process = jobs.start(
        "--script", "code/score.py", "-i", "texts", "--mini-batch-size", "1", "--workers", "1",
        "--output", "out.jsonl", "--job", "twice", "--max-retries", "100",
    )  # fmt: skip
    [worker] = batch_jobs.wait_for_workers(process.pid)
    until((code / "first-mark").exists, "the first call")
    [nursery] = psutil.Process(process.pid).children()
    nursery.suspend()
    process.kill()
    process.wait()
    nursery.kill()
    resumed = jobs.start("--resume", "twice")
    until((code / "second-mark").exists, "the resumed job's second mini-batch")
    assert worker.is_running()
    (code / "first").touch()
    until(lambda: processes.are_gone([worker]), "the old worker's end")
    (code / "second").touch()
    jobs.finish(resumed)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert ["text 0" in line for line in lines] == [True, False]
