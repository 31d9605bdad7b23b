"""Results in Delta tables, in folders and in a real S3 server."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import delta, registry
from penstock.runtimes.batch.sinks.interface import Published
from support import azurite as azurite_support
from support import object_store
from support.staged_parts import staged

pytestmark = pytest.mark.slow

RESULTS = [
    pa.table({"id": [1, 2], "score": [1, 2]}),
    pa.table({"id": [3, 4], "score": [0.5, None]}),
]
ROWS = [{"id": 1, "score": 1.0}, {"id": 2, "score": 2.0}, {"id": 3, "score": 0.5}, {"id": 4, "score": None}]


def rows_of(
    location: str, storage: dict[str, str] | None = None, version: int | None = None
) -> list[dict[str, Any]]:
    table = deltalake.DeltaTable(location, version=version, storage_options=storage)
    rows = pa.table(table.to_pyarrow_table()).to_pylist()
    return sorted(rows, key=lambda row: row["id"])


def publish(location: str, folder: Path, results: list[Any] = RESULTS, **output: Any) -> Published:
    sink = registry.open_sink(Output(location=location, form="delta", **output), job="j", folder=str(folder))
    sink.check()
    parts = staged(sink, results)
    published = sink.publish(lambda: parts)
    assert sink.publish(lambda: parts) == published
    sink.discard()
    return published


def test_a_new_table(tmp_path: Path) -> None:
    place = str(tmp_path / "deep/table")
    assert publish(place, tmp_path / "job").rows == 4
    assert rows_of(place) == ROWS
    with pytest.raises(OutputError, match="a Delta table at"):
        publish(place, tmp_path / "job2")


def test_modes(tmp_path: Path) -> None:
    place = str(tmp_path / "table")
    publish(place, tmp_path / "1", mode="append")
    publish(place, tmp_path / "2", [RESULTS[1]], mode="append")
    assert len(rows_of(place)) == 6
    publish(place, tmp_path / "3", [pa.table({"id": [9], "other": ["x"]})], mode="replace")
    assert rows_of(place) == [{"id": 9, "other": "x"}]
    assert len(rows_of(place, version=1)) == 6


def test_upsert(tmp_path: Path) -> None:
    place = str(tmp_path / "table")
    publish(place, tmp_path / "1", mode="upsert", key=("id",))
    update = pa.table({"id": [2, 5], "score": [7.5, 8.5]})
    publish(place, tmp_path / "2", [update], mode="upsert", key=("id",))
    scores = {row["id"]: row["score"] for row in rows_of(place)}
    assert scores == {1: 1.0, 2: 7.5, 3: 0.5, 4: None, 5: 8.5}
    for bad, message in (([1, 1], "same key, id=1"), ([1, None], "no value for its key")):
        with pytest.raises(OutputError, match=message):
            publish(place, tmp_path / message, [pa.table({"id": bad})], mode="upsert", key=("id",))


def test_partitions_of_others_are_kept(tmp_path: Path) -> None:
    place = str(tmp_path / "table")
    deltalake.write_deltalake(place, pa.table({"id": [0], "score": [0.0]}), partition_by=["id"])
    publish(place, tmp_path / "1", mode="append")
    assert [row["id"] for row in rows_of(place)] == [0, 1, 2, 3, 4]


def test_columns_that_do_not_fit(tmp_path: Path) -> None:
    place = str(tmp_path / "table")
    publish(place, tmp_path / "1")
    with pytest.raises(OutputError, match="'scores'") as caught:
        publish(place, tmp_path / "2", [pa.table({"id": [1], "scores": [1.0]})], mode="append")
    assert caught.value.hint == "did you mean score?"
    with pytest.raises(OutputError, match="cannot be written"):
        publish(place, tmp_path / "3", [pa.table({"id": ["text"], "score": [1.0]})], mode="append")
    assert rows_of(place) == ROWS


def test_folders_of_others_are_spared(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place/theirs.csv").write_text("a")
    with pytest.raises(OutputError, match="holds files and is no Delta table"):
        publish(str(tmp_path / "place"), tmp_path / "job", mode="replace")


def test_types_that_delta_lacks(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([255], pa.uint8()), "u64": pa.array([2**64 - 1], pa.uint64()), "n": pa.nulls(1),
            "t": [dt.time(1, 2)], "du": pa.array([5], pa.duration("ms")),
            "l": pa.array([[65535]], pa.list_(pa.uint16())),
            "h": pa.array([0.5], pa.float32()).cast(pa.float16()), "s": [{"a": dt.datetime(2024, 1, 2, 3)}],
        }
    )  # fmt: skip
    publish(str(tmp_path / "table"), tmp_path / "job", [table])
    [row] = rows_of(str(tmp_path / "table"))
    assert row["id"] == 255
    assert int(row["u64"]) == 2**64 - 1
    assert row["l"] == [65535]
    assert (row["n"], row["t"], row["du"], row["h"]) == (None, "01:02:00.000000", 5, 0.5)


def test_nothing_at_all(tmp_path: Path) -> None:
    assert publish(str(tmp_path / "table"), tmp_path / "job", [None]).rows == 0


def test_s3(s3: object_store.Bucket, tmp_path: Path) -> None:
    place = f"{s3.url}/deep/table"
    options = delta.storage_options(s3.storage)
    publish(place, tmp_path / "1", storage=s3.storage)
    publish(place, tmp_path / "2", storage=s3.storage, mode="append")
    assert rows_of(place, options) == sorted(ROWS * 2, key=lambda row: row["id"])
    with pytest.raises(OutputError) as caught:
        publish(f"{s3.url}-missing/t", tmp_path / "3", storage=s3.storage)
    assert object_store.SECRET not in str(caught.value)


def test_azure(azurite: azurite_support.Container, tmp_path: Path) -> None:
    place = f"{azurite.url}/table"
    publish(place, tmp_path / "1", storage=azurite.storage)
    publish(place, tmp_path / "2", storage=azurite.storage, mode="append")
    assert len(rows_of(place, delta.storage_options(azurite.storage))) == 8


_KILLED = """
import os, pickle, signal, sys
from penstock.runtimes.batch.encoders import parquet
from penstock.runtimes.batch.sinks import registry
output, folder, parts, at = pickle.load(sys.stdin.buffer)
sink = registry.open_sink(output, job="j", folder=folder)
plain, read = parquet.groups_of, 0
def groups_of(path):
    global read
    for table in plain(path):
        read += 1
        if read == at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield table
parquet.groups_of = groups_of
sink.publish(lambda: parts)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("at", [1, 2, 99])
def test_killed_and_published_again(tmp_path: Path, at: int) -> None:
    output = Output(location=str(tmp_path / "table"), form="delta")
    sink = registry.open_sink(output, job="j", folder=str(tmp_path / "job"))
    sink.check()
    parts = staged(sink, RESULTS)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED], input=pickle.dumps((output, str(tmp_path / "job"), parts, at)),
        check=False, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    if at == 99:  # committed, but our own record of it is lost
        commit = (tmp_path / "table/_delta_log/00000000000000000000.json").read_text()
        id = commit.partition('"appId":"')[2].partition('"')[0]  # noqa: A001
        (tmp_path / "job/publish.json").write_text(f'{{"id": "{id}"}}')
    sink.publish(lambda: parts)
    assert rows_of(output.location) == ROWS
