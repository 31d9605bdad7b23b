"""Rows that are gone though their file holds them, as text and as they are left out."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import ReadOptions
from penstock.runtimes.batch import deletions, rows
from penstock.runtimes.batch.formats import parquet
from penstock.runtimes.batch.plan import Piece, SourceFile

masks = st.lists(st.booleans(), max_size=70)


def packed(mask: list[bool]) -> str:
    return deletions.packed(pa.array([False, *mask], pa.bool_())[1:])


def places(text: str) -> list[int]:
    return [place for place, is_gone in enumerate(deletions.unpacked(text).to_pylist()) if is_gone]


@given(masks, st.integers(0, 80), st.one_of(st.just(-1), st.integers(0, 80)))
def test_the_text_says_which(mask: list[bool], start: int, stop: int) -> None:
    gone = [place for place, is_gone in enumerate(mask) if is_gone]
    assert places(packed(mask)) == gone
    assert (packed(mask) == "") == (not gone)
    end = 10**6 if stop < 0 else stop
    part = deletions.within(packed(mask), start, stop)
    assert places(part) == [place - start for place in gone if start <= place < end]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=90), st.integers(1, 40), st.integers(1, 30), st.booleans()
)
def test_readers_leave_them_out(
    tmp_path_factory: pytest.TempPathFactory, mask: list[bool], group: int, at_once: int, filtered: bool
) -> None:
    path = tmp_path_factory.mktemp("gone") / "x.parquet"
    pq.write_table(pa.table({"x": range(len(mask))}), path, row_group_size=group)
    status = Path(path).stat()
    file = SourceFile(str(path), status.st_size, str(status.st_mtime_ns), "parquet", {}, "", packed(mask))
    pieces = [
        Piece(file, cut, str(path), deletions.within(file.deleted, cut.start, cut.stop))
        for cut in parquet.cuts(str(path), ReadOptions(), size=1, rows=1)
    ]
    steps = (
        [{"filter": "col('x') > 20"}, {"take_random_sample": {"probability": 1.0, "seed": 1}}]
        if filtered
        else []
    )
    reader = rows.Reader(ReadOptions(), parquet.schema(str(path), ReadOptions()), None, at_once, steps)
    tables = list(reader.stream(pieces))
    least = 21 if filtered else 0
    expected = [place for place, is_gone in enumerate(mask) if not is_gone and place >= least]
    assert [value for table in tables for value in table.column("x").to_pylist()] == expected
    assert [value for table in tables for value in table.column(rows.ROW).to_pylist()] == expected
