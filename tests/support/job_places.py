"""Jobs that read from and write to real places: a script that says which row it saw, and data to put there."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from support import batch_jobs

ECHO = "def init():\n    pass\n\n\ndef run(frame):\n    return frame[['id']].rename(columns={'id': 'seen'})\n"
"""A script that gives each row's id back: what came of which row can be told."""


def slow(seconds: float) -> str:
    """`ECHO`, taking its time over each call."""
    return "import time\n\n\n" + ECHO.replace("    return", f"    time.sleep({seconds})\n    return")


def echo(folder: Path) -> tuple[str, ...]:
    """The arguments of a job that runs `ECHO` on rows, its script in `folder`."""
    batch_jobs.script(folder, ECHO)
    return ("--script", "code/score.py", "--pass", "dataframe", "--workers", "1")


def storage(options: Mapping[str, str]) -> list[str]:
    """As ``--storage`` takes them."""
    return [part for name, value in options.items() for part in ("--storage", f"{name}={value}")]


def parquet(rows: int, start: int = 0) -> bytes:
    """So many rows of `batch_jobs.table`."""
    out = io.BytesIO()
    pq.write_table(batch_jobs.table(rows, start), out)
    return out.getvalue()


def csv(rows: int, start: int = 0) -> bytes:
    """So many rows of `batch_jobs.table`."""
    out = io.BytesIO()
    pa_csv.write_csv(batch_jobs.table(rows, start), out)
    return out.getvalue()


def committed(job: Path) -> int:
    """How many mini-batches the ledger has."""
    if not (job / "ledger.sqlite").exists():
        return 0
    with contextlib.closing(sqlite3.connect(job / "ledger.sqlite")) as base:
        try:
            return int(base.execute("SELECT count(*) FROM outcomes").fetchone()[0])
        except sqlite3.OperationalError:  # it is only just made
            return 0
