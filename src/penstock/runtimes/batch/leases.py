"""Which worker gets which mini-batch, when one is tried again, and when a job is lost. Pure: ``(state, event,
now) -> actions``; `driver` performs them.

While mini-batches take little time, a worker holds two leases, so that it never waits for us: it works on the
first. A worker that dies gives back both; the second was never begun, and nothing is held against it. Where they
take long a second lease would only lie idle while others are out of work. Times are seconds of one monotonic
clock.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock.bundle.batch import BatchSettings
from penstock.runtimes.batch import messages
from penstock.runtimes.batch.damage import Damage

QUICK_S = 0.05
"""Where mini-batches take less than this, workers hold two."""

STALL_S = 600.0
"""Longest time in which a worker may read or write without a word. Calls have a deadline of their own."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""A mini-batch that has cost a worker rests; the pauses double from the first to the longest."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing for the driver to do: `do` is ``order`` (hand `number` to `worker`), ``kill`` (with `why`),
    ``give-up`` (`number` has had its attempts; nothing of it can be had), or ``fail`` (so it is, and the job with
    it)."""

    do: str
    worker: str = ""
    number: int = -1
    attempt: int = 0
    why: str = ""


@dataclass
class Held:
    """What a worker is doing."""

    numbers: deque[int] = field(default_factory=deque)
    phase: str = messages.READING
    span: tuple[int, int] = (0, 0)
    since: float = 0.0
    began: float = 0.0
    is_begun: bool = False
    """The worker has said something of its first lease."""
    fetching: set[int] = field(default_factory=set)
    """Leases whose files are not here yet."""
    is_spare: bool = False
    is_resting: bool = False
    """It gets nothing more, and is replaced when it has done what it holds."""
    killed: str = ""
    """Why it was killed, once it was."""
    has_overstayed: bool = False
    """It was killed for a call that took too long."""


class Leases:
    """All mini-batches that are not committed, and all workers that are ready.

    `numbers` gives the mini-batches that have no outcome yet, in order, read lazily. `ahead`: inputs are fetched
    first, so that a second lease is always worth having.
    """

    def __init__(self, settings: BatchSettings, numbers: Iterator[int], *, ahead: bool = False) -> None:
        self._settings = settings
        self._ahead = ahead
        self._fresh = numbers
        self._again: list[tuple[float, int]] = []
        self._workers: dict[str, Held] = {}
        self._attempts: dict[int, int] = {}
        self._damage: dict[int, Damage] = {}
        self._late: set[int] = set()
        self._typical_s = QUICK_S
        self._is_drained = False
        self._is_closed = False

    # Events

    def ready(self, worker: str, now: float) -> list[Action]:
        """A worker has loaded and may be given work."""
        self._workers[worker] = Held(since=now)
        return self._fill(now)

    def at(self, worker: str, number: int, phase: str, start: int, stop: int, now: float) -> None:
        """A worker begins a phase, or a call."""
        held = self._workers.get(worker)
        if held is not None and number in held.numbers:
            if held.numbers[0] != number:
                # The files of the second were here before those of the first.
                held.numbers.remove(number)
                held.numbers.appendleft(number)
                held.began = now
            held.phase, held.span, held.since, held.is_begun = phase, (start, stop), now, True

    def done(self, worker: str, number: int, now: float) -> list[Action]:
        """A worker has sent an outcome, good or bad; it is the driver's from here on."""
        held = self._workers.get(worker)
        if held is not None and number in held.numbers:
            held.numbers.remove(number)
            self._typical_s += (now - held.began - self._typical_s) / 8
            held.phase, held.span, held.since = messages.READING, (0, 0), now
            held.began, held.is_begun = now, False
            if held.numbers and held.numbers[0] in held.fetching:
                held.since = math.inf
        else:
            # Of a worker that was taken for dead: whoever has it now does it for nothing, and nobody else shall.
            self._late.add(number)
        self._attempts.pop(number, None)
        self._damage.pop(number, None)
        return self._fill(now)

    def gone(self, worker: str, how: str, now: float) -> list[Action]:
        """A worker is dead. What it was doing is tried again, or given up."""
        held = self._workers.pop(worker, None)
        if held is None:
            return []
        actions: list[Action] = []
        if held.numbers:
            number = held.numbers.popleft()
            actions += self._lost(number, held, held.killed or how, now)
        for number in held.numbers:
            if number not in self._late:
                self._attempts[number] -= 1  # it was never begun
                heapq.heappush(self._again, (now, number))
        return actions + self._fill(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed: workers that overstay are killed, rested mini-batches are handed out."""
        actions = []
        for worker, held in self._workers.items():
            if not held.numbers or held.killed:
                continue
            limit = self._settings.timeout_s if held.phase == messages.CALLING else STALL_S
            if now - held.since > limit:
                held.has_overstayed = held.phase == messages.CALLING
                what = "one call" if held.has_overstayed else held.phase
                held.killed = f"{what} took longer than {limit:g} s"
                actions.append(Action(do="kill", worker=worker, number=held.numbers[0], why=held.killed))
        return actions + self._fill(now)

    def blame(self, worker: str, why: str) -> None:
        """The driver has killed `worker` for a reason of its own (memory): say so when it is gone."""
        held = self._workers.get(worker)
        if held is not None and not held.killed:
            held.killed = why

    def postpone(self, worker: str, number: int) -> None:
        """The lease of `number` waits for its files; no clock runs for it until it is `sent`."""
        held = self._workers[worker]
        if held.numbers[0] == number:
            held.since = math.inf
        held.fetching.add(number)

    def sent(self, worker: str, number: int, now: float) -> bool:
        """The files of `number` are here. Whether `worker` still has the lease; then it is to be sent."""
        held = self._workers.get(worker)
        if held is None or number not in held.numbers:
            return False
        held.fetching.discard(number)
        if held.numbers[0] == number:
            held.since = held.began = now
        return True

    def close(self) -> None:
        """Hand out nothing more."""
        self._is_closed = True

    def rest(self, worker: str) -> None:
        """Hand nothing more to `worker`, which is to be replaced when it has done what it holds."""
        held = self._workers.get(worker)
        if held is not None:
            held.is_resting = True

    # State

    def damage(self, number: int) -> Damage:
        """What has happened to a mini-batch so far."""
        settings = self._settings
        fresh = Damage(max_retries=settings.max_retries, bisect=settings.on_error == "bisect")
        return self._damage.get(number, fresh)

    def first_of(self, worker: str) -> int:
        """The mini-batch that `worker` is working on; -1: none."""
        held = self._workers.get(worker)
        return held.numbers[0] if held and held.numbers else -1

    def reason_of(self, worker: str, how: str) -> str:
        """Why `worker` ended, of which the engine knows `how`."""
        held = self._workers.get(worker)
        if held is None:
            return how
        return held.killed or ("replaced" if held.is_resting and not held.numbers else how)

    def take_spare(self) -> list[str]:
        """Workers for whom nothing is left to do, each told once."""
        if not self._is_closed and not (self._is_drained and not self._again):
            return []
        spare = [name for name, held in self._workers.items() if not held.numbers and not held.is_spare]
        for name in spare:
            self._workers[name].is_spare = True
        return spare

    @property
    def workers(self) -> list[str]:
        """Those that are ready."""
        return list(self._workers)

    @property
    def running(self) -> int:
        """Leases that are out."""
        return sum(len(held.numbers) for held in self._workers.values())

    @property
    def is_idle(self) -> bool:
        """Nothing is out, and nothing is left to hand out."""
        return not self.running and (self._is_closed or (self._is_drained and not self._again))

    def next_due(self) -> float | None:
        """When the next rested mini-batch may be handed out."""
        return self._again[0][0] if self._again else None

    # Decisions

    def _lost(self, number: int, held: Held, why: str, now: float) -> list[Action]:
        if number in self._late:
            return []
        damage = self._damage.setdefault(number, self.damage(number))
        if held.span[1] > held.span[0]:
            is_dead = damage.hit(held.span, why, overstayed=held.has_overstayed)
            if is_dead and self._settings.fail_on_timeout and held.span not in damage.otherwise:
                return [Action(do="fail", number=number, attempt=self._attempts.pop(number, 1), why=why)]
        elif held.killed and not held.is_begun:
            pass  # what it was killed for was done in the last moment
        elif damage.lost():
            del self._damage[number]
            return [Action(do="give-up", number=number, attempt=self._attempts.pop(number, 1), why=why)]
        attempt = self._attempts.get(number, 1)
        pause = min(FIRST_PAUSE_S * 2 ** min(attempt - 1, 20), LONGEST_PAUSE_S)
        if damage.splits:
            pause = 0.0  # the search for the killer is under way: every death brings it nearer
        heapq.heappush(self._again, (now + pause, number))
        return []

    def _fill(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self._is_closed:
            return actions
        # First everybody gets one, then those who are fast a second: the last ones are spread.
        for room in range(2 if self._ahead or self._typical_s < QUICK_S else 1):
            for worker, held in self._workers.items():
                if held.killed or held.is_resting or len(held.numbers) > room:
                    continue
                number = self._next(now)
                if number is None:
                    return actions
                self._attempts[number] = attempt = self._attempts.get(number, 0) + 1
                if not held.numbers:
                    held.since, held.began, held.phase, held.is_begun = now, now, messages.READING, False
                held.numbers.append(number)
                actions.append(Action(do="order", worker=worker, number=number, attempt=attempt))
        return actions

    def _next(self, now: float) -> int | None:
        while self._again and self._again[0][0] <= now:
            number = heapq.heappop(self._again)[1]
            if number not in self._late:
                return number
        if self._is_drained:
            return None
        fresh = next(self._fresh, None)
        self._is_drained = fresh is None
        return fresh
