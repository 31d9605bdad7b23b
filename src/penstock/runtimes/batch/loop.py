"""The loop in which a job is scored: mini-batches to workers, outcomes to the ledger, until there is nothing open.

`leases`, `tally` and `memory_guard` decide, an engine runs the workers; the loop only performs. It may be killed at
any point: what the ledger has is what was done.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock import errors
from penstock.bundle.batch import BatchLaunch
from penstock.kit import processes
from penstock.runtimes.batch import closing, leases, resuming, stopping
from penstock.runtimes.batch.engines.interface import Engine, Event
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.memory_guard import MemoryGuard
from penstock.runtimes.batch.messages import Order, Outcome
from penstock.runtimes.batch.plan import MiniBatch
from penstock.runtimes.batch.planning import intake
from penstock.runtimes.batch.planning.fetching import Fetched, Fetcher
from penstock.runtimes.batch.reports import log_tree, progress
from penstock.runtimes.batch.tally import Tally

TURN_S = 0.2
"""How long the loop waits for events before it looks at the clock."""


class Loop:
    """One run of the mini-batches of one job that are open."""

    def __init__(
        self,
        launch: BatchLaunch,
        engine: Engine,
        ledger: Ledger,
        stops: stopping.Stops,
        *,
        source: intake.Intake,
        staging: str,
        tally: Tally,
        log: log_tree.LogTree,
        show: progress.Progress,
        began: float,
    ) -> None:
        """`source` brings files near, `tally` holds what earlier runs have done, `began` is the job's beginning on
        the monotonic clock."""
        self._launch = launch
        self._settings = launch.settings
        self._engine = engine
        self._ledger = ledger
        self._stops = stops
        self._is_remote = source.is_remote
        self._fetcher = Fetcher(Path(launch.folder, "inputs"), source.fetch)
        self._staging = staging
        self._tally = tally
        self._log = log
        self._show = show
        self._began = began
        self._done_before = tally.items
        self._planned, self._bytes = ledger.planned()
        self._workers = min(
            self._settings.workers or processes.usable_processors(),
            max(self._planned - tally.mini_batches, 1),
        )
        self._leases = leases.Leases(self._settings, ledger.open_numbers(), ahead=self._is_remote)
        is_here = launch.engine == "local"  # the machines of a cluster are not this one
        self._memory = MemoryGuard(
            self._settings.memory_limit_mb * 2**20,
            machine=processes.memory_bytes() if is_here else 0,
            workers=self._workers,
        )
        self._partial: dict[str, int] = {}
        self._scored: list[int] = []
        self.workers: dict[str, dict[str, Any]] = {}
        """What each worker did: ``items``, ``cpu_s``, ``peak_bytes``."""

    def run(self) -> None:
        """Until nothing is open. Raises PenstockError where the job is lost, and `stopping.Stopped`."""
        with self._stops.draining(self._drain):
            self._work_off()
        if self._stops.count:
            raise stopping.Stopped

    def _work_off(self) -> None:
        engine = self._engine
        try:
            engine.start(self._workers)
            while not self._leases.is_idle or self._fetcher.is_busy:
                self._turn()
        finally:
            self._leases.close()
            self._show.clear()
            if self._stops.count > 1:
                for worker in self._leases.workers:
                    engine.replace(worker, kill=True)
            self._ledger.flush()
            engine.stop()
            for event in engine.events(0.0):
                # What was said last, in a script's shutdown() for one.
                if event.kind == "log":
                    self._on_event(event, time.monotonic())
            self._fetcher.close(is_hurried=lambda: self._stops.count > 1)

    def _drain(self) -> None:
        self._show.say(
            "stopping when the mini-batches under way are done; once more stops at once", level="warning"
        )
        self._leases.close()

    def _turn(self) -> None:
        found = self._engine.events(0.02 if self._fetcher.is_busy else TURN_S)
        now = time.monotonic()
        if self._stops.count > 1:
            raise stopping.Stopped
        with self._ledger.gathered():
            for event in found:
                self._on_event(event, now)
            for fetched in self._fetcher.finished():
                self._on_fetched(fetched, now)
            self._perform(self._leases.tick(now))
        if self._ledger.is_flushed:
            for number in self._scored:
                self._release(number)
            self._scored.clear()
        for worker in self._leases.take_spare():
            self._engine.spare(worker)
        why = self._tally.verdict(self._settings, self._planned)
        if why:
            raise closing.lost(self._launch, self._ledger, self._tally, self._staging, why)
        self._log.tick(now)
        self._show.update(self._state())

    # What the engine says

    def _on_event(self, event: Event, now: float) -> None:
        kind, worker, content = event.kind, event.worker, event.content
        if kind == "at":
            self._leases.at(
                worker, content["number"], content["phase"], content["start"], content["stop"], now
            )
            self._partial[worker] = content["start"]
        elif kind == "done":
            self._on_outcome(worker, Outcome(**content), now)
        elif kind == "log":
            self._log.worker(worker, content)
            self._show.log(content["level"], content["text"], worker)
        elif kind == "usage":
            why = self._memory.grown(worker, content["resident"])
            if why:
                self._leases.blame(worker, why)
                self._engine.replace(worker, kill=True)
        elif kind == "ready":
            self._on_ready(worker, content, now)
        elif kind == "gone":
            self._on_gone(worker, content["how"], now)
        elif kind == "load-failed":
            self._log.not_loaded(content["failure"])
            raise _load_failure(content["failure"])

    def _on_ready(self, worker: str, content: Mapping[str, Any], now: float) -> None:
        if not self.workers:
            for note in content.get("notes", ()):
                self._show.say(note)
        self._about(worker)
        resident = content["resident"]
        why = self._memory.born(worker, resident, is_shared=content.get("is_born_with", False))
        if why:
            is_said = self._settings.memory_limit_mb
            change = f"--memory-limit {2 * resident // 2**20}MB" if is_said else "--workers 1"
            raise errors.JobError(why, hint=f"penstock score --resume {self._launch.job} {change}")
        self._show.event("worker-ready", worker=worker)
        self._log.ready(worker, content["pid"])
        self._perform(self._leases.ready(worker, now))

    def _on_gone(self, worker: str, how: str, now: float) -> None:
        self._partial.pop(worker, None)
        number = self._leases.first_of(worker)
        reason = self._leases.reason_of(worker, how)
        if number >= 0:
            self._ledger.note_attempt(number, 0, worker, "worker lost", reason)
            self._show.event("worker-lost", worker=worker, mini_batch=number, how=reason)
            self._show.say(f"worker {worker} was lost at mini-batch {number}: {reason}", level="warning")
        if number >= 0 or reason:
            self._log.lost(worker, number, reason)
        self._perform(self._leases.gone(worker, how, now))

    def _on_outcome(self, worker: str, outcome: Outcome, now: float) -> None:
        if outcome.fatal:
            raise errors.JobError(
                outcome.error,
                detail=outcome.traceback,
                hint=outcome.hint or f"when that is mended: penstock score --resume {self._launch.job}",
            )
        self._partial.pop(worker, None)
        actions = self._leases.done(worker, outcome.number, now)
        if self._ledger.commit(outcome):
            self._tally.add(outcome, size=self._ledger.size_of(outcome.number), worker=worker)
            self._log.outcome(worker, outcome)
            if outcome.failed:
                self._show.event(
                    "failed",
                    mini_batch=outcome.number,
                    items=outcome.items,
                    failed=outcome.failed,
                    error=outcome.error,
                )
            elif self._is_remote:
                self._scored.append(outcome.number)
        else:
            resuming.drop(outcome, self._staging, self._ledger.outcome(outcome.number))
        about = self._about(worker)
        about["items"] += outcome.items
        about["cpu_s"] += outcome.cpu_s
        about["peak_bytes"] = max(about["peak_bytes"], outcome.peak_bytes)
        if outcome.peak_bytes and self._memory.is_to_go(worker):
            self._leases.rest(worker)
            self._engine.replace(worker, kill=False)
        self._perform(actions)

    def _about(self, worker: str) -> dict[str, Any]:
        return self.workers.setdefault(worker, {"items": 0, "cpu_s": 0.0, "peak_bytes": 0})

    def _release(self, number: int) -> None:
        needed = self._ledger.needed_beside(number, planned=self._planned)
        for piece in self._ledger.mini_batch(number).pieces:
            if piece.file.fetch and not piece.path and piece.file.uri not in needed:
                self._fetcher.release(piece.file)

    # What the leases want

    def _perform(self, actions: list[leases.Action]) -> None:
        for action in actions:
            if action.do == "order":
                batch = self._ledger.mini_batch(action.number)
                if any(piece.file.fetch and not piece.path for piece in batch.pieces):
                    self._leases.postpone(action.worker, action.number)
                    self._fetcher.begin(batch, action)
                else:
                    self._send(action, batch)
            elif action.do == "kill":
                self._engine.replace(action.worker, kill=True)
            elif action.do == "give-up":
                self._give_up(action.number, action.attempt, action.why)
            elif action.do == "fail":
                resume = f"penstock score --resume {self._launch.job}"
                raise errors.JobError(
                    f"every attempt at mini-batch {action.number} ran out of time: {action.why}",
                    hint=f"{resume} with a longer --timeout, or with --no-fail-on-timeout",
                )

    def _send(self, action: leases.Action, batch: MiniBatch) -> None:
        self._log.ordered(action.worker, action.number, action.attempt)
        damage = self._leases.damage(action.number)
        self._engine.order(
            action.worker,
            Order(
                number=action.number,
                attempt=action.attempt,
                pieces=batch.pieces,
                dead=tuple(damage.dead),
                splits=tuple(sorted(damage.splits)),
                failures_allowed=self._tally.failures_allowed(self._settings),
            ),
        )

    def _on_fetched(self, fetched: Fetched, now: float) -> None:
        action = fetched.lease
        assert isinstance(action, leases.Action)
        if fetched.error is not None:
            raise errors.JobError(
                fetched.error.message,
                hint=fetched.error.hint or f"penstock score --resume {self._launch.job} goes on from here",
            )
        if self._leases.sent(action.worker, action.number, now):
            self._send(action, fetched.batch)

    def _give_up(self, number: int, attempt: int, why: str) -> None:
        """A mini-batch that costs every worker its life before a row of it is called: nothing of it is known."""
        pieces = self._ledger.mini_batch(number).pieces
        items = len(pieces) if self._settings.takes == "files" else sum(max(p.cut.rows, 0) for p in pieces)
        outcome = Outcome(number=number, attempt=attempt, items=items or 1, failed=items or 1, error=why)
        if self._ledger.commit(outcome):
            self._tally.add(outcome, size=self._ledger.size_of(number))
            self._log.outcome("", outcome)

    def _state(self) -> dict[str, Any]:
        tally = self._tally
        elapsed = max(time.monotonic() - self._began, 1e-6)
        items = tally.items + sum(self._partial.values())
        share = tally.size / self._bytes if self._bytes else tally.mini_batches / max(self._planned, 1)
        left = elapsed * (1 - share) / share if share > 0.02 else None
        return {
            "share": round(share, 4),
            "items": items,
            "noun": self._settings.noun,
            "rate": round((items - self._done_before) / elapsed, 1),
            "size": tally.size,
            "failed": tally.failed,
            "workers": len(self._leases.workers),
            "left_s": None if left is None else round(left, 1),
        }


def _load_failure(failure: Mapping[str, Any]) -> errors.PenstockError:
    """What a nursery says of its end, as the error that it was: the data's, the output's or the scorer's."""
    message, hint = failure["message"], failure["hint"]
    kind = failure.get("kind", "")
    if kind == "OutputError":
        return errors.OutputError(message, hint=hint)
    if kind in ("DataError", "SchemaMismatch", "InputError"):
        return errors.DataError(message, hint=hint)
    return errors.StartError(message, stage=failure["stage"], detail=failure["detail"], hint=hint)
