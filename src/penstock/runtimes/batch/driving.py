"""One run of a batch job: plans, leases mini-batches to workers, commits what comes back, publishes.

`leases` and `tally` decide, the ledger remembers, an engine runs the workers, a sink publishes; the loop here only
performs. It may be killed at any point: what the ledger has is what was done, and the same command resumes.

Order of the end: workers first, so that a script's ``shutdown()`` has run before anything is published; then the
results; then the record that they are there. Killed in between, a resumed job publishes again, which changes
nothing that is there already.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock import errors
from penstock.bundle import jobs
from penstock.bundle.batch import BatchLaunch
from penstock.kit import processes, urls
from penstock.runtimes.batch import closing, leases, own_results, resuming, stopping
from penstock.runtimes.batch.engines.interface import Engine, Event
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.messages import Job, Order, Outcome
from penstock.runtimes.batch.plan import MiniBatch
from penstock.runtimes.batch.planning import fingerprints, intake, seen, siblings
from penstock.runtimes.batch.planning.fetching import Fetched, Fetcher
from penstock.runtimes.batch.reports import log_tree, progress
from penstock.runtimes.batch.sinks import registry as sinks
from penstock.runtimes.batch.sinks.interface import Part, Published
from penstock.runtimes.batch.tally import Tally

NO_PLACE = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.EMFILE,
)  # fmt: skip
"""What the machine's state is to blame for."""

TURN_S = 0.2
"""How long the loop waits for events before it looks at the clock."""


class Driver:
    """One run of one job."""

    def __init__(self, launch: BatchLaunch, engine: Engine, ledger: Ledger, stops: stopping.Stops) -> None:
        """`engine` may be preparing itself already; whoever made it stops it, and closes `ledger`."""
        self._ledger = ledger
        self._stops = stops
        self._launch = launch
        self._engine = engine
        self._folder = Path(launch.folder)
        self._settings = launch.settings
        self._noun = "files" if launch.settings.takes == "files" else "rows"
        self._show = progress.Progress(style=launch.log_format, level=launch.log_level)
        self._tally = Tally()
        self._log = log_tree.LogTree(self._folder / "logs", self._tally, noun=self._noun)
        self._workers: dict[str, dict[str, Any]] = {}
        self._began = time.monotonic()
        self._done_before = 0
        self._partial: dict[str, int] = {}

    def run(self) -> Published:
        """Do the job, from wherever it stands. Raises PenstockError, or `stopping.Stopped`."""
        jobs.write_about(str(self._folder), status="running", pid=os.getpid(), kind=self._kind())
        for note in self._launch.notes:
            self._show.say(note)
        try:
            return self._run()
        except errors.PenstockError as error:
            self._failed(error)
            raise
        except (OSError, sqlite3.Error) as error:
            told = self._unusable(error)
            if told is None:
                raise
            self._failed(told)
            raise told from error
        except stopping.Stopped:
            jobs.write_about(str(self._folder), status="stopped")
            self._log.stopped(time.monotonic())
            raise
        finally:
            with contextlib.suppress(OSError):
                self._log.close()

    def _failed(self, error: errors.PenstockError) -> None:
        with contextlib.suppress(OSError):  # what we say on screen is more than what a full disk can keep
            jobs.write_about(str(self._folder), status="failed", error=error.message)
            self._log.failed(error, time.monotonic())

    def _unusable(self, error: OSError | sqlite3.Error) -> errors.JobError | None:
        """`error` as what happened to the job's own folder; None: it is a bug of ours."""
        if isinstance(error, OSError) and error.errno not in NO_PLACE:
            return None
        said = error.strerror if isinstance(error, OSError) else error
        return errors.JobError(
            f"{getattr(error, 'filename', None) or self._folder} cannot be used: {said}",
            hint=f"when that is mended: penstock score --resume {self._launch.job}",
        )

    def _kind(self) -> str:
        return fingerprints.kind(self._launch)

    def _run(self) -> Published:
        launch = self._launch
        self._sink = sinks.open_sink(launch.output, job=launch.job, folder=str(self._folder))
        published: Published | None = None
        if self._ledger.fact("published"):
            published = Published(**self._ledger.fact("published"))
            self._show.say(f"job {launch.job} is finished already")
            resuming.count(self._ledger, self._tally)
            self._tidy()
            self._finish(published)
            return published
        self._intake = intake.Intake(launch, self._folder / "inputs")
        try:
            self._plan()
            self._staging = self._sink.staging()
            if self._ledger.fact("publishing"):
                # Killed on the way: part of what was staged is at its place already.
                resuming.count(self._ledger, self._tally)
                self._log.begin(self._ledger.planned()[0], time.monotonic())
            else:
                resuming.look_again(self._ledger, self._staging, self._tally)
                self._log.begin(self._ledger.planned()[0], time.monotonic())
                self._score_all()
        finally:
            self._intake.close()
        published = self._publish()
        self._finish(published)
        return published

    # The plan

    def _plan(self) -> None:
        launch = self._launch
        if self._ledger.fact("planned"):
            self._look_at_scorer()
            return
        self._sink.check()
        known = (
            seen.Seen(self._folder.parent, fingerprints.work(self._launch)) if launch.incremental else None
        )
        began = time.perf_counter()
        self._intake.write_plan(self._ledger, known)
        count, size = self._ledger.planned()
        about = {
            "files": self._ledger.fact("files"),
            "left_out": self._ledger.fact("left_out"),
            "mini_batches": count,
            "bytes": size,
        }
        kind, inputs = self._kind(), self._ledger.fact("inputs")
        output = urls.without_secrets(launch.output.location)
        with siblings.one_at_a_time(self._folder.parent):
            if not launch.force:
                siblings.check(self._folder, kind=kind, inputs=inputs, output=output)
            jobs.write_about(str(self._folder), kind=kind, inputs=inputs, output=output, **about)
        self._ledger.remember(
            planned=True,
            planning_s=time.perf_counter() - began,
            model_digest=self._model_digest(),
            scorer=fingerprints.scorer(launch.manifest),
        )
        self._show.event("planned", seconds=round(time.perf_counter() - began, 3), **about)

    def _model_digest(self) -> str:
        return fingerprints.model(self._launch.manifest) if self._launch.output.lineage else ""

    def _look_at_scorer(self) -> None:
        """Whoever resumes has perhaps mended the script. What was scored is kept, so that has to be said."""
        scorer = fingerprints.scorer(self._launch.manifest)
        if scorer == self._ledger.fact("scorer") or self._ledger.fact("publishing"):
            return
        self._ledger.remember(scorer=scorer, model_digest=self._model_digest())
        kept = self._ledger.good()
        if kept:
            self._show.say(
                f"the model or script has changed since the job began; {kept:,} mini-batches that were scored "
                "before are kept as they are. A new job scores all with the new one",
                level="warning",
            )

    # Scoring

    def _score_all(self) -> None:
        self._done_before = self._tally.items
        planned = self._ledger.planned()[0]
        if self._tally.mini_batches < planned:
            self._score(planned)
        why = self._tally.verdict(self._settings, planned, noun=self._noun)
        if why:
            raise self._lost(why)

    def _score(self, planned: int) -> None:
        workers = min(
            self._settings.workers or processes.usable_processors(),
            max(planned - self._tally.mini_batches, 1),
        )
        self._write_job()
        self._is_grown: dict[str, bool] = {}
        self._limits: dict[str, int] = {}
        self._places = workers
        self._leases = leases.Leases(
            self._settings, self._ledger.open_numbers(), ahead=self._intake.is_remote
        )
        self._fetcher = Fetcher(self._folder / "inputs", self._intake.fetch)
        self._planned = planned
        self._bytes = self._ledger.planned()[1]
        with self._stops.draining(self._drain):
            self._work_off(workers)
        if self._stops.count:
            raise stopping.Stopped

    def _work_off(self, workers: int) -> None:
        engine = self._engine
        try:
            engine.start(workers)
            while not self._leases.is_idle or self._fetcher.is_busy:
                self._turn()
        finally:
            self._leases.close()
            self._show.clear()
            if self._stops.count > 1:
                for worker in self._leases.workers:
                    engine.replace(worker, kill=True)
            engine.stop()
            for event in engine.events(0.0):
                # What was said last, in a script's shutdown() for one.
                if event.kind == "log":
                    self._on_event(event, time.monotonic())
            if self._stops.count < 2:
                self._fetcher.close()

    def _turn(self) -> None:
        found = self._engine.events(0.02 if self._fetcher.is_busy else TURN_S)
        now = time.monotonic()
        if self._stops.count > 1:
            raise stopping.Stopped
        with self._ledger.together():
            for event in found:
                self._on_event(event, now)
            for fetched in self._fetcher.finished():
                self._on_fetched(fetched, now)
            self._perform(self._leases.tick(now))
        for worker in self._leases.take_spare():
            self._engine.spare(worker)
        why = self._tally.verdict(self._settings, self._planned, noun=self._noun)
        if why:
            raise self._lost(why)
        self._log.tick(now)
        self._show.update(self._state())

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
            self._on_usage(worker, content["resident"])
        elif kind == "ready":
            if not self._workers:
                for note in content.get("notes", ()):
                    self._show.say(note)
            self._workers[worker] = {"items": 0, "cpu_s": 0.0, "peak_bytes": 0}
            self._limits[worker] = self._memory_limit(
                content["resident"], is_shared=content.get("is_born_with", False)
            )
            self._show.event("worker-ready", worker=worker)
            self._log.ready(worker, content["pid"])
            self._perform(self._leases.ready(worker, now))
        elif kind == "gone":
            self._on_gone(worker, content["how"], now)
        elif kind == "load-failed":
            self._log.not_loaded(content["failure"])
            raise _load_failure(content["failure"])

    def _on_gone(self, worker: str, how: str, now: float) -> None:
        self._partial.pop(worker, None)
        number = self._leases.first_of(worker)
        reason = self._leases.reason_of(worker) or how
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
        batch = self._leases.done(worker, outcome.number, now)
        if self._ledger.commit(outcome):
            size = self._ledger.size_of(outcome.number)
            self._tally.add(outcome, size=size, worker=worker)
            self._log.outcome(worker, outcome)
            if outcome.failed:
                self._show.event(
                    "failed",
                    mini_batch=outcome.number,
                    items=outcome.items,
                    failed=outcome.failed,
                    error=outcome.error,
                )
            if self._intake.is_remote:
                self._release(outcome.number)
        else:
            resuming.drop(outcome, self._staging, self._ledger.outcome(outcome.number))
        about = self._workers.setdefault(worker, {"items": 0, "cpu_s": 0.0, "peak_bytes": 0})
        about["items"] += outcome.items
        about["cpu_s"] += outcome.cpu_s
        about["peak_bytes"] = max(about["peak_bytes"], outcome.peak_bytes)
        if outcome.peak_bytes and self._is_grown.pop(worker, False):
            self._leases.rest(worker)
            self._engine.replace(worker, kill=False)
        self._perform(batch)

    def _release(self, number: int) -> None:
        needed = self._ledger.needed_beside(number)
        for piece in self._ledger.mini_batch(number).pieces:
            if piece.file.fetch and not piece.path and piece.file.uri not in needed:
                self._fetcher.release(piece.file)

    def _on_usage(self, worker: str, resident: int) -> None:
        """The memory guard: a worker that has grown is replaced when it has done what it does; one that grows on
        is killed, before the kernel chooses somebody else."""
        limit = self._limits.get(worker, 2**62)
        if resident <= limit:
            return
        self._is_grown[worker] = True
        if resident > limit * 1.25:
            why = (
                f"it took {progress.size(resident)} of memory, more than the limit of {progress.size(limit)}"
            )
            self._leases.blame(worker, why)
            self._engine.replace(worker, kill=True)

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

    # Around it

    def _write_job(self) -> None:
        launch = self._launch
        schema = self._ledger.fact("schema")
        own = Path(self._staging, own_results.FOLDER)
        own.mkdir(parents=True, exist_ok=True)
        job = Job(
            manifest=launch.manifest,
            settings=launch.settings,
            # Workers write to the staging folder; what opens the place itself is not for their file.
            output=dataclasses.replace(launch.output, location="", storage={}),
            read=dataclasses.replace(
                launch.inputs.read, column_names=tuple(self._ledger.fact("column_names", ()))
            ),
            encoding=self._sink.encoding,
            staging=self._staging,
            schema=bytes.fromhex(schema) if schema else b"",
            transformations=tuple(self._ledger.fact("transformations", ())),
            model_digest=self._ledger.fact("model_digest", ""),
            own_results=str(own),
            own_logs=str(self._folder / "logs" / log_tree.SCRIPTS_OWN),
        )
        jobs.replace_file(str(self._folder / jobs.WORKER), job.to_json())

    def _memory_limit(self, resident: int, *, is_shared: bool) -> int:
        """The limit of a worker that begins with `resident` bytes. Raises JobError: it is over it already."""
        if not self._settings.memory_limit_mb and self._launch.engine != "local":
            return 2**62  # the machines of a cluster are not this one
        if not self._settings.memory_limit_mb:
            whole = processes.memory_bytes() * 0.9
            # All workers have together what they share: it is nobody's growth.
            shared = resident if is_shared else 0
            return int(shared + max(whole - shared, 0) / self._places) if whole else 2**62
        limit = self._settings.memory_limit_mb * 2**20
        if resident > limit:
            raise errors.JobError(
                f"a worker that has only loaded takes {progress.size(resident)} of memory, more than the limit of "
                f"{progress.size(limit)}",
                hint=f"penstock score --resume {self._launch.job} --memory-limit {2 * resident // 2**20}MB",
            )
        return limit

    def _publish(self) -> Published:
        began = time.perf_counter()
        self._ledger.remember(publishing=True)
        published = self._sink.publish(self._parts)
        published = own_results.publish(self._launch.output, self._staging, published)
        letters = closing.gather_dead_letters(self._ledger, self._staging, self._folder)
        self._ledger.remember(dead_letters=letters, publish_s=time.perf_counter() - began)
        if self._launch.incremental:
            known = seen.Seen(self._folder.parent, fingerprints.work(self._launch))
            known.add(self._scored_files())
            known.close()
        self._ledger.remember(published=vars(published))
        self._tidy()
        return published

    def _tidy(self) -> None:
        self._sink.discard()
        closing.discard_inputs(self._folder / "inputs")

    def _parts(self) -> Iterator[Part]:
        for outcome in self._ledger.outcomes():
            if outcome.path:
                path = str(Path(self._staging, outcome.path))
                yield Part(number=outcome.number, path=path, rows=outcome.rows, size=outcome.size)

    def _scored_files(self) -> Iterator[Any]:
        for outcome in self._ledger.outcomes():
            if not outcome.failed:
                for piece in self._ledger.mini_batch(outcome.number).pieces:
                    yield piece.file

    def _finish(self, published: Published) -> None:
        summary = closing.summary(
            self._launch, self._ledger, self._tally, published, self._workers, time.monotonic() - self._began
        )
        jobs.write_about(str(self._folder), **{**summary, "status": "done"})
        told = closing.text(summary)
        self._log.published(summary, told, time.monotonic())
        self._show.finish(summary, told)

    def _lost(self, why: str) -> errors.JobError:
        closing.gather_dead_letters(self._ledger, self._staging, self._folder)
        first = f": {self._tally.error}" if self._tally.error else ""
        where = f" (first in {self._tally.where})" if self._tally.where else ""
        return errors.JobError(
            f"job {self._launch.job} failed: {why}{first}{where}",
            detail=self._tally.traceback,
            hint=f"mend the cause, then penstock score --resume {self._launch.job}; what was scored is kept. "
            f"Logs and failed {self._noun}: {self._folder}",
        )

    def _state(self) -> dict[str, Any]:
        tally = self._tally
        elapsed = max(time.monotonic() - self._began, 1e-6)
        items = tally.items + sum(self._partial.values())
        share = tally.size / self._bytes if self._bytes else tally.mini_batches / max(self._planned, 1)
        left = elapsed * (1 - share) / share if share > 0.02 else None
        return {
            "share": round(share, 4),
            "items": items,
            "noun": self._noun,
            "rate": round((items - self._done_before) / elapsed, 1),
            "size": tally.size,
            "failed": tally.failed,
            "workers": len(self._leases.workers),
            "left_s": None if left is None else round(left, 1),
        }

    def _drain(self) -> None:
        self._show.say(
            "stopping when the mini-batches under way are done; once more stops at once", level="warning"
        )
        self._leases.close()


def _load_failure(failure: Mapping[str, Any]) -> errors.PenstockError:
    """What a nursery says of its end, as the error that it was: the data's, the output's or the scorer's."""
    message, hint = failure["message"], failure["hint"]
    kind = failure.get("kind", "")
    if kind == "OutputError":
        return errors.OutputError(message, hint=hint)
    if kind in ("DataError", "SchemaMismatch", "InputError"):
        return errors.DataError(message, hint=hint)
    return errors.StartError(message, stage=failure["stage"], detail=failure["detail"], hint=hint)
