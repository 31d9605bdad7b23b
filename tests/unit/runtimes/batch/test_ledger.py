"""The ledger: one outcome a mini-batch, whole or not at all, one driver at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import JobError
from penstock.runtimes.batch import ledger as ledgers
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.plan import Cut, MiniBatch, Piece, SourceFile


def batch(number: int, uri: str = "/a.csv") -> MiniBatch:
    file = SourceFile(uri, 10, "77", "csv", {"day": None, "region": "north\nsouth"}, "0:x")
    return MiniBatch(number, (Piece(file, Cut(0, 5, 5, 3, 0)), Piece(file, Cut(5, 10, 5, 3, 3), "/near")))


def planned(folder: Path, count: int) -> Ledger:
    made = Ledger(str(folder))
    made.write_plan(batch(number) for number in range(count))
    return made


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    made = planned(tmp_path, 2500)
    assert made.planned() == (2500, 25_000)
    odd = batch(0, "/ünï\n'\"\\ {}.csv")
    assert made.mini_batch(1234) == batch(1234)
    assert made.size_of(1234) == 10
    made.write_plan([odd])
    assert made.planned() == (1, 10)
    assert made.mini_batch(0) == odd
    made.close()


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(0, 2300)), st.integers(0, 2301))
def test_open_numbers_are_those_without_an_outcome(
    tmp_path_factory: pytest.TempPathFactory, done: set[int], taken: int
) -> None:
    made = planned(tmp_path_factory.mktemp("ledger"), 2301)
    with made.together():
        for number in done:
            assert made.commit(Outcome(number=number, attempt=1))
    found = []
    numbers = made.open_numbers()
    for number in numbers:
        found.append(number)
        made.commit(Outcome(number=number, attempt=1))  # as the driver does, while it reads on
        if len(found) == taken:
            break
    found += numbers
    assert found == [number for number in range(2301) if number not in done]
    made.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_a_file_is_needed_while_a_mini_batch_that_has_a_part_of_it_is_open(
    tmp_path_factory: pytest.TempPathFactory, more: list[int], data: st.DataObject
) -> None:
    """Mini-batches that hold the end of one file and up to three further files."""
    uris, last = [], 0
    for count in more:
        uris.append([f"/{number}" for number in range(last, last + count + 1)])
        last += count
    made = Ledger(str(tmp_path_factory.mktemp("ledger")))
    made.write_plan(
        MiniBatch(
            number, tuple(Piece(SourceFile(uri, 1, "", "csv", {}, "0:x"), Cut(0, 1, 1)) for uri in held)
        )
        for number, held in enumerate(uris)
    )
    done = data.draw(st.sets(st.integers(0, len(uris) - 1), min_size=1))
    failed = data.draw(st.sets(st.sampled_from(sorted(done))))
    for number in done:
        made.commit(Outcome(number=number, attempt=1, failed=int(number in failed)))
    for number in done:
        others = set(range(len(uris))) - (done - failed) - {number}
        needed = {uri for other in others for uri in uris[other]}
        assert made.needed_beside(number, planned=len(uris)) == needed & set(uris[number])
    made.close()


def test_the_write_ahead_log_stays_small_while_mini_batches_are_handed_out(tmp_path: Path) -> None:
    made = planned(tmp_path, 4000)
    for number in made.open_numbers():
        made.commit(Outcome(number=number, attempt=1, path="x" * 200))
    assert (tmp_path / "ledger.sqlite-wal").stat().st_size < 10_000_000
    made.close()


def test_the_first_outcome_counts(tmp_path: Path) -> None:
    made = planned(tmp_path, 3)
    first = Outcome(number=1, attempt=1, path="a", rows=3, error="ü\n'", failed=1)
    assert made.outcome(1) is None
    assert made.commit(first)
    assert not made.commit(Outcome(number=1, attempt=2, path="b"))
    assert made.outcome(1) == first
    assert made.commit(Outcome(number=0, attempt=1))
    assert [outcome.number for outcome in made.outcomes()] == [0, 1]
    assert list(made.outcomes(failed_only=True)) == [first]
    assert made.good() == 1
    made.forget(1)
    assert made.commit(Outcome(number=1, attempt=3))
    made.close()


def test_what_is_written_together_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    made = planned(tmp_path, 3)
    numbers = made.open_numbers()
    next(numbers)

    def killed() -> None:
        with made.together():
            made.commit(Outcome(number=0, attempt=1))
            made.note_attempt(1, 1, "w", "worker lost", "x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert list(made.outcomes()) == []
    assert made.attempts() == []
    assert list(numbers) == [1, 2]
    made.note_attempt(1, 1, "w", "worker lost", "x")
    assert made.attempts() == [(1, 1, "w", "worker lost")]
    made.close()


def test_facts_survive_a_kill(tmp_path: Path) -> None:
    made = Ledger(str(tmp_path))
    made.remember(planned=True, schema=None, inputs="ü")
    # As a kill leaves it: nothing is closed.
    again = sqlite3.connect(tmp_path / ledgers.FILE)
    assert again.execute("SELECT COUNT(*) FROM facts").fetchone() == (3,)
    again.close()
    made.remember(planned=False)
    made.close()
    made = Ledger(str(tmp_path))
    assert (made.fact("planned"), made.fact("inputs"), made.fact("none", 7)) == (False, "ü", 7)
    made.close()


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    made = Ledger(str(tmp_path))
    assert ledgers.is_held(str(tmp_path))
    with pytest.raises(JobError, match="is working on the job"):
        Ledger(str(tmp_path))
    made.close()
    assert not ledgers.is_held(str(tmp_path))
    Ledger(str(tmp_path)).close()


def test_a_damaged_ledger_is_told_and_let_go_of(tmp_path: Path) -> None:
    (tmp_path / ledgers.FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    for _ in range(2):
        with pytest.raises(JobError, match="cannot be used"):
            Ledger(str(tmp_path))
    assert not ledgers.is_held(str(tmp_path))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 7))
def test_parts_of_a_mini_batch_are_one(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], at_a_time: int
) -> None:
    order = list(dict.fromkeys(numbers))
    parts = [batch(order.index(number), f"/{at}, [ü].csv") for at, number in enumerate(numbers)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledgers, "PLAN_ROWS", at_a_time)
        made = Ledger(str(tmp_path_factory.mktemp("ledger")))
        made.write_plan(parts)
    assert made.planned() == (len(order), 10 * len(parts))
    for number in range(len(order)):
        pieces = tuple(piece for part in parts if part.number == number for piece in part.pieces)
        assert made.mini_batch(number) == MiniBatch(number, pieces)
        assert made.size_of(number) == 5 * len(pieces)
    made.close()
