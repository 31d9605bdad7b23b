"""The tree on its own: where lines go, how often the overview is written, what bounds the files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import JobError
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.reports import bounded_files, log_tree, perf_log
from penstock.runtimes.batch.tally import Tally

NODE = "10.0.0.7"
SECOND = 1_800_000_000.25
TIME = "2027-01-15T08:00:00.250Z"


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def tree(logs: Path, tally: Tally) -> Iterator[log_tree.LogTree]:
    made = log_tree.LogTree(logs, tally, noun="rows", node=NODE, interval_s=0, clock=lambda: SECOND)
    yield made
    made.close()


def line(text: str, stream: str = "stdout", level: str = "info", **more: str) -> dict[str, Any]:
    return {"text": text, "stream": stream, "level": level, **more}


def test_nothing_is_there_before_the_plan_stands(tree: log_tree.LogTree, logs: Path) -> None:
    assert not logs.exists()
    tree.begin(3, 0.0)
    tree.close()
    assert (
        f"{TIME} planned: 3 mini-batches; driver {os.getpid()} on {NODE}\n"
        == (logs / "sys/master_role.txt").read_text()
    )
    assert (logs / "readme.txt").exists()


@pytest.mark.parametrize(
    ("worker", "place"),
    [
        ("", (NODE, "process0")),
        ("1", (NODE, "process1")),
        ("17", (NODE, "process17")),
        ("2.3", ("agent-2", "process3")),
        ("2-3", ("agent-2", "process3")),
        ("../../x-3", ("agent-______x", "process3")),
        ("../../etc/passwd", (NODE, "process-______etc_passwd")),
    ],
)
def test_workers_have_a_node_and_a_process(
    tree: log_tree.LogTree, worker: str, place: tuple[str, str]
) -> None:
    assert tree._place(worker) == place  # what every file's path is made of


def test_what_a_script_prints_stands_as_it_is_under_the_mini_batch(
    tree: log_tree.LogTree, logs: Path
) -> None:
    tree.worker("1", line("loading"))
    tree.worker("1", line("one", request="mini-batch 3"))
    tree.worker("1", line("two\nthree", request="mini-batch 3"))
    tree.worker("1", line("alas \udcff", "stderr", request="mini-batch 3"))
    tree.worker("1", line("four", request="mini-batch 4"))
    tree.close()
    assert (logs / f"user/stdout/{NODE}/process1.stdout.txt").read_text() == (
        f"loading\n--- {TIME} mini-batch 3\none\ntwo\nthree\n--- {TIME} mini-batch 4\nfour\n"
    )
    assert "alas \\udcff\n" in (logs / f"user/stderr/{NODE}/process1.stderr.txt").read_text()


def test_what_is_logged_names_level_logger_and_mini_batch(tree: log_tree.LogTree, logs: Path) -> None:
    tree.worker("1.2", line("hot", "log", "warning", logger="mine", request="mini-batch 0"))
    tree.close()
    path = logs / "user/entry_script_log/agent-1/process2.log.txt"
    assert path.read_text() == f"{TIME}|WARNING|mine|mini-batch 0|hot\n"


@pytest.mark.parametrize("stream", ["", None])
def test_what_engines_say_is_the_drivers(tree: log_tree.LogTree, logs: Path, stream: str | None) -> None:
    content = {"text": "no worker\ncan be started", "level": "warning"}
    tree.worker("", content if stream is None else {**content, "stream": stream})
    tree.close()
    expected = f"{TIME} warning: no worker | can be started\n"
    assert (logs / "sys/master_role.txt").read_text() == expected


def test_a_failure_is_told_once_in_full_and_by_process(tree: log_tree.LogTree, logs: Path) -> None:
    trace = "Traceback (most recent call last):\n  here\nValueError: no"
    tree.outcome(
        "1", Outcome(number=5, attempt=1, items=10, failed=2, error="ValueError: no", traceback=trace)
    )
    tree.outcome("2", Outcome(number=0, attempt=2, items=10, failed=10, error="it hangs"))
    tree.outcome("2", Outcome(number=1, attempt=1, items=10))
    tree.outcome("", Outcome(number=7, attempt=3, items=4, failed=4, error="it dies"))
    tree.close()
    text = (logs / "user/error.txt").read_text()
    heads = [found for found in text.splitlines() if found.startswith("---")]
    assert [head.split()[3] for head in heads] == ["5,", "0,", "7,"], "the first failure is first"
    assert text.count(trace) == 1
    assert trace in (logs / f"user/error/{NODE}/process1.txt").read_text()
    assert "it hangs" in (logs / f"user/error/{NODE}/process2.txt").read_text()
    assert "mini-batch 7 is given up: it dies" in (logs / "sys/master_role.txt").read_text()


def test_every_mini_batch_has_its_counts_and_times(tree: log_tree.LogTree, logs: Path) -> None:
    outcome = Outcome(
        number=4,
        attempt=2,
        items=10,
        failed=3,
        rows=7,
        reading_s=0.5,
        scoring_s=1.0,
        writing_s=0.25,
        cpu_s=0.9,
    )
    tree.ready("1", 4711)
    tree.outcome("1", outcome)
    tree.lost("1", 6, "killed by SIGKILL")
    tree.close()
    ready, done, lost = (logs / f"sys/node/{NODE}/process1.txt").read_text().splitlines()
    assert ready.endswith("pid 4711, is ready")
    assert "mini-batch 4: 10 rows, 7 succeeded, 3 failed, 7 in the result; attempt 2" in done
    assert "began 2027-01-15T07:59:58.500Z, took 1.750 s" in done
    assert lost.endswith("lost at mini-batch 6: killed by SIGKILL")


def test_only_what_is_tried_again_is_a_decision(tree: log_tree.LogTree, logs: Path) -> None:
    tree.ordered("1", 3, 1)
    tree.ordered("2", 3, 2)
    tree.close()
    text = (logs / "sys/master_role.txt").read_text()
    assert text == f"{TIME} mini-batch 3 is tried again by process2 on {NODE}, attempt 2\n"


def test_the_overview_is_rewritten_now_and_then_and_at_the_end(
    tree: log_tree.LogTree, logs: Path, tally: Tally
) -> None:
    overview = logs / "job_progress_overview.txt"
    tally.add(Outcome(number=0, attempt=1, items=50), size=1)
    tree.begin(4, 100.0)
    tree.tick(100.0)
    tally.add(Outcome(number=1, attempt=1, items=500, failed=500), size=1)
    tree.tick(100.0 + log_tree.OVERVIEW_S - 0.1)
    assert "done         1\n" in overview.read_text()
    tree.tick(101.0 + log_tree.OVERVIEW_S)
    text = overview.read_text()
    for said in (
        "mini-batches   4",
        "done         2",
        "failed       1",
        "left         2",
        "rows           550",
    ):
        assert said in text, text
    assert "per second   45\n" in text, "what an earlier run has done does not count"
    assert "result         running" in text
    tree.failed(JobError("it is lost", hint="mend it"), 120.0)
    assert "result         failed: it is lost" in overview.read_text()
    assert sorted(path.name for path in logs.iterdir()) == ["job_progress_overview.txt", "readme.txt", "sys"]


def test_a_job_that_was_done_before_is_left_alone(tree: log_tree.LogTree, logs: Path) -> None:
    tree.published({}, "summary", 1.0)
    assert not logs.exists()


def test_what_was_told_is_there_without_an_end(tree: log_tree.LogTree, logs: Path) -> None:
    tree.worker("1", line("hello"))
    tree.tick(5.0)
    assert (logs / f"user/stdout/{NODE}/process1.stdout.txt").read_text() == "hello\n"


# Files that are bounded


def test_a_file_is_cut_and_says_so_also_for_the_next_run(tmp_path: Path) -> None:
    for _ in range(2):
        files = bounded_files.BoundedFiles(tmp_path, file_bytes=100)
        for _ in range(50):
            files.write("a.txt", "0123456\n")
        files.write("b.txt", "short\n")
        files.close()
    text = (tmp_path / "a.txt").read_text()
    assert text.startswith("0123456\n" * 12)
    assert text.count("has reached its limit of 100 bytes") == 1
    assert len(text) < 250
    assert (tmp_path / "b.txt").read_text() == "short\nshort\n"


def test_a_file_that_is_full_stays_as_it_is(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        files = bounded_files.BoundedFiles(tmp_path, file_bytes=1000)
        files.write("a.txt", "x" * 5000 + "\n")
        files.write("a.txt", "short\n")
        files.close()
        found.append((tmp_path / "a.txt").read_text())
    assert found[0].startswith("x" * 1000 + "\n---")
    assert found[0] == found[1]


def test_all_files_together_are_bounded(tmp_path: Path) -> None:
    files = bounded_files.BoundedFiles(tmp_path, total_bytes=1000)
    for number in range(20):
        for _ in range(20):
            files.write(f"{number}.txt", "0123456\n")
    files.close()
    texts = [path.read_text() for path in tmp_path.iterdir()]
    assert sum(text.count("0123456") for text in texts) <= 125
    assert all("together have reached their limit" in text for text in texts if text.count("0123456") < 20)


def test_few_files_are_open_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    files = bounded_files.BoundedFiles(tmp_path, open_files=5)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for turn in range(3):
        for number in range(40):
            files.write(f"sub/{number}.txt", f"{turn}\n")
            assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5
    files.close()
    assert all((tmp_path / f"sub/{number}.txt").read_text() == "0\n1\n2\n" for number in range(40))


def test_what_cannot_be_written_costs_no_job_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "user").write_text("in the way")
    tally = Tally()
    tree = log_tree.LogTree(tmp_path / "logs", tally, noun="rows", node=NODE, interval_s=0)
    tree.begin(1, 0.0)
    tree.worker("1", line("hello"))
    tree.tick(1.0)
    tree.close()
    overview = (tmp_path / "logs" / "job_progress_overview.txt").read_text()
    assert "log files      incomplete: " in overview


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    (tmp_path / "full.txt").symlink_to("/dev/full")
    files = bounded_files.BoundedFiles(tmp_path)
    for _ in range(3):
        files.write("full.txt", "x" * 100_000 + "\n")
        files.flush()
    files.close()
    assert "No space left" in files.trouble


# What the machine is busy with


def test_the_perf_log_names_workers_and_tells_nothing_of_others_arguments(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()", "said-to-it"], stdin=subprocess.PIPE)
    files = bounded_files.BoundedFiles(tmp_path)
    log = perf_log.PerfLog(files, "perf/here", place=tmp_path, interval_s=10)
    for now in (0.0, 9.9, 10.0):
        log.tick(now + 1, {child.pid: "process1"})
    files.close()
    child.communicate(b"\n")
    rows = (tmp_path / "perf/here/processes_resource_usage.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows if f",{child.pid}," in row and "process1" in row] == [
        "process1"
    ] * 2
    node = (tmp_path / "perf/here/node_resource_usage.csv").read_text().splitlines()
    assert len(node) == 3, "a header, and two looks"
    assert node[1].count(",") == node[0].count(",")
    assert len((tmp_path / "perf/here/node_disk_usage.csv").read_text().splitlines()) > 2
    [listing] = {path.read_text() for path in sorted(tmp_path.glob("perf/here/os/*/processes_*"))[:1]}
    assert "said-to-it" in listing
    [parent] = [found for found in listing.splitlines() if found.split()[0] == str(os.getppid())][:1]
    assert parent.split()[6].startswith("["), "only the job's own processes are told with their arguments"


def test_the_perf_log_can_be_turned_off(tmp_path: Path) -> None:
    files = bounded_files.BoundedFiles(tmp_path)
    log = perf_log.PerfLog(files, "perf/here", place=tmp_path, interval_s=0)
    log.tick(1000.0, {})
    log.look({})
    files.close()
    assert not list(tmp_path.iterdir())


def test_a_resumed_job_goes_on_in_the_same_tables(tmp_path: Path) -> None:
    for _ in range(2):
        files = bounded_files.BoundedFiles(tmp_path)
        perf_log.PerfLog(files, "perf/here", place=tmp_path).look({})
        files.close()
    text = (tmp_path / "perf/here/node_resource_usage.csv").read_text()
    assert text.count("time,cpus") == 1
    assert text.count("\n") == 3
