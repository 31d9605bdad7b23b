"""What people see of a job: the bar, the numbers, the summary's sentences."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.runtimes.batch import closing
from penstock.runtimes.batch.reports import progress

STATE = {
    "share": 0.5,
    "items": 12_345,
    "noun": "rows",
    "rate": 987.6,
    "size": 4_100_000,
    "failed": 0,
    "workers": 1,
    "left_s": 187.2,
}

SUMMARY: dict[str, Any] = {
    "noun": "files",
    "items": 60,
    "items_in_this_run": 60,
    "per_second": 2.0,
    "seconds": 30.2,
    "failed": 0,
    "workers": [{"worker": "1", "items": 60, "cpu_s": 2.04, "peak_bytes": 119_000_000}],
    "left_out": 0,
    "rows": 1,
    "output_files": 1,
    "output_bytes": 1400,
    "output": "/o.csv",
    "note": "",
    "dead_letters": "",
    "error": "",
    "job": "j",
    "folder": "/jobs/j",
}


@pytest.mark.parametrize("width", [20, 60, 100, 200])
def test_the_bar_fits_its_line(width: int) -> None:
    for share in (0.0, 0.013, 0.5, 1.0):
        bar = progress._bar({**STATE, "share": share}, width)
        assert len(bar) < max(width, 21)
    assert "50%  12.3k rows  988/s  4.1 MB  0 failed  1 worker  3:07 left" in progress._bar(STATE, 200)


def test_nobody_is_shown_zeros_while_workers_load() -> None:
    assert "waiting for the first worker to load" in progress._bar({**STATE, "items": 0, "workers": 0}, 100)


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [
        (0, "file", "0 files"),
        (1, "row", "1 row"),
        (2000, "file", "2,000 files"),
        (2, "mini-batch", "2 mini-batches"),
    ],
)
def test_counts_are_said_as_people_say_them(count: int, noun: str, told: str) -> None:
    assert progress.counted(count, noun) == told


def test_the_summary_tells_what_a_resumed_run_has_done_itself() -> None:
    assert closing.text(SUMMARY).startswith(
        "  60 files in 30 s, 2 files/s, 0 failed\n  1 worker: 2.0 s of CPU"
    )
    assert "/o.csv  (1 row, 1 file, 1.4 KB)" in closing.text(SUMMARY)
    resumed = closing.text({**SUMMARY, "items_in_this_run": 58})
    assert resumed.startswith("  60 files, 58 of them in this run, in 30 s")
