"""What of a job that was begun before still holds."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from penstock.runtimes.batch import resuming
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.plan import Cut, MiniBatch, Piece, SourceFile
from penstock.runtimes.batch.tally import Tally


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def staged(staging: Path, number: int, content: bytes = b"12345") -> Outcome:
    path = staging / f"{number}.part"
    path.write_bytes(content)
    return Outcome(
        number=number, attempt=1, path=path.name, size=len(content), crc=zlib.crc32(content), items=5, rows=5
    )


def test_only_what_is_whole_and_good_is_kept(tmp_path: Path, staging: Path) -> None:
    ledger = Ledger(str(tmp_path))
    piece = Piece(SourceFile("/a", 10, "1", "csv", {}), Cut(0, 10, 10))
    ledger.write_plan(MiniBatch(number, (piece,)) for number in range(7))
    good, short, changed, gone, failed = (staged(staging, number) for number in range(5))
    for outcome in (good, short, changed, gone):
        ledger.commit(outcome)
    letters = staging / "4.dead.jsonl"
    letters.write_text("{}\n")
    ledger.commit(Outcome(**{**failed.to_json(), "failed": 1, "dead_letters": letters.name}))
    ledger.commit(Outcome(number=5, attempt=1, items=3))
    (staging / short.path).write_bytes(b"1234")
    (staging / changed.path).write_bytes(b"12346")
    (staging / gone.path).unlink()
    (staging / "6-9.part").write_bytes(b"an attempt that was killed")
    (staging / "own-results").mkdir()
    tally = Tally()
    resuming.look_again(ledger, str(staging), tally)
    assert list(ledger.open_numbers()) == [1, 2, 3, 4, 6]
    assert (tally.mini_batches, tally.items, tally.size, tally.failed) == (2, 8, 20, 0)
    assert sorted(path.name for path in staging.iterdir()) == ["0.part", "own-results"]
    ledger.close()


def test_what_comes_second_goes_and_what_comes_twice_stays(staging: Path) -> None:
    first, second = staged(staging, 0), staged(staging, 1)
    resuming.drop(second, str(staging), first)
    resuming.drop(first, str(staging), first)
    resuming.drop(second, str(staging), first)
    assert [path.name for path in staging.iterdir()] == [first.path]
