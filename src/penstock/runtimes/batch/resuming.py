"""A job that was begun before: what of it still holds. Driver only.

A result counts only while its staged file is what the ledger says; what was damaged (a loss of power, somebody's
hand) is scored again, and so is what failed, for whoever resumes has mended something.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path

from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.tally import Tally

_CHUNK = 1 << 20


def look_again(ledger: Ledger, staging: str, tally: Tally) -> None:
    """Take back the outcomes that do not hold, count the others, and remove what no outcome names."""
    named: set[str] = set()
    lost: list[Outcome] = []
    for outcome in ledger.outcomes():
        if outcome.failed or not holds(outcome, staging):
            lost.append(outcome)
        else:
            tally.add(outcome, size=ledger.size_of(outcome.number))
            named |= {outcome.path, outcome.dead_letters}
    with ledger.together():
        for outcome in lost:
            ledger.forget(outcome.number)
    for entry in os.scandir(staging):
        if entry.name.endswith((".part", ".dead.jsonl")) and entry.name not in named:
            Path(entry.path).unlink()


def count(ledger: Ledger, tally: Tally) -> None:
    """Count all outcomes, whatever is staged: the job is past its scoring."""
    for outcome in ledger.outcomes():
        tally.add(outcome, size=ledger.size_of(outcome.number))


def holds(outcome: Outcome, staging: str) -> bool:
    """Whether the staged result of `outcome` is what it was."""
    if not outcome.path:
        return True
    path = Path(staging, outcome.path)
    try:
        if path.stat().st_size != outcome.size:
            return False
        crc = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
    except OSError:
        return False
    return crc == outcome.crc


def drop(outcome: Outcome, staging: str, first: Outcome | None) -> None:
    """Remove what an attempt has staged that came second; not what `first`, which counts, has: a message may come
    twice."""
    for name in (outcome.path, outcome.dead_letters):
        if name and (first is None or name not in (first.path, first.dead_letters)):
            with contextlib.suppress(FileNotFoundError):
                Path(staging, name).unlink()
