"""``penstock score`` from and into real databases, object stores, the web and Delta tables."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from support import azurite as azurite_support
from support import batch_jobs, object_store
from support.http_files import Site
from support.postgres import PASSWORD, QUOTED_PASSWORD, Database
from support.waiting import until

pytestmark = pytest.mark.slow

ECHO = "def init():\n    pass\n\n\ndef run(frame):\n    return frame[['id']].rename(columns={'id': 'seen'})\n"
"""A script that gives each row's id back: what came of which row can be told."""

SLOW = "import time\n\n\n" + ECHO.replace("    return", "    time.sleep(0.05)\n    return")


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[batch_jobs.Jobs]:
    made = batch_jobs.Jobs(tmp_path)
    yield made
    made.close()


@pytest.fixture
def echo(tmp_path: Path) -> tuple[str, ...]:
    """The arguments of a job that runs `ECHO` on rows."""
    batch_jobs.script(tmp_path, ECHO)
    return ("--script", "code/score.py", "--pass", "dataframe", "--workers", "1")


def storage(options: dict[str, str]) -> list[str]:
    """As ``--storage`` takes them."""
    return [part for name, value in options.items() for part in ("--storage", f"{name}={value}")]


def parquet(rows: int, start: int = 0) -> bytes:
    out = io.BytesIO()
    pq.write_table(batch_jobs.table(rows, start), out)
    return out.getvalue()


def csv(rows: int, start: int = 0) -> bytes:
    out = io.BytesIO()
    pa_csv.write_csv(batch_jobs.table(rows, start), out)
    return out.getvalue()


def customers(postgres: Database, rows: int) -> None:
    """A table of several types, its rows not in the order of their key."""
    postgres.run(
        "CREATE TABLE customers AS SELECT i::bigint AS id, i * 0.5 AS price, 'name ' || i AS name, "
        "CASE WHEN i %% 3 = 0 THEN NULL ELSE i END AS some, '2024-01-01'::date + i AS day, i %% 2 = 0 AS even, "
        "(i * 1.25)::numeric(12,2) AS exact FROM generate_series(1, %s) AS i ORDER BY md5(i::text)",
        [rows],
    )
    postgres.run("ALTER TABLE customers ADD PRIMARY KEY (id)")


def committed(job: Path) -> int:
    """How many mini-batches the ledger has."""
    if not (job / "ledger.sqlite").exists():
        return 0
    with contextlib.closing(sqlite3.connect(job / "ledger.sqlite")) as base:
        try:
            return int(base.execute("SELECT count(*) FROM outcomes").fetchone()[0])
        except sqlite3.OperationalError:  # it is only just made
            return 0


# PostgreSQL


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
    batch_jobs.script(tmp_path, SLOW.replace("0.05", "0.3"))
    customers(postgres, 1000)
    arguments = (
        "--script", "code/score.py", "-i", postgres.url, "--query", "customers", "--storage", "rows_per_range=50",
        "--workers", "1", "--mini-batch-size", "1", "--output", "out.csv", "--job", "killed",
    )  # fmt: skip
    process = jobs.start(*arguments)
    until(lambda: committed(tmp_path / "jobs/killed") > 2, "some mini-batches")
    os.kill(process.pid, signal.SIGKILL)
    jobs.finish(process)
    assert not (tmp_path / "out.csv").exists()
    batch_jobs.script(tmp_path, ECHO)
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


# S3


def test_from_s3_to_s3(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...]
) -> None:
    s3.put("in/day=1/a.parquet", parquet(100))
    s3.put("in/day=1/b ü.parquet", parquet(50, 100))
    s3.put("in/day=2/a.parquet", parquet(50, 150))
    s3.put("in/day=2/notes.txt", b"nothing")
    options = storage(s3.storage)
    done = jobs.run(
        *echo, "-i", f"{s3.url}/in/**/*.parquet", "--output", f"{s3.url}/out/", "--keep-columns", "id,day",
        "--with-lineage", *options,
    )  # fmt: skip
    keys = [key for key in s3 if key.startswith("out/")]
    assert "out/_SUCCESS" in keys
    parts = [pq.read_table(io.BytesIO(s3.get(key))) for key in keys if key.endswith(".parquet")]
    found = pa.concat_tables(parts)
    assert found["id"].to_pylist() == found["seen"].to_pylist() == list(range(200))
    assert found["day"].to_pylist() == [1] * 150 + [2] * 50
    assert found["_file"].to_pylist()[100] == f"{s3.url}/in/day=1/b ü.parquet"
    assert found["_row"].to_pylist() == [*range(100), *range(50), *range(50)]
    written = {item["Key"]: item["LastModified"] for item in
               s3.client().list_objects_v2(Bucket=s3.name, Prefix="out/")["Contents"]}  # fmt: skip
    assert max(written, key=lambda key: (written[key], key == "out/_SUCCESS")) == "out/_SUCCESS"
    assert done.summary["output"] == f"{s3.url}/out/"
    again = jobs.run(*echo, "-i", f"{s3.url}/in/day=1/", "--output", f"{s3.url}/out/", *options,
                     report="text", code=5)  # fmt: skip
    assert "--if-exists" in again.err


def test_s3_by_the_environment_into_one_csv(
    tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...]
) -> None:
    jobs = batch_jobs.Jobs(tmp_path, s3.variables)
    s3.put("in/a.csv", csv(100))
    s3.put("in/b.csv", csv(50, 100))
    s3.put("inner.csv", csv(10))
    try:
        jobs.run(*echo, "-i", f"{s3.url}/in", "--output", f"{s3.url}/results/out.csv")
        assert list(pd.read_csv(io.BytesIO(s3.get("results/out.csv")))["seen"]) == list(range(150))
        jobs.run(*echo, "-i", f"{s3.url}/in/a.csv", "--output", "local.csv")
        assert list(pd.read_csv(tmp_path / "local.csv")["seen"]) == list(range(100))
    finally:
        jobs.close()


def test_storage_options_serve_whichever_side_is_remote(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, postgres: Database, echo: tuple[str, ...]
) -> None:
    (tmp_path / "data.csv").write_bytes(csv(20))
    options = storage(s3.storage)
    jobs.run(*echo, "-i", "data.csv", "--output", f"{s3.url}/out.csv", *options)
    assert list(pd.read_csv(io.BytesIO(s3.get("out.csv")))["seen"]) == list(range(20))
    jobs.run(*echo, "-i", f"{s3.url}/out.csv", "--output", postgres.url, "--table", "t", *options, code=None)
    wrong = jobs.run(*echo, "-i", "data.csv", "--output", f"{s3.url}/out2.csv", *options,
                     "--storage", "endpoint_uri=x", report="text", code=5)  # fmt: skip
    assert "endpoint_uri" in wrong.err


def test_only_new_objects_are_scored(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...]
) -> None:
    s3.put("in/a.csv", csv(10))
    arguments = (
        *echo, "-i", f"{s3.url}/in/", "--output", f"{s3.url}/out/", "--incremental", "--if-exists", "append",
        *storage(s3.storage),
    )  # fmt: skip
    assert jobs.run(*arguments).summary["items"] == 10
    s3.put("in/b.csv", csv(5, 10))
    done = jobs.run(*arguments)
    assert (done.summary["items"], done.summary["left_out"]) == (5, 1)
    s3.put("in/a.csv", csv(3, 100))
    assert jobs.run(*arguments).summary["items"] == 3
    parts = [pq.read_table(io.BytesIO(s3.get(key))) for key in s3 if key.endswith(".parquet")]
    assert sorted(pa.concat_tables(parts)["seen"].to_pylist()) == [*range(15), 100, 101, 102]


def test_an_object_that_changes_after_it_was_listed_is_told(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket
) -> None:
    """More files than are looked at before any work; the script's first call changes one of the last."""
    for number in range(60):
        s3.put(f"in/{number:02}.csv", csv(1, number))
    body = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n\n"
        "def init():\n    from support import object_store\n"
        f"    object_store.Bucket({s3.endpoint!r}, {s3.name!r}).put('in/59.csv', b'id,a,b,c\\n1,2,3,4\\n')\n\n\n"
        "def run(frame):\n    return frame[['id']]\n"
    )
    batch_jobs.script(tmp_path, body)
    done = jobs.run(
        "--script", "code/score.py", "--pass", "dataframe", "-i", f"{s3.url}/in/", "--output", "out.csv",
        "--workers", "1", "--mini-batch-size", "1", *storage(s3.storage), report="text", code=5,
    )  # fmt: skip
    assert "in/59.csv has changed" in done.err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["big.csv", "big.csv.gz", "big.parquet"])
def test_a_large_object_is_cut(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, echo: tuple[str, ...], name: str
) -> None:
    rows = 1_000_000
    table = pa.table({"id": np.arange(rows), "x": np.random.default_rng(1).random(rows),
                      "y": np.random.default_rng(2).random(rows), "z": np.random.default_rng(3).random(rows),
                      "v": np.random.default_rng(4).random(rows)})  # fmt: skip
    if "csv" in name:
        with pa.output_stream(str(tmp_path / name), compression="gzip" if "gz" in name else None) as stream:
            pa_csv.write_csv(table, stream)
    else:
        pq.write_table(table, tmp_path / name, row_group_size=100_000, compression="none")
    assert (tmp_path / name).stat().st_size > 32 * 2**20
    s3.client().upload_file(str(tmp_path / name), s3.name, f"in/{name}")
    done = jobs.run(*echo, "-i", f"{s3.url}/in/{name}", "--output", "out.parquet", "--mini-batch-size",
                    "200000rows", *storage(s3.storage))  # fmt: skip
    assert done.event("planned")["mini_batches"] > 1 or "gz" in name
    assert pq.read_table(tmp_path / "out.parquet")["seen"].to_pylist() == list(range(rows))


# Azure


def test_from_azure_blob_to_azure_blob(
    tmp_path: Path, azurite: azurite_support.Container, echo: tuple[str, ...]
) -> None:
    azurite.put("in/a.csv", csv(30))
    azurite.put("in/deep/b.csv", csv(20, 30))
    url = f"abfs://{azurite.name}"
    jobs = batch_jobs.Jobs(
        tmp_path,
        {"PENSTOCK_DATASTORE_WORKSPACEBLOBSTORE": url, "AZURE_STORAGE_CONNECTION_STRING": ""},
    )
    try:
        options = storage(azurite.storage)
        jobs.run(*echo, "-i", f"{url}/in/", "--output", f"{url}/out.csv", *options)
        assert list(pd.read_csv(io.BytesIO(azurite.get("out.csv")))["seen"]) == list(range(50))
        there = "azureml://datastores/workspaceblobstore/paths"
        jobs.run(*echo, "-i", f"{there}/in/deep", "--output", f"{there}/scores", *options)
        assert "scores/_SUCCESS" in azurite.names()
        lost = jobs.run(*echo, "-i", "azureml://datastores/other/paths/in", "--output", "x.csv",
                        *options, report="text", code=5)  # fmt: skip
        assert "PENSTOCK_DATASTORE_OTHER" in lost.err
    finally:
        jobs.close()


# The web


def test_from_the_web(jobs: batch_jobs.Jobs, tmp_path: Path, site: Site, echo: tuple[str, ...]) -> None:
    site.put("data.csv", csv(40))
    site.put("more.parquet", parquet(10, 40))
    jobs.run(*echo, "-i", site.url("data.csv", "cut-1"), "-i", site.url("more.parquet", "bare"),
             "--output", "out.csv")  # fmt: skip
    assert list(pd.read_csv(tmp_path / "out.csv")["seen"]) == list(range(50))
    gone = jobs.run(*echo, "-i", site.url("nothing.csv"), "--output", "no.csv", report="text", code=5)
    assert "nothing.csv" in gone.err
    assert "Traceback" not in gone.err


# Delta


def test_from_delta_to_delta(jobs: batch_jobs.Jobs, tmp_path: Path, echo: tuple[str, ...]) -> None:
    import deltalake

    deltalake.write_deltalake(tmp_path / "table", batch_jobs.table(30))
    deltalake.write_deltalake(tmp_path / "table", batch_jobs.table(20, 30), mode="append")
    jobs.run(*echo, "-i", "table", "--output", "scores", "--output-format", "delta", "--keep-columns", "id")
    found = deltalake.DeltaTable(tmp_path / "scores").to_pyarrow_table()
    assert sorted(found["id"].to_pylist()) == sorted(found["seen"].to_pylist()) == list(range(50))
    jobs.run(*echo, "-i", "table", "--storage", "version_as_of=0", "--output", "old.csv")
    assert sorted(pd.read_csv(tmp_path / "old.csv")["seen"]) == list(range(30))
    jobs.run(*echo, "-i", "table", "--output", "scores", "--output-format", "delta", "--keep-columns", "id",
             "--if-exists", "upsert", "--key", "id")  # fmt: skip
    assert deltalake.DeltaTable(tmp_path / "scores").to_pyarrow_table().num_rows == 50


# Secrets


def test_no_secret_is_shown(
    jobs: batch_jobs.Jobs, tmp_path: Path, s3: object_store.Bucket, postgres: Database
) -> None:
    batch_jobs.script(tmp_path, SLOW.replace("0.05", "0.5"))
    for number in range(6):
        s3.put(f"in/{number}.csv", csv(2, number))
    arguments = (
        "--script", "code/score.py", "--pass", "dataframe", "-i", f"{s3.url}/in/", "--workers", "1",
        "--mini-batch-size", "1", "--output", postgres.url, "--table", "scores", *storage(s3.storage),
        "--log-level", "debug",
    )  # fmt: skip
    secrets = [object_store.SECRET, object_store.KEY, PASSWORD, QUOTED_PASSWORD]
    process = jobs.start(*arguments, "--job", "quiet")
    batch_jobs.wait_for_workers(process.pid)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    seen = " ".join(" ".join(child.cmdline()) for child in family)
    done = jobs.finish(process)
    assert done.code == 0, done.err
    lost = jobs.run(*arguments, "-i", f"{s3.url}-not/in", report="text", code=5)
    again = jobs.run(*arguments, report="text", code=5)  # the table is there
    checked = jobs.run(*arguments, "--if-exists", "append", "--check", "-o", "json")
    texts = {"arguments": seen}
    for number, each in enumerate((done, lost, again, checked)):
        texts |= {f"out {number}": each.out, f"err {number}": each.err}
    for path in (tmp_path / "jobs").rglob("*"):
        if path.is_file():
            if path.name == "launch.json":
                assert path.stat().st_mode & 0o777 == 0o600
            else:
                texts[str(path)] = path.read_bytes().decode("utf-8", "replace")
    for secret in secrets:
        found = [name for name, text in texts.items() if secret in text]
        assert not found, f"{secret} is in {found}"
    assert json.loads((tmp_path / "jobs/quiet/job.json").read_text())["status"] == "done"
