"""The ledger of a batch job: the plan, every attempt, and the one outcome of each mini-batch.

One SQLite file in the job's folder, written by one driver, who holds a lock beside it. Whoever is first to put
an outcome of a mini-batch here has committed it; a second outcome of the same mini-batch is refused. Kills lose
nothing that was said to be committed. A loss of power may lose the last seconds: staged results are checked
against size and checksum before they are believed on a resume.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from penstock.errors import JobError
from penstock.runtimes.batch import messages
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.plan import MiniBatch, Piece

FILE, LOCK = "ledger.sqlite", "lock"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mini_batches (number INTEGER PRIMARY KEY, size INTEGER NOT NULL, pieces TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS further_parts (number INTEGER NOT NULL, pieces TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS further_parts_of ON further_parts (number);
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER NOT NULL, attempt INTEGER NOT NULL, worker TEXT NOT NULL, at REAL NOT NULL,
    how TEXT NOT NULL, error TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS outcomes (number INTEGER PRIMARY KEY, failed INTEGER NOT NULL, outcome TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS failed_outcomes ON outcomes (number) WHERE failed > 0;
"""

_Planned = tuple[int, int, str]
"""Number, input bytes and pieces of a mini-batch, or of a part of one."""

PLAN_ROWS = 1000
"""Mini-batches that are written to the plan at a time."""

GATHER_S = 0.05
"""How long outcomes are gathered before they are kept."""


class Ledger:
    """An open ledger. `seconds` is what it has cost so far."""

    def __init__(self, folder: str) -> None:
        """Open the ledger in `folder`, made if there is none. Raises JobError: somebody else works on this job,
        or the file is damaged."""
        self._lock = _locked(Path(folder, LOCK))
        self.seconds = 0.0
        self._gathered_since = 0.0
        self._base: sqlite3.Connection
        try:
            self._base = sqlite3.connect(Path(folder, FILE), isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
        except sqlite3.Error as error:
            os.close(self._lock)
            raise JobError(
                f"the ledger {folder}/{FILE} cannot be used: {error}", hint="start a new job"
            ) from error

    def close(self) -> None:
        """Let go of the file and of the lock."""
        self._base.close()
        os.close(self._lock)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is written inside is kept whole or not at all."""
        with self.gathered():
            yield
        self.flush()

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """What is written inside is kept with what is written so for a moment, or until `flush`; or none of it is.
        A kill before that costs what can be done again, and a commit costs more than all that stands in it."""
        if not self._base.in_transaction:
            self._gathered_since = time.monotonic()
            with self._timed():
                self._base.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        if time.monotonic() - self._gathered_since > GATHER_S:
            self.flush()

    def flush(self) -> None:
        """Keep what was gathered."""
        if self._base.in_transaction:
            with self._timed():
                self._base.execute("COMMIT")

    @property
    def is_flushed(self) -> bool:
        """Whether everything is kept."""
        return not self._base.in_transaction

    # Facts

    def fact(self, name: str, default: Any = None) -> Any:
        """What was remembered under `name`."""
        row = self._base.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def remember(self, **facts: Any) -> None:
        """Keep JSON-able `facts`, each over what was there."""
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        self._base.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)

    # The plan

    def write_plan(self, batches: Iterable[MiniBatch]) -> None:
        """Keep the whole plan, read lazily: mini-batches of the same number are parts of one, in order. A plan that
        was begun before counts for nothing."""
        with self.together():
            self._base.execute("DELETE FROM mini_batches")
            self._base.execute("DELETE FROM further_parts")
            remaining = iter(batches)
            last = -1
            while some := list(itertools.islice(remaining, PLAN_ROWS)):
                joined: dict[int, list[Piece]] = {}
                for batch in some:
                    joined.setdefault(batch.number, []).extend(batch.pieces)
                planned = [_planned(number, pieces) for number, pieces in joined.items()]
                self._write_parts(
                    [row for row in planned if row[0] > last], [row for row in planned if row[0] <= last]
                )
                last = max(last, *joined)

    def _write_parts(self, first: Sequence[_Planned], further: Sequence[_Planned]) -> None:
        self._base.executemany("INSERT INTO mini_batches VALUES (?, ?, ?)", first)
        self._base.executemany(
            "UPDATE mini_batches SET size = size + ? WHERE number = ?",
            [(size, number) for number, size, _ in further],
        )
        self._base.executemany(
            "INSERT INTO further_parts VALUES (?, ?)", [(number, pieces) for number, _, pieces in further]
        )

    def planned(self) -> tuple[int, int]:
        """How many mini-batches the plan has, and their bytes of input."""
        count, size = self._base.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM mini_batches"
        ).fetchone()
        return int(count), int(size)

    def mini_batch(self, number: int) -> MiniBatch:
        """The `number`-th mini-batch of the plan."""
        parts = self._base.execute(
            "SELECT pieces FROM (SELECT -1 AS part, pieces FROM mini_batches WHERE number = ?"
            " UNION ALL SELECT rowid, pieces FROM further_parts WHERE number = ?) ORDER BY part",
            (number, number),
        )
        pieces = (messages.piece_from_json(piece) for (part,) in parts for piece in json.loads(part))
        return MiniBatch(number=number, pieces=tuple(pieces))

    def size_of(self, number: int) -> int:
        """Input bytes of a mini-batch."""
        row = self._base.execute("SELECT size FROM mini_batches WHERE number = ?", (number,)).fetchone()
        return int(row[0])

    def open_numbers(self) -> Iterator[int]:
        """Mini-batches without an outcome, in order."""
        # In parts: while a query is open, nothing that is written can leave the write-ahead log.
        last = -1
        while True:
            found = self._base.execute(
                "SELECT number FROM mini_batches WHERE number > ? AND number NOT IN (SELECT number FROM outcomes)"
                " ORDER BY number LIMIT ?",
                (last, PLAN_ROWS),
            ).fetchall()
            yield from (number for (number,) in found)
            if not found:
                return
            last = found[-1][0]

    # Attempts and outcomes

    def note_attempt(self, number: int, attempt: int, worker: str, how: str, error: str = "") -> None:
        """An attempt that came to nothing: `how` in a word or two, `error` in full."""
        with self._timed():
            self._base.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?)",
                (number, attempt, worker, time.time(), how, error),
            )

    def attempts(self) -> list[tuple[int, int, str, str]]:
        """``(number, attempt, worker, how)`` of every attempt that came to nothing, in order."""
        return self._base.execute(
            "SELECT number, attempt, worker, how FROM attempts ORDER BY rowid"
        ).fetchall()

    def commit(self, outcome: Outcome) -> bool:
        """Whether `outcome` is its mini-batch's first: then it counts from now on."""
        with self._timed():
            cursor = self._base.execute(
                "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?)",
                (outcome.number, outcome.failed, json.dumps(outcome.to_json())),
            )
        return cursor.rowcount == 1

    def outcome(self, number: int) -> Outcome | None:
        """The committed outcome of a mini-batch; None: there is none yet."""
        row = self._base.execute("SELECT outcome FROM outcomes WHERE number = ?", (number,)).fetchone()
        return Outcome(**json.loads(row[0])) if row else None

    def needed_beside(self, number: int, *, planned: int) -> set[str]:
        """URIs of the files in the `number`-th of `planned` mini-batches of which others, not scored yet or failed,
        have parts too. Those are its neighbours, for a file's parts follow one another."""
        needed: set[str] = set()
        files = {piece.file.uri for piece in self.mini_batch(number).pieces}
        for step in (1, -1):  # what comes is mostly open, and found at once
            shared, beside = files - needed, number + step
            while shared and 0 <= beside < planned:
                shared &= {piece.file.uri for piece in self.mini_batch(beside).pieces}
                outcome = self.outcome(beside)
                if shared and (outcome is None or outcome.failed):
                    needed |= shared
                    break
                beside += step
        return needed

    def good(self) -> int:
        """How many mini-batches have an outcome in which nothing failed."""
        return int(self._base.execute("SELECT COUNT(*) FROM outcomes WHERE failed = 0").fetchone()[0])

    def forget(self, number: int) -> None:
        """Take an outcome back whose staged result turned out damaged, or that a resumed job shall try again."""
        self._base.execute("DELETE FROM outcomes WHERE number = ?", (number,))

    def outcomes(self, *, failed_only: bool = False) -> Iterator[Outcome]:
        """The committed outcomes by number."""
        condition = "WHERE failed > 0" if failed_only else ""
        found = self._base.execute(f"SELECT outcome FROM outcomes {condition} ORDER BY number")  # noqa: S608
        for (text,) in found:
            yield Outcome(**json.loads(text))

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


def _planned(number: int, pieces: Sequence[Piece]) -> _Planned:
    """A row of the plan."""
    size = sum(piece.cut.size for piece in pieces)
    return number, size, json.dumps([messages.piece_to_json(piece) for piece in pieces])


def exists(folder: str) -> bool:
    """Whether there is a ledger in `folder`."""
    return Path(folder, FILE).is_file()


def is_held(folder: str) -> bool:
    """Whether somebody works on the job in `folder` at this moment."""
    try:
        os.close(_locked(Path(folder, LOCK)))
    except JobError:
        return True
    return False


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode() or "unknown"
        os.close(descriptor)
        raise JobError(
            f"process {holder} is working on the job {path.parent.name} already",
            hint="wait for it, or stop it",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
