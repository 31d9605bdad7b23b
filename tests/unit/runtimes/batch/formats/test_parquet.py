"""Parquet: cuts by rows, and types that come through."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import parquet
from penstock.runtimes.batch.plan import Cut
from support.format_reading import everything, written

READ = ReadOptions()


def stored(folder: Path, table: Any, name: str = "t.parquet", **options: Any) -> str:
    path = str(folder / name)
    pq.write_table(table, path, **options)
    return path


def test_the_cuts_together_are_the_whole(tmp_path: Path) -> None:
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(0, 7), max_size=6),
        st.integers(1, 2000),
        st.sampled_from([0, 1, 2, 5]),
        st.integers(1, 9),
    )
    def check(groups: list[int], size: int, rows: int, at_once: int) -> None:
        path, schema = str(tmp_path / "t.parquet"), pa.schema([("a", pa.int64()), ("s", pa.string())])
        with pq.ParquetWriter(path, schema) as writer:
            for count in groups:
                writer.write_table(pa.table({"a": range(count), "s": [str(count)] * count}, schema))
        expected = [{"a": number, "s": str(count)} for count in groups for number in range(count)]
        cuts, found = everything(parquet, path, size=size, rows=rows, at_once=at_once)
        assert found == expected
        if rows:
            assert all(cut.rows % rows == 0 for cut in cuts[:-1])

    check()


def test_row_groups_are_gathered_up_to_the_size(tmp_path: Path) -> None:
    path = stored(tmp_path, pa.table({"a": range(10_000)}), row_group_size=100)
    whole = Path(path).stat().st_size
    cuts, _ = everything(parquet, path, size=whole // 4)
    assert 4 <= len(cuts) <= 6
    assert all(cut.rows % 100 == 0 for cut in cuts)
    assert abs(sum(cut.size for cut in cuts) - whole) < 100
    one = stored(tmp_path, pa.table({"a": range(10_000)}), row_group_size=10_000)
    assert [cut.rows for cut in everything(parquet, one, size=100)[0]] == [10_000]
    assert [cut.rows for cut in everything(parquet, one, size=100, rows=3000)[0]] == [3000, 3000, 3000, 1000]
    assert everything(parquet, one, size=whole // 2, rows=7)[0][0].rows > 1000


def test_a_small_file_is_one_cut_that_nobody_has_opened(tmp_path: Path) -> None:
    path = written(tmp_path, "t.parquet", b"this is no Parquet")
    assert list(parquet.cuts(path, READ, size=1000, rows=0)) == [Cut(0, -1, 18, first_row=0)]


def test_types_survive(tmp_path: Path) -> None:
    table = pa.table(
        {
            "category": pa.array(["x", "y", None, "x"]).dictionary_encode(),
            "decimal": pa.array([decimal.Decimal("1.20"), None, decimal.Decimal("-3.00"), None]),
            "time": pa.array([1, None, 3, 4], pa.timestamp("us", tz="Europe/Berlin")),
            "nested": [{"a": [1, 2], "b": None}, None, {"a": [], "b": "x"}, {"a": None, "b": "y"}],
            "dotted.name": [1, 2, 3, 4],
            "dotted": [5, 6, 7, 8],
            "small": pa.array([1, 2, 3, 4], pa.int8()),
            "bytes": [b"\xff", b"", None, b"x"],
        }
    )
    path = stored(tmp_path, table, row_group_size=3)
    schema = parquet.schema(path, READ)
    assert schema.equals(table.schema)
    assert everything(parquet, path, size=10)[1] == table.to_pylist()
    order = ["dotted", "small", "dotted.name"]
    assert everything(parquet, path, columns=order)[1] == table.select(order).to_pylist()
    batch = next(iter(parquet.batches(path, Cut(1, 4, 9), READ, schema=schema, columns=[], rows=99)))
    assert (batch.num_rows, batch.num_columns) == (2, 0)


def test_another_files_types_are_cast_without_loss(tmp_path: Path) -> None:
    job = pa.schema([("a", pa.int64()), ("b", pa.float64()), ("c", pa.large_string())])
    other = pa.table(
        {"c": ["x"], "b": pa.array([3], pa.int64()), "a": pa.array([7], pa.int32()), "more": [1]}
    )
    assert everything(parquet, stored(tmp_path, other), schema=job)[1] == [{"a": 7, "b": 3.0, "c": "x"}]
    path = stored(tmp_path, pa.table({"a": ["x"], "b": [1.0], "c": ["x"]}), "other.parquet")
    with pytest.raises(DataError, match=r"other\.parquet: column 'a': is string in this file, but int64"):
        everything(parquet, path, schema=job)
    path = stored(tmp_path, pa.table({"a": pa.array([2**63], pa.uint64()), "b": [1.0], "c": ["x"]}))
    with pytest.raises(DataError, match=r"column 'a': a uint64 is no int64: .*9223372036854775808"):
        everything(parquet, path, schema=job)
    with pytest.raises(DataError, match=r"t\.parquet: column 'z': the file has no such column"):
        everything(parquet, path, schema=pa.schema([("z", pa.int64())]))
    with pytest.raises(DataError, match="no such column: 'z'"):
        next(iter(parquet.batches(path, Cut(0, -1, 9), READ, schema=job, columns=["z"], rows=9)))


@pytest.mark.parametrize("rows", [0, 3])
def test_files_without_rows(tmp_path: Path, rows: int) -> None:
    schema = pa.schema([("a", pa.int64())])
    path = stored(tmp_path, schema.empty_table())
    assert everything(parquet, path, size=10, rows=rows)[1] == []
    assert everything(parquet, path, size=10**6, rows=rows)[1] == []
    assert parquet.schema(path, READ).equals(schema)
    with pq.ParquetWriter(path, schema):
        pass
    assert everything(parquet, path, size=10, rows=rows) == ([], [])
    assert everything(parquet, written(tmp_path, "t.parquet", b""), rows=rows) == ([], [])


def test_damage_is_told(tmp_path: Path) -> None:
    path = stored(tmp_path, pa.table({"a": range(100_000)}), compression="zstd", use_dictionary=False)
    content = Path(path).read_bytes()
    schema = pa.schema([("a", pa.int64())])
    for part in (content[:1000], content[:-10], b"a,b\n1,2\n", b"PAR1"):
        torn = written(tmp_path, "torn.parquet", part)
        for action in (
            lambda: parquet.schema(torn, READ),  # noqa: B023
            lambda: everything(parquet, torn, schema=schema),  # noqa: B023
            lambda: everything(parquet, torn, schema=schema, size=1),  # noqa: B023
        ):
            with pytest.raises(
                DataError, match=r"torn\.parquet: this is no Parquet file, or its end is missing"
            ):
                action()
    spoiled = bytearray(content)
    spoiled[4:40] = b"\0" * 36
    with pytest.raises(DataError, match="damaged"):
        everything(parquet, written(tmp_path, "t.parquet", bytes(spoiled)), schema=schema)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        parquet.schema(str(tmp_path / "none.parquet"), READ)


def test_a_file_that_shrank_since_it_was_planned(tmp_path: Path) -> None:
    path = stored(tmp_path, pa.table({"a": range(10)}))
    schema = parquet.schema(path, READ)
    with pytest.raises(DataError, match="has 10 rows, where 20 were planned"):
        list(parquet.batches(path, Cut(5, 20, 9), READ, schema=schema, columns=None, rows=9))


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(DataError, match="'a': the column stands 2 times"):
        parquet.schema(stored(tmp_path, table), READ)
