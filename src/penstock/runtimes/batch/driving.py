"""One run of a batch job: plans, has its mini-batches scored (`loop`), publishes.

It may be killed at any point: what the ledger has is what was done, and the same command resumes.

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock import errors
from penstock.bundle import jobs
from penstock.bundle.batch import BatchLaunch
from penstock.kit import urls
from penstock.runtimes.batch import closing, loop, model_folder, own_results, resuming, stopping
from penstock.runtimes.batch.engines.interface import Engine
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.messages import Job
from penstock.runtimes.batch.planning import fingerprints, intake, seen, siblings
from penstock.runtimes.batch.reports import log_tree, progress
from penstock.runtimes.batch.sinks import registry as sinks
from penstock.runtimes.batch.sinks.interface import Part, Published
from penstock.runtimes.batch.tally import Tally

NO_PLACE = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.EMFILE,
)  # fmt: skip
"""What the machine's state is to blame for."""


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
        self._show = progress.Progress(style=launch.log_format, level=launch.log_level)
        self._tally = Tally()
        self._log = log_tree.LogTree(
            self._folder / "logs",
            self._tally,
            noun=launch.settings.noun,
            interval_s=launch.settings.monitor_interval_s,
        )
        self._workers: dict[str, dict[str, Any]] = {}
        self._began = time.monotonic()

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
        planned = self._ledger.planned()[0]
        if self._tally.mini_batches < planned:
            self._write_job()
            scoring = loop.Loop(
                self._launch,
                self._engine,
                self._ledger,
                self._stops,
                source=self._intake,
                staging=self._staging,
                tally=self._tally,
                log=self._log,
                show=self._show,
                began=self._began,
            )
            self._workers = scoring.workers
            scoring.run()
        why = self._tally.verdict(self._settings, planned)
        if why:
            raise closing.lost(self._launch, self._ledger, self._tally, self._staging, why)

    # Around it

    def _write_job(self) -> None:
        launch = self._launch
        schema = self._ledger.fact("schema")
        own = Path(self._staging, own_results.FOLDER)
        for folder in (own, *map(Path, launch.output.scripts_own)):
            folder.mkdir(parents=True, exist_ok=True)
        job = Job(
            manifest=model_folder.manifest_of(launch),
            settings=launch.settings,
            # Workers write to the staging folder; what opens the place itself is not for their file.
            output=dataclasses.replace(launch.output, location="", storage={}),
            read=dataclasses.replace(
                launch.inputs.read,
                column_names=tuple(self._ledger.fact("column_names", launch.inputs.read.column_names)),
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

    def _publish(self) -> Published:
        began = time.perf_counter()
        self._ledger.remember(publishing=True)
        published = self._sink.publish(self._parts)
        published = own_results.publish(self._launch.output, self._staging, published)
        letters = closing.gather_dead_letters(self._ledger, self._staging, self._folder)
        self._ledger.remember(dead_letters=letters, publish_s=time.perf_counter() - began)
        if self._launch.incremental:
            known = seen.Seen(self._folder.parent, fingerprints.work(self._launch))
            known.add(closing.scored_files(self._ledger, self._staging))
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
                path = f"{self._staging}/{outcome.path}"
                yield Part(
                    number=outcome.number,
                    path=path,
                    rows=outcome.rows,
                    size=outcome.size,
                    schema=outcome.schema,
                )

    def _finish(self, published: Published) -> None:
        summary = closing.summary(
            self._launch, self._ledger, self._tally, published, self._workers, time.monotonic() - self._began
        )
        jobs.write_about(str(self._folder), **{**summary, "status": "done"})
        told = closing.text(summary)
        self._log.published(summary, told, time.monotonic())
        self._show.finish(summary, told)
