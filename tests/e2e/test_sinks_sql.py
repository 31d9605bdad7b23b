"""Results in a real PostgreSQL database."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import registry
from penstock.runtimes.batch.sinks.interface import Published, Sink
from support.postgres import PASSWORD, QUOTED_PASSWORD, Database
from support.staged_parts import staged

pytestmark = pytest.mark.slow

RESULTS = [
    pa.table({"id": [1, 2], "name": ["a,b", None], "score": [0.5, 1.5]}),
    pa.table({"id": [3, 4], "name": ["", 'quote " and\nline'], "score": [float("nan"), None]}),
]
ROWS = [
    (1, "a,b", 0.5),
    (2, None, 1.5),
    (3, "", pytest.approx(float("nan"), nan_ok=True)),
    (4, 'quote " and\nline', None),
]


def sink_of(database: Database, folder: Path, *, table: str = "scores", **output: Any) -> Sink:
    options = Output(location=database.url, form="sql", table=table, **output)
    return registry.open_sink(options, job="j", folder=str(folder))


def publish(database: Database, folder: Path, results: list[Any] = RESULTS, **output: Any) -> Published:
    sink = sink_of(database, folder, **output)
    sink.check()
    parts = staged(sink, results)
    published = sink.publish(lambda: parts)
    assert sink.publish(lambda: parts) == published
    sink.discard()
    assert not (folder / "staged").exists()
    return published


def test_a_new_table(postgres: Database, tmp_path: Path) -> None:
    published = publish(postgres, tmp_path)

    assert postgres.run("SELECT * FROM scores ORDER BY id") == ROWS
    assert published.rows == 4
    assert "scores" in published.where
    assert PASSWORD not in published.where
    assert QUOTED_PASSWORD not in published.where
    assert postgres.run("SELECT job, target, rows FROM penstock_jobs") == [("j", "scores", 4)]


def test_types(postgres: Database, tmp_path: Path) -> None:
    now = dt.datetime(2024, 5, 6, 7, 8, 9, 123456)
    results = pa.table(
        {
            "i8": pa.array([1, None], pa.int8()),
            "u64": pa.array([2**64 - 1, None], pa.uint64()),
            "f4": pa.array([0.1, float("inf")], pa.float32()),
            "b": [True, None],
            "at": pa.array([now, None], pa.timestamp("us")),
            "utc": pa.array([now, None], pa.timestamp("us", "UTC")),
            "day": [now.date(), None],
            "time": [now.time(), None],
            "dec": [decimal.Decimal("1.50"), None],
            "raw": [b"\x00\xff", None],
            "list": [[1, 2], None],
            "struct": [{"a": 1, "b": 'x"'}, None],
            "nothing": pa.nulls(2),
            'we"ird, 100% näme': ["\\.", "\\N"],
        }
    )
    publish(postgres, tmp_path, [results])

    [first, second] = postgres.run("SELECT * FROM scores")
    assert first == (
        1, decimal.Decimal(2**64 - 1), pytest.approx(0.1, rel=1e-6), True, now, now.replace(tzinfo=dt.UTC),
        now.date(), now.time(), decimal.Decimal("1.50"), b"\x00\xff", [1, 2], {"a": 1, "b": 'x"'}, None, "\\.",
    )  # fmt: skip
    assert second[0] is None
    assert second[2] == float("inf")
    assert second[-1] == "\\N"


def test_one_column_keeps_missing_and_empty_apart(postgres: Database, tmp_path: Path) -> None:
    publish(postgres, tmp_path, [pa.table({"text": ["", None, "\\."]})])
    assert postgres.run("SELECT text FROM scores") == [("",), (None,), ("\\.",)]


def test_an_existing_table_is_left_alone_unless_said(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE scores (id bigint)")
    with pytest.raises(OutputError, match="scores is there already") as caught:
        sink_of(postgres, tmp_path).check()
    assert "append" in caught.value.hint


def test_append_coerces_to_the_types_of_the_table(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE SCHEMA own")
    postgres.run(
        "CREATE TABLE own.scores (at timestamptz default now(), score numeric, name varchar(20), id integer)"
    )
    publish(postgres, tmp_path / "a", [RESULTS[0]], table="own.scores", mode="append")
    publish(postgres, tmp_path / "b", [RESULTS[0]], table="own.scores", mode="append")
    assert postgres.run("SELECT id, name, score FROM own.scores ORDER BY id") == [
        (1, "a,b", decimal.Decimal("0.5"))] * 2 + [(2, None, decimal.Decimal("1.5"))] * 2  # fmt: skip
    assert postgres.run("SELECT count(*) FROM own.penstock_jobs") == [(2,)]


def test_replace(postgres: Database, tmp_path: Path) -> None:
    publish(postgres, tmp_path / "a", [RESULTS[0], RESULTS[1]])
    publish(postgres, tmp_path / "b", [RESULTS[0]], mode="replace")
    assert postgres.run("SELECT id FROM scores ORDER BY id") == [(1,), (2,)]


def test_replace_spares_what_others_have_written(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE scores (id bigint, name text, score double precision)")
    postgres.run("INSERT INTO scores VALUES (7)")
    with pytest.raises(OutputError, match="no job of Penstock has written"):
        sink_of(postgres, tmp_path, mode="replace").check()
    assert postgres.run("SELECT id FROM scores") == [(7,)]


def test_upsert(postgres: Database, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE scores (id bigint, name text, score double precision, kept int default 9)")
    postgres.run("INSERT INTO scores VALUES (2, 'old', 0, 5), (7, 'other', 0, 5)")
    with pytest.raises(OutputError, match="no unique index") as caught:
        sink_of(postgres, tmp_path, mode="upsert", key=("id",)).check()
    postgres.run(caught.value.hint)

    publish(postgres, tmp_path, [RESULTS[0]], mode="upsert", key=("id",))

    assert postgres.run("SELECT * FROM scores ORDER BY id") == [
        (1, "a,b", 0.5, 9), (2, None, 1.5, 5), (7, "other", 0, 5)]  # fmt: skip


def test_upsert_into_a_new_table_makes_its_key(postgres: Database, tmp_path: Path) -> None:
    publish(postgres, tmp_path / "a", RESULTS, mode="upsert", key=("id",))
    publish(postgres, tmp_path / "b", RESULTS, mode="upsert", key=("id",))
    assert postgres.run("SELECT * FROM scores ORDER BY id") == ROWS


@pytest.mark.parametrize(
    ("ids", "message"), [([1, 1], "same key, id=1"), ([1, None], "no value for its key")]
)
def test_keys_that_are_no_keys(postgres: Database, tmp_path: Path, ids: list[Any], message: str) -> None:
    publish(postgres, tmp_path / "a", RESULTS, mode="upsert", key=("id",))
    with pytest.raises(OutputError, match=message):
        publish(postgres, tmp_path / "b", [pa.table({"id": ids})], mode="upsert", key=("id",))
    assert postgres.run("SELECT * FROM scores ORDER BY id") == ROWS


@pytest.mark.parametrize(
    ("ddl", "message", "hint"),
    [
        ("id bigint, score float8, names text", "column 'name'", "did you mean names?"),
        ("id bigint, name text, score float8, must int not null", "needs a value for 'must'", "keep"),
        ("id bigint, name date, score float8", "a,b", "resume"),
        ("id bigint, name varchar(2), score float8", "too long", "resume"),
    ],
)
def test_a_table_that_does_not_fit(
    postgres: Database, tmp_path: Path, ddl: str, message: str, hint: str
) -> None:
    postgres.run(f"CREATE TABLE scores ({ddl})")
    with pytest.raises(OutputError, match=message) as caught:
        publish(postgres, tmp_path, mode="append")
    assert hint in caught.value.hint
    assert postgres.run("SELECT count(*) FROM scores") == [(0,)]


def test_a_database_that_is_not_there_keeps_its_secrets(postgres: Database, tmp_path: Path) -> None:
    wrong = postgres.url.replace(QUOTED_PASSWORD, "hunter2")
    nobody = postgres.url.replace(f":{postgres.port}", ":1")
    for location in (wrong, nobody, "postgresql://user:hunter2@[broken/x"):
        sink = registry.open_sink(
            Output(location=location, form="sql", table="scores"), job="j", folder=str(tmp_path)
        )
        with pytest.raises(OutputError) as caught:
            sink.check()
        assert "hunter2" not in f"{caught.value} {caught.value.hint}"
        assert PASSWORD not in f"{caught.value} {caught.value.hint}"


def test_no_permission(postgres: Database, tmp_path: Path) -> None:
    postgres.run("DROP ROLE IF EXISTS reader")
    postgres.run("CREATE ROLE reader LOGIN PASSWORD 'x'")
    postgres.run("CREATE TABLE scores (id bigint)")
    url = postgres.url.replace("penstock:" + QUOTED_PASSWORD, "reader:x")
    for table, message in (("scores", "INSERT in the table"), ("fresh", "make the table")):
        sink = registry.open_sink(
            Output(location=url, form="sql", table=table, mode="append"), job="j", folder=str(tmp_path)
        )
        with pytest.raises(OutputError, match=message):
            sink.check()


def test_nothing_at_all(postgres: Database, tmp_path: Path) -> None:
    assert publish(postgres, tmp_path, [None]).rows == 0
    assert postgres.run("SELECT rows FROM penstock_jobs") == [(0,)]


_KILLED = """
import os, pickle, signal, sys
from penstock.runtimes.batch.sinks import registry
output, folder, parts, at = pickle.load(sys.stdin.buffer)
sink = registry.open_sink(output, job="j", folder=folder)
from penstock.runtimes.batch.encoders import arrow
plain = arrow.groups_of
read = 0
def groups_of(path):
    for table in plain(path):
        global read
        read += 1
        if read == at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield table
arrow.groups_of = groups_of
sink.publish(lambda: parts)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("at", [1, 2, 99])
def test_killed_and_published_again(postgres: Database, tmp_path: Path, at: int) -> None:
    import pickle

    sink = sink_of(postgres, tmp_path)
    parts = staged(sink, RESULTS)
    output = Output(location=postgres.url, form="sql", table="scores")
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED], input=pickle.dumps((output, str(tmp_path), parts, at)), check=False,
        env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    if at == 99:  # committed, but our own record of it is lost
        receipt = tmp_path / "publish.json"
        (target,) = postgres.run("SELECT id FROM penstock_jobs")[0]
        receipt.write_text(f'{{"id": "{target}"}}')
    sink.publish(lambda: parts)
    assert postgres.run("SELECT * FROM scores ORDER BY id") == ROWS
    assert postgres.run("SELECT count(*) FROM penstock_jobs") == [(1,)]
