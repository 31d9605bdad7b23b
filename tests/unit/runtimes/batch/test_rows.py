"""Rows on their way to a call: every one in its place, with its number, however they are cut."""

from __future__ import annotations

import itertools

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.batch import rows


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7), st.sets(st.integers(0, 60)))
def test_calls_have_exactly_the_rows_that_were_asked_for(
    sizes: list[int], size: int, splits: set[int]
) -> None:
    total = sum(sizes)
    starts = [0, *itertools.accumulate(sizes)]
    tables = [
        pa.table({"n": range(start, start + count)}) for start, count in zip(starts, sizes, strict=False)
    ]
    found = list(rows.in_calls(tables, rows.call_sizes(size, sorted(splits))))
    assert [n for table in found for n in table.column("n").to_pylist()] == list(range(total))
    edges = sorted({*range(0, total, size), *(mark for mark in splits if mark < total), total})
    assert [table.num_rows for table in found] == [stop - start for start, stop in itertools.pairwise(edges)]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30), st.integers(0, 100))
def test_rows_that_were_refused_leave_their_numbers_free(lines: list[tuple[bool, bool]], first: int) -> None:
    """`lines`: whether each row of a file can be read, and whether the reader ends a batch after it."""
    expected = [first + place for place, (good, _) in enumerate(lines) if good]
    refused = [first + place for place, (good, _) in enumerate(lines) if not good]
    batches: list[list[int]] = [[]]
    for place, (good, ends) in enumerate(lines):
        if good:
            batches[-1].append(first + place)
        if ends:
            batches.append([])
    row, found = first, []
    for batch in batches:
        parts, row = rows.apart(pa.record_batch({"n": pa.array(batch, pa.int64())}), row, refused)
        for start, part in parts:
            found += [(start + at, n) for at, n in enumerate(part.column("n").to_pylist())]
    assert found == [(n, n) for n in expected]
