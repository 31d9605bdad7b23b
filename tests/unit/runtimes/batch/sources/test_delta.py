"""Delta tables on a disk."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.bundle.batch import Inputs
from penstock.errors import DataError
from penstock.runtimes.batch import deletions
from penstock.runtimes.batch.formats import column_kinds
from penstock.runtimes.batch.formats import registry as formats
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import registry
from penstock.runtimes.batch.sources.interface import Source
from support import delta_logs


def opened(location: Path, *, by_path: bool = False, **more: Any) -> Source:
    """The source of one location."""
    [source] = registry.open_sources(
        Inputs((str(location),), **more), format_of=formats.format_of, by_path=by_path, environment={}
    )
    return source


def rows(source: Source) -> list[dict[str, Any]]:
    """All rows, read as workers would."""
    files = list(source.files())
    types = source.column_types()
    return [row for file in files for row in _rows(file, types)]


def _rows(file: SourceFile, types: Mapping[str, str]) -> list[dict[str, Any]]:
    constants = {
        name: pa.scalar(text, pa.string()).cast(column_kinds.type_of(types[name])).as_py()
        for name, text in file.constants.items()
    }
    return [{**row, **constants} for row in pq.ParquetFile(file.uri).read().to_pylist()]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A partitioned table in four versions, the last with a column more and a file less."""
    top = tmp_path / "a table"
    first = pa.table({
        "x": [1, 2, 3],
        "day": [dt.date(2024, 1, 1), dt.date(2024, 1, 2), None],
        "name": ["a/b c%", "é=1", None],
    })  # fmt: skip
    deltalake.write_deltalake(top, first, partition_by=["day", "name"])
    deltalake.write_deltalake(top, first.slice(0, 1).set_column(0, "x", pa.array([4])), mode="append")
    more = pa.table({"x": [5], "day": [dt.date(2024, 1, 1)], "name": ["q"], "new": [1.5]})
    deltalake.write_deltalake(top, more, mode="append", schema_mode="merge")
    deltalake.DeltaTable(top).delete("x = 2")
    return top


def test_what_is_the_table_and_no_more(table: Path) -> None:
    source = opened(table)
    files = list(source.files())
    assert [file.uri for file in files] == sorted(file.uri for file in files)
    assert {file.format for file in files} == {"parquet"}
    assert source.is_local()
    for file in files:
        status = Path(file.uri).stat()
        assert (file.size, file.stamp) == (status.st_size, str(status.st_mtime_ns))
    assert source.column_types() == {"x": "int64", "day": "date32[day]", "name": "string", "new": "double"}
    day = dt.date(2024, 1, 1)
    assert sorted(rows(source), key=lambda row: row["x"]) == [
        {"x": 1, "day": day, "name": "a/b c%", "new": None},
        {"x": 3, "day": None, "name": None, "new": None},
        {"x": 4, "day": day, "name": "a/b c%", "new": None},
        {"x": 5, "day": day, "name": "q", "new": 1.5},
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"storage": {"version_as_of": "0"}}, [1, 2, 3]),
        ({"storage": {"version_as_of": "2"}}, [1, 2, 3, 4, 5]),
        ({"format": "delta"}, [1, 3, 4, 5]),
        ({"transformations": ({"read_delta_lake": {"version_as_of": 1}},)}, [1, 2, 3, 4]),
        (
            {"transformations": ({"read_delta_lake": {"timestamp_as_of": "2100-01-01T00:00:00Z"}},)},
            [1, 3, 4, 5],
        ),
    ],
)
def test_time_travel(said: dict[str, Any], expected: list[int], table: Path) -> None:
    assert sorted(row["x"] for row in rows(opened(table, **said))) == expected


def test_time_travel_by_the_clock(table: Path) -> None:
    history = {entry["version"]: entry["timestamp"] for entry in deltalake.DeltaTable(table).history()}
    at = dt.datetime.fromtimestamp(history[1] / 1000, dt.UTC).isoformat()
    found = [row["x"] for row in rows(opened(table, storage={"timestamp_as_of": at}))]
    assert sorted(found)[:4] == [1, 2, 3, 4]


def test_a_plan_outlives_later_versions(table: Path, tmp_path: Path) -> None:
    files = list(opened(table).files())
    deltalake.write_deltalake(table, pa.table({"x": [9], "day": [None], "name": ["z"], "new": [0.0]}).cast(
        pa.schema([("x", pa.int64()), ("day", pa.date32()), ("name", pa.string()), ("new", pa.float64())])
    ), mode="overwrite")  # fmt: skip
    again = opened(table)
    for file in files:
        again.fetch(file, str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == Path(file.uri).read_bytes()
    assert [row["x"] for row in rows(again)] == [9]


def test_partitions_of_every_type(tmp_path: Path) -> None:
    values = {
        "i": pa.array([7], pa.int32()), "f": pa.array([0.1]), "b": pa.array([True]),
        "d": pa.array([dt.date(2024, 2, 29)]), "n": pa.array([Decimal("12.50")], pa.decimal128(10, 2)),
        "t": pa.array([dt.datetime(2024, 1, 1, 1, 2, 3, 4, dt.UTC)], pa.timestamp("us", "UTC")),
        "s": pa.array([""]),
    }  # fmt: skip
    data = pa.table({"x": [1], **values})
    deltalake.write_deltalake(tmp_path / "t", data, partition_by=list(values))
    [row] = rows(opened(tmp_path / "t"))
    expected = data.to_pylist()[0]
    expected["s"] = None  # to Delta's partitions an empty text is none
    assert row == expected


def test_columns_without_statistics_are_looked_up(tmp_path: Path) -> None:
    top = tmp_path / "t"
    deltalake.write_deltalake(top, pa.table({"x": [1], "l": [[1, 2]]}))
    deltalake.write_deltalake(
        top, pa.table({"x": [2], "l": [[3]], "m": [[4]]}), mode="append", schema_mode="merge"
    )
    files = {file.uri: dict(file.constants) for file in opened(top).files()}
    assert sorted(files.values(), key=len) == [{}, {"m": None}]


def test_files_that_are_handed_to_a_script(table: Path) -> None:
    files = list(opened(table, by_path=True).files())
    assert {file.format for file in files} == {"files"}
    assert len(files) == 4


def test_mistakes(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened as of 99"):
        rows(opened(table, storage={"version_as_of": "99"}))
    with pytest.raises(DataError, match="cannot be opened as of yesterday") as caught:
        rows(opened(table, storage={"timestamp_as_of": "yesterday"}))
    assert "2024-01-31" in caught.value.hint
    with pytest.raises(DataError, match="both version_as_of and"):
        opened(table, storage={"version_as_of": "1", "timestamp_as_of": "2024-01-01"})
    with pytest.raises(DataError, match="no Delta table at"):
        opened(tmp_path, format="delta")
    with pytest.raises(DataError, match="storage option version_as_of"):
        opened(tmp_path, storage={"version_as_of": "1"})
    (tmp_path / "empty/_delta_log").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no Delta table at .*empty"):
        rows(opened(tmp_path / "empty"))
    deltalake.DeltaTable(table).delete()
    with pytest.raises(DataError, match="has no rows at version 4"):
        rows(opened(table))


def test_a_file_that_was_vacuumed_away(table: Path) -> None:
    [*_, last] = opened(table).files()
    Path(last.uri).unlink()
    with pytest.raises(DataError, match="but not there") as caught:
        rows(opened(table))
    assert "vacuumed" in caught.value.hint


def test_deleted_rows_that_are_still_in_files_are_told(tmp_path: Path) -> None:
    delta_logs.with_vectors(tmp_path / "t", None, [3, 4], [0, 39])
    files = list(opened(tmp_path / "t").files())
    assert files[0].deleted == ""
    for file, gone in ((files[1], [3, 4]), (files[2], [0, 39])):
        mask = deletions.unpacked(file.deleted).to_pylist()
        assert [place for place, is_gone in enumerate(mask) if is_gone] == gone
    by_path = opened(tmp_path / "t", by_path=True)
    with pytest.raises(DataError, match="deletion vectors") as caught:
        list(by_path.files())
    assert "--pass dataframe" in caught.value.hint


def test_a_deletion_vector_that_is_not_there_is_told(tmp_path: Path) -> None:
    delta_logs.with_vectors(tmp_path / "t", [1])
    log = tmp_path / "t" / "_delta_log" / "00000000000000000000.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["deletionVector"].update(
                storageType="p", pathOrInlineDv="file:///nowhere.bin", offset=1
            )
    log.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="what is deleted in the Delta table"):
        list(opened(tmp_path / "t").files())


def test_columns_under_other_names_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"col-1": [1]}), tmp_path / "a.parquet")
    mapping = {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"}
    configuration = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"}
    delta_logs.log(
        tmp_path,
        {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}},
        delta_logs.metadata(configuration, mapping),
        delta_logs.add("a.parquet", (tmp_path / "a.parquet").stat().st_size),
    )
    with pytest.raises(DataError, match="column mapping"):
        rows(opened(tmp_path))


def test_shallow_clones_are_refused(tmp_path: Path) -> None:
    delta_logs.log(
        tmp_path,
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        delta_logs.metadata({}, {}),
        delta_logs.add("s3://elsewhere/a.parquet", 100),
    )
    with pytest.raises(DataError, match="files of another place"):
        rows(opened(tmp_path))
