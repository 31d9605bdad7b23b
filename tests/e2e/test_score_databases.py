"""``penstock score`` from and into real databases."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import batch_jobs, job_places
from support.postgres import Database
from support.waiting import until

pytestmark = pytest.mark.slow


def customers(postgres: Database, rows: int) -> None:
    """A table of several types, its rows not in the order of their key."""
    postgres.run(
        "CREATE TABLE customers AS SELECT i::bigint AS id, i * 0.5 AS price, 'name ' || i AS name, "
        "CASE WHEN i %% 3 = 0 THEN NULL ELSE i END AS some, '2024-01-01'::date + i AS day, i %% 2 = 0 AS even, "
        "(i * 1.25)::numeric(12,2) AS exact FROM generate_series(1, %s) AS i ORDER BY md5(i::text)",
        [rows],
    )
    postgres.run("ALTER TABLE customers ADD PRIMARY KEY (id)")


def test_a_table_is_read_in_ranges_with_its_types(
    jobs: batch_jobs.Jobs, tmp_path: Path, postgres: Database, echo: tuple[str, ...]
) -> None:
    customers(postgres, 1000)
    done = jobs.run(
        *echo, "-i", postgres.url, "--query", "customers", "--storage", "rows_per_range=100",
        "--output", "out.parquet", "--keep-columns", "all",
    )  # fmt: skip
    assert done.event("planned")["files"] == 10
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["id"].to_pylist() == found["seen"].to_pylist() == list(range(1, 1001))
    assert found["some"].to_pylist()[:4] == [1, 2, None, 4]
    kinds = {field.name: field.type for field in found.schema}
    assert kinds["id"] == pa.int64()
    assert kinds["day"] == pa.date32()
    assert kinds["even"] == pa.bool_()
    assert pa.types.is_decimal(kinds["exact"])
    assert kinds["name"] == pa.string()


def test_a_query_is_read_in_one_go(
    jobs: batch_jobs.Jobs, tmp_path: Path, postgres: Database, echo: tuple[str, ...]
) -> None:
    customers(postgres, 300)
    query = "SELECT id, name FROM customers WHERE id % 7 = 0 ORDER BY id DESC"
    done = jobs.run(*echo, "-i", postgres.url, "--query", query, "--output", "out.csv")
    assert done.event("planned")["files"] == 1
    assert list(pd.read_csv(tmp_path / "out.csv")["seen"]) == list(range(294, 0, -7))


def test_a_job_on_a_database_is_resumed_after_a_kill(
    jobs: batch_jobs.Jobs, tmp_path: Path, postgres: Database
) -> None:
    batch_jobs.script(tmp_path, job_places.slow(0.3))
    customers(postgres, 1000)
    arguments = (
        "--script", "code/score.py", "-i", postgres.url, "--query", "customers", "--storage", "rows_per_range=50",
        "--workers", "1", "--mini-batch-size", "1", "--output", "out.csv", "--job", "killed",
    )  # fmt: skip
    process = jobs.start(*arguments)
    until(lambda: job_places.committed(tmp_path / "jobs/killed") > 2, "some mini-batches")
    os.kill(process.pid, signal.SIGKILL)
    jobs.finish(process)
    assert not (tmp_path / "out.csv").exists()
    batch_jobs.script(tmp_path, job_places.ECHO)
    jobs.run("--resume", "killed")
    assert list(pd.read_csv(tmp_path / "out.csv")["seen"]) == list(range(1, 1001))


def test_results_go_into_a_table(
    jobs: batch_jobs.Jobs, tmp_path: Path, postgres: Database, echo: tuple[str, ...]
) -> None:
    pq.write_table(batch_jobs.table(100), tmp_path / "a.parquet")
    pq.write_table(batch_jobs.table(100, 50), tmp_path / "b.parquet")
    to = ("--output", postgres.url, "--table", "scores", "--keep-columns", "id,a")
    jobs.run(*echo, "-i", "a.parquet", *to)
    assert postgres.run("SELECT count(*), min(id), max(id), count(DISTINCT seen) FROM scores") == [
        (100, 0, 99, 100)
    ]
    refused = jobs.run(*echo, "-i", "b.parquet", *to, report="text", code=5)
    assert "scores" in refused.err
    assert "--if-exists" in refused.err
    jobs.run(*echo, "-i", "b.parquet", *to, "--if-exists", "append")
    assert postgres.run("SELECT count(*), count(DISTINCT id) FROM scores") == [(200, 150)]
    jobs.run(*echo, "-i", "a.parquet", *to, "--if-exists", "replace")
    assert postgres.run("SELECT count(*), max(id) FROM scores") == [(100, 99)]
    postgres.run("ALTER TABLE scores ADD PRIMARY KEY (id)")
    jobs.run(*echo, "-i", "b.parquet", *to, "--if-exists", "upsert", "--key", "id")
    assert postgres.run("SELECT count(*), count(DISTINCT id), max(id) FROM scores") == [(150, 150, 149)]


def test_a_kill_while_results_go_into_a_table_leaves_every_row_once(
    jobs: batch_jobs.Jobs, tmp_path: Path, postgres: Database, echo: tuple[str, ...]
) -> None:
    """A trigger makes the database wait in the middle of the insertion, until the driver is dead."""
    pq.write_table(batch_jobs.table(500), tmp_path / "a.parquet")
    arguments = (
        *echo, "-i", "a.parquet", "--output", postgres.url, "--table", "scores", "--if-exists", "append",
        "--keep-columns", "id", "--mini-batch-size", "100rows",
    )  # fmt: skip
    jobs.run(*arguments)
    with postgres.connect() as lock:
        lock.execute("BEGIN")
        lock.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
        process = jobs.start(*arguments, "--job", "killed", "--force")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
        until(lambda: postgres.run(waiting, [postgres.name])[0][0], "the driver to wait for the table")
        os.kill(process.pid, signal.SIGKILL)
        jobs.finish(process)
        lock.execute("ROLLBACK")
    jobs.run("--resume", "killed")
    jobs.run("--resume", "killed")
    assert postgres.run("SELECT count(*), count(DISTINCT id) FROM scores") == [(1000, 500)]
    jobs.run(*arguments, "--force")
    assert postgres.run("SELECT count(*), count(DISTINCT id) FROM scores") == [(1500, 500)]


def test_from_sqlite_to_sqlite(jobs: batch_jobs.Jobs, tmp_path: Path, echo: tuple[str, ...]) -> None:
    path = tmp_path / "base.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, x REAL)")
        base.executemany("INSERT INTO things VALUES (?, ?, ?)", [(n, f"n{n}", n / 2) for n in range(200)])
    jobs.run(*echo, "-i", f"sqlite:///{path}", "--query", "things", "--output", f"sqlite:///{path}",
             "--table", "scores", "--keep-columns", "all")  # fmt: skip
    with sqlite3.connect(path) as base:
        found = list(base.execute("SELECT id, name, x, seen FROM scores ORDER BY id"))
    assert found == [(n, f"n{n}", n / 2, n) for n in range(200)]
