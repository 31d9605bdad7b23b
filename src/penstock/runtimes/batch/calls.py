"""One call after another: how often a call is repeated, when it is halved, and what its failure costs.

A call is a table of rows, or a list of files. What raises is repeated (scripts) or not (models, whose errors
are the data's), and then, with ``on_error: bisect``, halved until the bad rows are alone. What kills or hangs
the worker is the driver's to judge: it names such rows in the next order, as dead or to be split.
Worker side: Python 3.8, standard library only.
"""

from __future__ import annotations

import bisect
import time
from typing import Any, Callable, Iterator, Mapping

from penstock.bundle.batch import BatchSettings
from penstock.errors import DataError, InputError, JobError, OutputError, PenstockError
from penstock.runtimes.batch import rows
from penstock.runtimes.batch.dead_letters import DeadLetters
from penstock.runtimes.batch.messages import Order
from penstock.runtimes.batch.plan import Piece
from penstock.scoring.interface import BatchScorer, Scored
from penstock.scoring.scripts import failures

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Pauses between repeats double from the first to the longest."""


class EngineGoneError(Exception):
    """Nobody hears any more how calls go; none is to be repeated for it."""


class EnoughError(Exception):
    """More items have failed than may: the job ends, and nobody needs the rest of this mini-batch."""


class Calls:
    """The calls of one mini-batch; counts what came of them.

    `begin` is told the rows of each call before it is made, `end` afterwards, however it ended. `partition` is what
    the mini-batch's partition keys are, for scripts that ask.
    """

    def __init__(
        self,
        scorer: BatchScorer,
        settings: BatchSettings,
        order: Order,
        letters: DeadLetters,
        begin: Callable[[int, int], None],
        end: Callable[[int, int], None],
        *,
        partition: Mapping[str, Any],
        is_script: bool,
    ) -> None:
        self._scorer = scorer
        self._settings = settings
        self._letters = letters
        self._begin = begin
        self._end = end
        self._dead = sorted(order.dead)
        self._allowed = order.failures_allowed
        self._number = order.number
        self._partition = partition
        self._repeats = settings.max_retries if is_script else 0
        # Only scripts that take a context want to know which call this is.
        self._announce = getattr(scorer, "begin", None)
        self.items = self.failed = self.successes = 0
        self.scoring_s = 0.0
        self.error = self.traceback = ""

    def splits(self, order: Order) -> list[int]:
        """Where calls must be cut: around dead rows, and where the driver says."""
        edges = [edge for start, stop, _ in order.dead for edge in (start, stop)]
        return sorted({*edges, *order.splits})

    def score(self, data: Any, start: int) -> Iterator[tuple[Any, Scored]]:
        """Call for `data`, whose first item is the `start`-th of the mini-batch: each part that was scored, with
        its result, in order. Raises EnoughError, and OutputError or JobError as they come."""
        self.items += len(data)
        reason = self._death_of(start)
        if reason:
            self._give_up(data, reason, "")
            return
        yield from self._attempt(data, start, self._repeats)

    def refuse(self, piece: Piece, row: int, error: DataError) -> None:
        """A row of `piece` cannot be read. Raises EnoughError."""
        self.items += 1
        self._letters.add_unread(piece.file.uri, row, error.message)
        self._count_failed(1, error.message, "")

    def _death_of(self, start: int) -> str:
        at = bisect.bisect_right([first for first, _, _ in self._dead], start) - 1
        if at >= 0 and start < self._dead[at][1]:
            return self._dead[at][2]
        return ""

    def _attempt(self, data: Any, start: int, repeats: int) -> Iterator[tuple[Any, Scored]]:
        pause = FIRST_PAUSE_S
        for repeat in range(repeats + 1):
            if repeat:
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
            try:
                scored = self._call(data, start)
            except (OutputError, JobError, MemoryError, EngineGoneError):
                raise
            except BaseException as error:  # noqa: BLE001 - user code raises anything, SystemExit too
                failure = error
                if isinstance(error, (DataError, InputError)):
                    break  # the same rows would be refused again
            else:
                self.successes += scored.successes
                yield data, scored
                return
        if self._settings.on_error == "bisect" and len(data) > 1:
            middle = len(data) // 2
            yield from self._attempt(data[:middle], start, 0)
            yield from self._attempt(data[middle:], start + middle, 0)
            return
        self._give_up(data, _line_of(failure, data), _trace_of(failure))

    def _call(self, data: Any, start: int) -> Scored:
        self._begin(start, start + len(data))
        if self._announce is not None:
            self._announce(self._number, start, self._partition)
        began = time.perf_counter()
        try:
            return self._scorer.score(data)
        finally:
            self.scoring_s += time.perf_counter() - began
            self._end(start, start + len(data))

    def _give_up(self, data: Any, error: str, traceback: str) -> None:
        self._letters.add(data, error, traceback)
        self._count_failed(len(data), error, traceback)

    def _count_failed(self, items: int, error: str, traceback: str) -> None:
        self.failed += items
        if not self.error:
            self.error, self.traceback = error, traceback
        if 0 <= self._allowed < self.failed:
            raise EnoughError


def spans(settings: BatchSettings, row_independent: bool, default: int) -> int:
    """How many rows a call has: what a script's user said; for a model of ours `default`, or, where rows must
    not be torn apart, a whole mini-batch."""
    if settings.takes == "arrow":
        return default if row_independent else 2**62
    return settings.mini_batch_size if settings.mini_batch_unit == "rows" else 2**62


def _line_of(error: BaseException, data: Any) -> str:
    """The error in a line; where it names a row of the call, that row's place in its file."""
    if not isinstance(error, PenstockError):
        return failures.last_line(error)
    row = getattr(error, "row", -1)
    if row < 0 or isinstance(data, list) or row >= len(data):
        return error.message
    place = data.slice(row, 1).select([rows.FILE, rows.ROW]).to_pylist()[0]
    return f"{place[rows.FILE]}, row {place[rows.ROW]} (from 0): {error.message}"


def _trace_of(error: BaseException) -> str:
    """The user's own traceback; an error of ours that carries one brings it along."""
    detail = getattr(error, "detail", "")
    if isinstance(error, (DataError, InputError)):
        return str(detail)
    return str(detail) or failures.user_traceback(error)
