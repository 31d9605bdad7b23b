"""Results in a database that is not PostgreSQL: SQLite, by way of INSERT."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import registry, sql_loading
from penstock.runtimes.batch.sinks.interface import Published
from support.staged_parts import staged

pytest.importorskip("sqlalchemy")

RESULTS = [
    pa.table({"id": [1, 2], "na me": ["a", None], "list": [[1], None]}),
    pa.table({"id": [3], "na me": ["%s"], "list": [[2]]}),
]
ROWS = [(1, "a", "[1]"), (2, None, None), (3, "%s", "[2]")]


def publish(base: Path, folder: Path, results: list[Any] = RESULTS, **output: Any) -> Published:
    options = Output(location=f"sqlite:///{base}", form="sql", table="scores", **output)
    sink = registry.open_sink(options, job="j", folder=str(folder))
    sink.check()
    parts = staged(sink, results)
    published = sink.publish(lambda: parts)
    assert sink.publish(lambda: parts) == published
    sink.discard()
    return published


def rows(base: Path, query: str = "SELECT * FROM scores ORDER BY id") -> list[tuple[Any, ...]]:
    with sqlite3.connect(base) as connection:
        return connection.execute(query).fetchall()


def test_modes(tmp_path: Path) -> None:
    base = tmp_path / "base.db"
    assert publish(base, tmp_path / "1").rows == 3
    assert [(id, name, None if list == "null" else list) for id, name, list in rows(base)] == ROWS  # noqa: A001
    with pytest.raises(OutputError, match="scores is there already"):
        publish(base, tmp_path / "2")
    publish(base, tmp_path / "3", mode="append")
    assert len(rows(base)) == 6
    publish(base, tmp_path / "4", [RESULTS[0]], mode="replace")
    assert len(rows(base)) == 2
    assert rows(base, "SELECT job, rows FROM penstock_jobs") == [("j", 3), ("j", 3), ("j", 2)]


def test_upsert(tmp_path: Path) -> None:
    base = tmp_path / "base.db"
    publish(base, tmp_path / "1", mode="upsert", key=("id",))
    publish(
        base, tmp_path / "2", [pa.table({"id": [2, 4], "na me": ["new", "d"]})], mode="upsert", key=("id",)
    )
    assert rows(base, 'SELECT id, "na me" FROM scores ORDER BY id') == [
        (1, "a"),
        (2, "new"),
        (3, "%s"),
        (4, "d"),
    ]
    for ids, message in (([5, 5], "same key, id=5"), ([None], "no value for its key")):
        with pytest.raises(OutputError, match=message):
            publish(base, tmp_path / message, [pa.table({"id": ids})], mode="upsert", key=("id",))
    assert len(rows(base)) == 4


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the table is not there when its rows are not."""
    base = tmp_path / "base.db"
    with monkeypatch.context() as patched:
        patched.setattr(sql_loading._InsertLoader, "finish", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(base, tmp_path / "1")
    assert rows(base, "SELECT name FROM sqlite_master WHERE name = 'scores'") == []
    assert publish(base, tmp_path / "1").rows == 3


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"table": ""}, "no table is named"),
        ({"mode": "upsert"}, "needs the columns by which a row is known"),
        ({"table": "nowhere.scores"}, "no schema 'nowhere'"),
        ({"location": "nonsense"}, "address of the database cannot be read"),
        ({"location": "oracle://user:hunter2@host/x"}, "driver for oracle is not installed"),
    ],
)
def test_refused(tmp_path: Path, output: dict[str, Any], message: str) -> None:
    values = {"location": f"sqlite:///{tmp_path / 'x.db'}", "form": "sql", "table": "scores", **output}
    sink = registry.open_sink(Output(**values), job="j", folder=str(tmp_path / "job"))
    with pytest.raises(OutputError, match=message) as caught:
        sink.check()
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
