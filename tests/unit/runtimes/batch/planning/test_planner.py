"""Gathering: every piece once, in order, within the sizes that were said."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle.batch import BatchSettings, ReadOptions
from penstock.runtimes.batch.plan import MINI_BATCH_BYTES, Cut, MiniBatch, Piece, SourceFile
from penstock.runtimes.batch.planning import planner


def file_of(number: int, size: int) -> SourceFile:
    return SourceFile(f"/{number}.csv", size, "1", "csv", {}, "0:x")


def far(file: SourceFile) -> planner.Near:
    """Nothing is here, and nothing is cut."""
    return planner.Near("", "")


def planned(files: Iterable[SourceFile], settings: BatchSettings) -> Iterator[MiniBatch]:
    """The plan where a file's partition is the first letter of its name."""
    return planner.plan(
        files,
        settings,
        lambda file: ReadOptions(),
        near=far,
        counted=False,
        partition=lambda file: (file.uri[1],),
    )


@given(
    st.lists(st.integers(0, 50), max_size=60), st.integers(1, 100), st.one_of(st.just(0), st.integers(1, 7))
)
def test_pieces_are_gathered_in_order(sizes: list[int], size: int, most: int) -> None:
    pieces = [Piece(file_of(number, held), Cut(0, -1, held)) for number, held in enumerate(sizes)]
    batches = list(planner.gathered(iter(pieces), size=size, most_files=most))
    assert [piece for batch in batches for piece in batch.pieces] == pieces
    assert [batch.number for batch in batches] == list(range(len(batches)))
    for batch, after in itertools.zip_longest(batches, batches[1:]):
        assert batch.size <= size or len(batch.pieces) == 1
        assert not most or len(batch.pieces) <= most
        full = most and len(batch.pieces) == most
        assert after is None or full or batch.size + after.pieces[0].cut.size > size, "as few as can be"


def test_an_order_stays_a_small_message() -> None:
    pieces = (Piece(file_of(number, 0), Cut(0, -1, 0)) for number in range(planner.MOST_PIECES + 1))
    assert [len(batch.pieces) for batch in planner.gathered(pieces, size=2**62)] == [planner.MOST_PIECES, 1]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, [1] * 5),
        ({"mini_batch_unit": "files", "mini_batch_size": 2}, [2, 2, 1]),
        ({"mini_batch_unit": "bytes", "mini_batch_size": 25}, [2, 2, 1]),
        ({"mini_batch_unit": "bytes", "mini_batch_size": 1}, [1] * 5),
    ],
)
def test_files_for_a_script(said: dict[str, int | str], expected: list[int]) -> None:
    settings = BatchSettings(takes="files", **said)  # type: ignore[arg-type]
    files = (file_of(number, 10) for number in range(5))
    batches = planned(files, settings)
    assert [len(batch.pieces) for batch in batches] == expected


def test_a_listing_is_never_held_as_a_whole() -> None:
    listed = 0

    def files() -> Iterator[SourceFile]:
        nonlocal listed
        for number in range(100_000):
            listed += 1
            yield file_of(number, MINI_BATCH_BYTES // 2)

    batches = planned(files(), BatchSettings())
    assert next(batches).number == 0
    assert listed < 5


@pytest.mark.parametrize("takes", ["files", "frame"])
@given(st.lists(st.integers(0, 10**9), max_size=30))
def test_a_partition_is_one_mini_batch_however_large(takes: str, numbers: list[int]) -> None:
    files = [file_of(number, number) for number in numbers]
    found: dict[int, list[Piece]] = {}
    for part in planned(iter(files), BatchSettings(takes=takes, partition_keys=("first",))):
        found.setdefault(part.number, []).extend(part.pieces)
    firsts = list(dict.fromkeys(file.uri[1] for file in files))
    assert list(found) == list(range(len(firsts)))
    for number, pieces in found.items():
        assert [piece.file for piece in pieces] == [file for file in files if file.uri[1] == firsts[number]]


def test_a_partition_of_files_without_a_byte_is_none(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text("" if name == "b.csv" else "x\n1\n")
    files = [
        SourceFile(str(path), path.stat().st_size, "1", "csv", {}) for path in sorted(tmp_path.iterdir())
    ]
    made = planner.plan(
        files,
        BatchSettings(takes="frame", partition_keys=("name",)),
        lambda file: ReadOptions(),
        near=lambda file: planner.Near(file.uri, file.uri),
        counted=True,
        partition=lambda file: (Path(file.uri).name,),
    )
    assert [(batch.number, len(batch.pieces)) for batch in made] == [(0, 1), (1, 1)]
