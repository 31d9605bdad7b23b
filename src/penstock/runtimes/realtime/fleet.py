"""The fleet: which processes there should be, decided from which there are. Pure: no clock, no process, no
socket. The supervisor tells it what happened and performs the actions that it answers.

A *generation* is one state of model and code; `--reload` makes a new one, and the old one serves until every
worker of the new one has joined. A worker is *loading* until it has joined the gateway, *serving*, *worn*
(to be replaced: too big, or its nursery died; it serves until its replacement has joined) or *retiring*.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

LOADING, SERVING, WORN, RETIRING = "loading", "serving", "worn", "retiring"

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 30.0
LONGEST_PROVEN_S = 0.5
"""The longest pause after deaths of a generation that has served: it can load, and callers wait."""
HEALTHY_AFTER_S = 5.0
"""A worker that has served this long was no failed start: its death is answered at once."""


@dataclass
class WorkerState:
    """One worker process, as far as the fleet knows."""

    generation: int
    phase: str
    since: float


@dataclass
class NurseryState:
    """One nursery: ``starting`` until it can fork. `asked` counts spawns not yet answered."""

    phase: Literal["starting", "ready"]
    preload: bool
    since: float
    asked: int = 0


@dataclass(frozen=True)
class Action:
    """One thing for the supervisor to do: `do` is ``start-nursery``, ``stop-nursery``, ``spawn``, ``retire``,
    ``kill``, ``promoted``, ``give-up`` or ``report``."""

    do: str
    generation: int = 0
    pid: int = 0
    preload: bool = False
    reason: str = ""
    failure: dict[str, str] = field(default_factory=dict)


@dataclass
class Fleet:
    """The state and its rules. Every method takes `now` (seconds, monotonic) and returns actions."""

    desired: int
    preload: bool
    start_timeout_s: float
    retire_timeout_s: float
    generation: int = 1
    candidate: int = 0
    """The generation that is being loaded to replace `generation`; 0: none."""
    newest: int = 1
    """The last number given: one is never given twice, for late messages of an abandoned generation name it."""
    served: bool = False
    """Whether any worker ever joined: before that, a failed load ends the whole start."""
    proven: int = 0
    """The newest generation of which a worker ever joined."""
    workers: dict[int, WorkerState] = field(default_factory=dict)
    nurseries: dict[int, NurseryState] = field(default_factory=dict)
    not_before: float = 0.0
    failures: int = 0
    ended: bool = False
    """Nothing is raised any more."""

    def reload(self, now: float) -> list[Action]:
        """Model or code has changed: raise a new generation beside the serving one."""
        actions = self._abandon_candidate("a newer change came")
        self.newest += 1
        self.candidate = self.newest
        self.not_before = 0.0
        self.failures = 0
        return actions + self.reconcile(now)

    def nursery_ready(self, generation: int, now: float) -> list[Action]:
        """It has loaded what is to be shared, and can fork."""
        if generation in self.nurseries:
            self.nurseries[generation].phase = "ready"
        return self.reconcile(now)

    def nursery_unshareable(self, generation: int, now: float) -> list[Action]:
        """What it loaded may not be forked: start it again, to load in each worker."""
        self.nurseries.pop(generation, None)
        self.preload = False
        return self.reconcile(now)

    def nursery_died(self, generation: int, now: float) -> list[Action]:
        """Its workers serve on, but nobody could replace them: raise new ones under a new nursery."""
        if self.nurseries.pop(generation, None) is None:
            return []
        for state in self.workers.values():
            if state.generation == generation and state.phase in (LOADING, SERVING):
                state.phase = WORN
        self._back_off(now, generation)
        return self.reconcile(now)

    def spawned(self, generation: int, pid: int, now: float) -> list[Action]:
        """A worker was forked. It may have joined already: nursery and gateway speak through different channels."""
        self.workers.setdefault(pid, WorkerState(generation, LOADING, now))
        if generation in self.nurseries:
            self.nurseries[generation].asked -= 1
        return self.reconcile(now)

    def not_spawned(self, generation: int, now: float) -> list[Action]:
        """A nursery could not fork: try again, later."""
        if generation in self.nurseries:
            self.nurseries[generation].asked -= 1
        self._back_off(now, generation)
        return self.reconcile(now)

    def joined(self, pid: int, generation: int, now: float) -> list[Action]:
        """A worker has loaded and greets the gateway, for the first time or after the gateway's restart."""
        state = self.workers.get(pid)
        if state is None:
            if generation not in (self.generation, self.candidate):
                # Forked in the last moment of a nursery that was stopped: it must not serve what was abandoned.
                return [Action("kill", pid=pid, reason="superseded")]
            state = WorkerState(generation, LOADING, now)
        if state.phase == RETIRING:
            # The gateway that was told to let it go has died.
            return [Action("retire", pid=pid), *self.reconcile(now)]
        if state.phase == LOADING:
            self.workers[pid] = dataclasses.replace(state, phase=SERVING, since=now)
            self.served = True
            self.proven = max(self.proven, state.generation)
        return self.reconcile(now)

    def exited(self, pid: int, now: float) -> list[Action]:
        """A worker is gone, whatever the reason."""
        state = self.workers.pop(pid, None)
        if state is None:
            return []
        if state.phase == SERVING and now - state.since >= HEALTHY_AFTER_S:
            self.failures = 0
            self.not_before = 0.0
        elif state.phase in (LOADING, SERVING):
            self._back_off(now, state.generation)
        return self.reconcile(now)

    def load_failed(self, generation: int, failure: dict[str, str], now: float) -> list[Action]:
        """Model or script cannot be loaded. Told once where it ends the start, though every worker may say it."""
        if self.ended:
            return []
        actions = [Action("report", generation=generation, failure=failure)]
        if generation == self.candidate:
            return actions + self._abandon_candidate("it could not be loaded") + self.reconcile(now)
        if not self.served:
            self.ended = True
            return [Action("give-up", generation=generation, failure=failure)]
        self._back_off(now)
        return actions + self.reconcile(now)

    def end(self) -> list[Action]:
        """The service has answered its last request: nothing is raised any more, and what still loads is not
        waited for."""
        self.ended = True
        return [
            Action("kill", pid=pid, reason="the service ends")
            for pid, state in self.workers.items()
            if state.phase == LOADING
        ]

    def worn(self, pid: int, now: float) -> list[Action]:
        """A serving worker should be replaced, without haste."""
        state = self.workers.get(pid)
        if state is not None and state.phase == SERVING:
            state.phase = WORN
        return self.reconcile(now)

    def reconcile(self, now: float) -> list[Action]:
        """What is missing and what is too much. Called on a tick too, for what only time brings."""
        if self.ended:
            return []
        actions = self._overdue(now)
        actions += self._raise(self.candidate or self.generation, now)
        nursery = self.nurseries.get(self.generation)
        if self.candidate and nursery is not None and nursery.preload:
            # The candidate may take minutes, or never serve; what is loaded already costs nothing to fork.
            actions += self._raise(self.generation, now)
        if self.candidate and self._count(self.candidate, SERVING) >= self.desired:
            actions.append(Action("promoted", generation=self.candidate))
            self.generation, self.candidate = self.candidate, 0
        if self._count(self.generation, SERVING) >= self.desired:
            actions += self._retire_the_rest(now)
        for generation in [g for g in self.nurseries if g not in (self.generation, self.candidate)]:
            if not any(state.generation == generation for state in self.workers.values()):
                del self.nurseries[generation]
                actions.append(Action("stop-nursery", generation=generation))
        return actions

    def _raise(self, generation: int, now: float) -> list[Action]:
        if now < self.not_before:
            return []
        nursery = self.nurseries.get(generation)
        if nursery is None:
            self.nurseries[generation] = NurseryState("starting", self.preload, now)
            return [Action("start-nursery", generation=generation, preload=self.preload)]
        if nursery.phase != "ready":
            return []
        missing = self.desired - self._count(generation, LOADING, SERVING) - nursery.asked
        nursery.asked += max(missing, 0)
        return [Action("spawn", generation=generation)] * missing

    def _retire_the_rest(self, now: float) -> list[Action]:
        actions = []
        for pid, state in self.workers.items():
            stale = state.generation != self.generation and state.generation != self.candidate
            if state.phase == WORN or (stale and state.phase == SERVING):
                self.workers[pid] = WorkerState(state.generation, RETIRING, now)
                actions.append(Action("retire", pid=pid))
            elif stale and state.phase == LOADING:
                actions.append(Action("kill", pid=pid, reason="superseded"))
        return actions

    def _overdue(self, now: float) -> list[Action]:
        actions = []
        for generation, nursery in list(self.nurseries.items()):
            if nursery.phase == "starting" and now - nursery.since > self.start_timeout_s:
                del self.nurseries[generation]
                actions.append(Action("stop-nursery", generation=generation))
                actions += self.load_failed(generation, self._too_slow(), now)
        for pid, state in list(self.workers.items()):
            age = now - state.since
            if state.phase == RETIRING and age > self.retire_timeout_s:
                actions.append(Action("kill", pid=pid, reason="did not retire"))
            elif state.phase == LOADING and age > self.start_timeout_s:
                del self.workers[pid]
                actions.append(Action("kill", pid=pid, reason="start timeout"))
                actions += self.load_failed(state.generation, self._too_slow(), now)
        return actions

    def _too_slow(self) -> dict[str, str]:
        return {
            "stage": "model",
            "message": f"loading took longer than {self.start_timeout_s:g} s",
            "detail": "",
            "hint": "raise the liveness probe's initial_delay or failure_threshold, or --start-timeout",
        }

    def _abandon_candidate(self, reason: str) -> list[Action]:
        if not self.candidate:
            return []
        generation, self.candidate = self.candidate, 0
        actions = [
            Action("kill", pid=pid, reason=reason)
            for pid, state in self.workers.items()
            if state.generation == generation
        ]
        if self.nurseries.pop(generation, None) is not None:
            actions.append(Action("stop-nursery", generation=generation, reason=reason))
        return actions

    def _back_off(self, now: float, generation: int = 0) -> None:
        """After a death of `generation`; 0: after a definite failure to load, which haste will not cure."""
        self.failures += 1
        if self.failures > 1:
            longest = LONGEST_PROVEN_S if 0 < generation <= self.proven else LONGEST_BACKOFF_S
            pause = min(FIRST_BACKOFF_S * 2 ** min(self.failures - 2, 20), longest)
            self.not_before = max(self.not_before, now + pause)

    def _count(self, generation: int, *phases: str) -> int:
        return sum(s.generation == generation and s.phase in phases for s in self.workers.values())
