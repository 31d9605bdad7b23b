"""Calls: every row is scored once, or is in a dead letter once, whatever raises where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import BatchSettings
from penstock.errors import DataError, OutputError
from penstock.runtimes.batch import calls, rows
from penstock.runtimes.batch.calls import Calls, EnoughError
from penstock.runtimes.batch.dead_letters import DeadLetters
from penstock.runtimes.batch.messages import Order
from penstock.scoring.interface import Scored


class Scorer:
    """Scores files (names) or rows; raises for those in `bad`."""

    row_independent = True

    def __init__(self, bad: set[Any], error: Callable[[], BaseException] = lambda: ValueError("bad")) -> None:
        self.bad = bad
        self.error = error
        self.seen: list[int] = []

    def score(self, data: Any) -> Scored:
        items = data if isinstance(data, list) else data.column("id").to_pylist()
        self.seen.append(len(items))
        if self.bad & set(items):
            raise self.error()
        return Scored(content=items, successes=len(items))


def order_of(
    dead: tuple[tuple[int, int, str], ...] = (), splits: tuple[int, ...] = (), allowed: int = -1
) -> Order:
    return Order(number=3, attempt=1, pieces=(), dead=dead, splits=splits, failures_allowed=allowed)


def table(count: int) -> pa.Table:
    numbers = list(range(count))
    return pa.table({"id": numbers, rows.FILE: ["/data.csv"] * count, rows.ROW: numbers})


def made(
    folder: Path, scorer: Any, order: Order, events: list[Any], **said: Any
) -> tuple[Calls, DeadLetters]:
    letters = DeadLetters(str(folder / "letters"))
    calling = Calls(
        scorer,
        BatchSettings(**said),
        order,
        letters,
        lambda start, stop: events.append(("begin", start, stop)),
        lambda start, stop: events.append(("end", start, stop)),
        partition={},
        is_script=said.get("takes", "arrow") != "arrow",
    )
    return calling, letters


@settings(max_examples=60)
@given(
    count=st.integers(1, 40),
    size=st.integers(1, 50),
    bad=st.sets(st.integers(0, 39), max_size=5),
    dead=st.sets(st.integers(0, 39), max_size=4),
    splits=st.sets(st.integers(0, 45), max_size=4),
    bisect=st.booleans(),
)
def test_every_row_has_one_fate(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    size: int,
    bad: set[int],
    dead: set[int],
    splits: set[int],
    bisect: bool,
) -> None:
    folder = tmp_path_factory.mktemp("calls")
    ranges = tuple((row, row + 1, "killed") for row in sorted(dead) if row < count)
    order = order_of(ranges, tuple(sorted(splits)))
    calling, letters = made(folder, Scorer(bad), order, [], on_error="bisect" if bisect else "fail")
    good: list[int] = []
    at = 0
    for part in rows.in_calls(iter([table(count)]), rows.call_sizes(size, calling.splits(order))):
        for data, scored in calling.score(part, at):
            assert data.column("id").to_pylist() == scored.content
            good += scored.content
        at += part.num_rows
    letters.close()
    assert at == count
    assert good == sorted(good), "input order"
    failed = 0
    if letters.path:
        failed = sum(json.loads(line)["items"] for line in Path(letters.path).read_text().splitlines())
    assert (calling.items, calling.failed, calling.successes) == (count, failed, len(good))
    assert len(good) + failed == count
    assert not (set(good) & (bad | dead))
    if bisect:
        assert set(good) == set(range(count)) - bad - dead


def test_calls_are_told_before_and_after_so_that_pauses_are_nobodys_deadline(tmp_path: Path) -> None:
    events: list[Any] = []
    scorer = Scorer({"b"})
    calling, _ = made(tmp_path, scorer, order_of(), events, takes="files", max_retries=2)
    assert list(calling.score(["a", "b"], 5)) == []
    assert events == [("begin", 5, 7), ("end", 5, 7)] * 3


def test_a_model_is_not_asked_twice_nor_a_script_about_what_it_refuses(tmp_path: Path) -> None:
    scorer = Scorer({1})
    calling, _ = made(tmp_path, scorer, order_of(), [], max_retries=3)
    list(calling.score(table(2), 0))
    assert scorer.seen == [2]
    scorer = Scorer({"a"}, lambda: DataError("no"))
    calling, _ = made(tmp_path, scorer, order_of(), [], takes="files", max_retries=3)
    list(calling.score(["a"], 0))
    assert scorer.seen == [1]


@pytest.mark.parametrize("error", [OutputError("full"), MemoryError()])
def test_what_is_not_the_rows_fault_is_raised(tmp_path: Path, error: Exception) -> None:
    calling, _ = made(tmp_path, Scorer({1}, lambda: error), order_of(), [], on_error="bisect")
    with pytest.raises(type(error)):
        list(calling.score(table(2), 0))


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_user_code_raises_costs_only_its_call(tmp_path: Path, error: BaseException) -> None:
    calling, _ = made(tmp_path, Scorer({1}, lambda: error), order_of(), [], on_error="bisect")
    assert [scored.content for _, scored in calling.score(table(3), 0)] == [[0], [2]]


def test_enough_is_enough(tmp_path: Path) -> None:
    scorer = Scorer(set(range(100)))
    calling, _ = made(tmp_path, scorer, order_of(allowed=3), [], on_error="bisect")
    with pytest.raises(EnoughError):
        list(calling.score(table(64), 0))
    assert calling.failed == 4


@pytest.mark.parametrize(
    ("said", "independent", "expected"),
    [
        ({}, True, 7),
        ({}, False, 2**62),
        ({"takes": "frame", "mini_batch_unit": "rows", "mini_batch_size": 40}, True, 40),
        ({"takes": "frame", "mini_batch_unit": "files", "mini_batch_size": 40}, True, 2**62),
    ],
)
def test_how_many_rows_a_call_has(said: dict[str, Any], independent: bool, expected: int) -> None:
    assert calls.spans(BatchSettings(**said), independent, 7) == expected
