"""The worker of a batch job: a plain blocking loop around one BatchScorer.

It connects to its engine, says what it holds, then takes an order, reads, scores and stages that mini-batch,
says what came of it, and takes the next. It never decides: which rows, how often and until when is the driver's.
It ends when it is told to retire or when its engine is gone.

Runs in the deployment's own environment: Python 3.8; pyarrow where there are rows.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time
import traceback
import zlib
from typing import Any, Callable, Iterator, Mapping

from penstock.errors import JobError, OutputError, PenstockError
from penstock.kit import context, frames
from penstock.runtimes.batch import calls, messages, partitions, results, rows
from penstock.runtimes.batch.calls import Calls, EngineGoneError, EnoughError
from penstock.runtimes.batch.dead_letters import DeadLetters
from penstock.runtimes.batch.encoders import registry as encoders
from penstock.runtimes.batch.messages import Job, Order, Outcome
from penstock.runtimes.batch.plan import MINI_BATCH_BYTES
from penstock.runtimes.batch.transformations import rewriting
from penstock.scoring.interface import BatchScorer

CALL_ROWS = 65_536
"""Rows of one call on a model of ours: large enough that calling costs nothing, small enough to stay in cache."""


class Worker:
    """One process, one scorer. `engine` is the path of the engine's socket."""

    def __init__(self, scorer: BatchScorer, job: Job, *, engine: str, about: Mapping[str, Any]) -> None:
        self._scorer = scorer
        self._job = job
        self._engine = engine
        self._about = about
        self._pid = os.getpid()
        # What a worker stages is its own: one that outlives its job's driver for a while must not meet the files of
        # a resumed job, which counts attempts from 1 again.
        self._mark = os.urandom(4).hex()
        self._schema = read_schema(job.schema)
        is_script = job.manifest.code is not None
        offered = offered_schema(job)
        self._kept = results.kept_columns(job.output, offered, scorer.columns, is_script=is_script)
        self._results = results.Results(job.output, job.encoding, self._kept, job.model_digest)

    def run(self) -> None:
        """Work until retired, or until the engine is gone."""
        if self._schema is not None:
            import pyarrow as pa

            # One lane: workers, not threads, are how a job uses processors.
            pa.set_cpu_count(1)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._engine)
        link = frames.FrameSocket(sock)
        link.send(frames.frame(messages.HELLO, json.dumps(dict(self._about, pid=self._pid)).encode()))
        try:
            while True:
                kind, payload = link.receive()
                if kind == messages.RETIRE:
                    self._scorer.close()
                    return
                if kind == messages.ORDER:
                    order = Order.from_payload(payload)
                    context.request_id = f"mini-batch {order.number}"
                    outcome = self._perform(order, link)
                    context.request_id = ""
                    link.send(frames.frame(messages.DONE, json.dumps(outcome.to_json()).encode()))
        except (EOFError, OSError):
            return
        finally:
            sock.close()

    def _perform(self, order: Order, link: frames.FrameSocket) -> Outcome:
        """Read, score and stage a mini-batch."""
        number = order.number

        def tell(phase: str, start: int = 0, stop: int = 0) -> None:
            if os.getpid() != self._pid:
                # A script has forked and let the child return from `run`: one of the two may go on.
                sys.stdout.flush()
                os._exit(0)
            try:
                link.send(frames.frame(messages.AT, json.dumps([number, phase, start, stop]).encode()))
            except OSError as error:
                raise EngineGoneError from error

        staging = self._job.staging
        name = f"{number:08d}-{order.attempt}-{self._mark}"
        began, cpu = time.perf_counter(), time.process_time()
        letters = DeadLetters(os.path.join(staging, f"{name}.dead.jsonl"))
        calling = Calls(
            self._scorer,
            self._job.settings,
            order,
            letters,
            lambda start, stop: tell(messages.CALLING, start, stop),
            lambda start, stop: tell(messages.WRITING, start, stop),
            partition=partitions.values_of(
                order.pieces[0].file, self._job.settings.partition_keys, self._job.transformations
            ),
            is_script=self._job.manifest.code is not None,
        )
        path = os.path.join(staging, f"{name}.part")
        written = Written(path, self._job.encoding)
        outcome: dict[str, Any] = {}
        try:
            tell(messages.READING)
            for data, scored in self._scored(order, calling, lambda: tell(messages.READING)):
                for part in self._results.of(data, scored.content):
                    written.add(part)
            if not calling.items and self._job.settings.takes == "arrow":
                self._add_columns(written, order)
            tell(messages.WRITING)
            written.close()
            outcome = written.facts()
        except EnoughError:
            written.discard()
        except Exception as error:  # noqa: BLE001 - the edge: a worker that died of it would be asked again
            written.discard()
            letters.discard()
            files = len(order.pieces) if self._job.settings.takes == "files" else 0
            outcome = _failure_of(error, calling, items=files)
        letters.close()
        took = time.perf_counter() - began
        return Outcome(
            number=number,
            attempt=order.attempt,
            items=outcome.pop("items", calling.items),
            failed=outcome.pop("failed", calling.failed),
            successes=calling.successes,
            dead_letters=os.path.basename(letters.path),
            error=outcome.pop("error", calling.error),
            traceback=outcome.pop("traceback", calling.traceback),
            hint=outcome.pop("hint", ""),
            reading_s=max(took - calling.scoring_s - written.seconds, 0.0),
            scoring_s=calling.scoring_s,
            writing_s=written.seconds,
            cpu_s=time.process_time() - cpu,
            peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            **outcome,
        )

    def _scored(self, order: Order, calling: Calls, is_reading: Callable[[], None]) -> Iterator[Any]:
        """Each part that was scored, with its result. `is_reading` is told while a partition is gathered: no clock
        bounds that as a whole."""
        if self._job.settings.takes == "files":
            paths = [piece.path or piece.file.uri for piece in order.pieces]
            uris = {path: piece.file.uri for path, piece in zip(paths, order.pieces)}
            marks = [0, *(mark for mark in calling.splits(order) if 0 < mark < len(paths)), len(paths)]
            for start, stop in zip(marks, marks[1:]):
                for piece in order.pieces[start:stop]:
                    rows.check_unchanged(piece)
                for given, scored in calling.score(paths[start:stop], start):
                    yield [uris[path] for path in given], scored
                for piece in order.pieces[start:stop]:
                    rows.check_unchanged(piece, may_be_gone=True)  # a script may clear away what it has read
            return
        size = calls.spans(
            self._job.settings, getattr(self._scorer, "row_independent", True), default=CALL_ROWS
        )
        reader = rows.Reader(
            self._job.read,
            self._schema,
            self._wanted(),
            min(size, CALL_ROWS),
            self._job.transformations,
        )
        is_apart = self._job.settings.on_error == "bisect"
        uncut = self._bytes_of_calls(order)
        tables = reader.stream(order.pieces, calling.refuse if is_apart else None)
        if uncut:
            tables, size = rows.measured(tables, uncut)
        if self._job.settings.partition_keys:
            tables = _telling(tables, is_reading)
        at = 0
        for table in rows.in_calls(tables, rows.call_sizes(size, calling.splits(order))):
            yield from calling.score(table, at)
            at += table.num_rows

    def _add_columns(self, written: Written, order: Order) -> None:
        """No rows at all: what columns there would be is seen from the result of a made-up row. Where the model
        refuses it, nobody knows."""
        try:
            row = rows.made_up(offered_schema(self._job), order.pieces[0])
            results = [part.slice(0, 0) for part in self._results.of(row, self._scorer.score(row).content)]
        except Exception:  # noqa: BLE001 - a model may raise anything
            return
        for result in results:
            written.add(result)

    def _bytes_of_calls(self, order: Order) -> int:
        """How many bytes a script's calls shall have where rows are measured in bytes and the plan could not cut
        them so: a row group, a compressed text, a file that was fetched whole. Else 0."""
        settings = self._job.settings
        if settings.takes != "frame" or settings.mini_batch_unit != "bytes":
            return 0
        wanted = settings.mini_batch_size or MINI_BATCH_BYTES
        return wanted if sum(piece.cut.size for piece in order.pieces) > 2 * wanted else 0

    def _wanted(self) -> list[str] | None:
        """The input's columns that scoring and output need, in the input's order; None: all."""
        if self._scorer.columns is None:
            return None
        wanted = {*self._scorer.columns, *self._kept}
        if self._job.transformations:
            wanted = {*rewriting.columns_before(self._job.transformations, self._schema, list(wanted))}
        # At least one: a table without columns has no rows to count.
        return [name for name in self._schema.names if name in wanted] or self._schema.names[:1]


def _telling(tables: Iterator[Any], tell: Callable[[], None]) -> Iterator[Any]:
    """`tables` again, and `tell` called for each."""
    for table in tables:
        tell()
        yield table


class Written:
    """The staged result of a mini-batch, opened with its first table."""

    def __init__(self, path: str, encoding: str) -> None:
        self._path = path
        self._encoding = encoding
        self._encoder: Any = None
        self._rows = 0
        self.seconds = 0.0

    def add(self, content: Any) -> None:
        """Append `content`. Raises OutputError."""
        began = time.perf_counter()
        try:
            self._open().write(content)
        except OSError as error:
            raise _no_room(self._path, error) from error
        finally:
            self.seconds += time.perf_counter() - began
        self._rows += len(content)

    def close(self) -> None:
        """Finish the file. Raises OutputError."""
        began = time.perf_counter()
        try:
            if self._encoder is not None:
                self._encoder.close()
        except OSError as error:
            raise _no_room(self._path, error) from error
        finally:
            self.seconds += time.perf_counter() - began

    def facts(self) -> dict[str, Any]:
        """Path, size, checksum, rows and schema, for the outcome; no path where nothing was written."""
        if self._encoder is None:
            return {}
        crc = size = 0
        with open(self._path, "rb") as file:
            while True:
                chunk = file.read(1 << 20)
                if not chunk:
                    break
                crc = zlib.crc32(chunk, crc)
                size += len(chunk)
        return {
            "path": os.path.basename(self._path),
            "size": size,
            "crc": crc,
            "rows": self._rows,
            "schema": getattr(self._encoder, "schema_digest", ""),
        }

    def discard(self) -> None:
        """Remove what was written."""
        if self._encoder is not None and os.path.exists(self._path):
            os.unlink(self._path)

    def _open(self) -> Any:
        if self._encoder is None:
            self._encoder = encoders.open_encoder(self._encoding, self._path)
        return self._encoder


def read_schema(data: bytes) -> Any:
    """The ``pyarrow.Schema`` in its IPC form; None for nothing."""
    if not data:
        return None
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(data))


def offered_schema(job: Job) -> Any:
    """The ``pyarrow.Schema`` of what a scorer gets: the input's, after all transformations; None for files."""
    schema = read_schema(job.schema)
    if schema is None or not job.transformations:
        return schema
    return rewriting.schema_after(schema, job.transformations)


def _failure_of(error: BaseException, calling: Calls, *, items: int) -> dict[str, Any]:
    """What to say of a mini-batch that cannot be read or staged: all of it has failed, `items` at least."""
    message = error.message if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}"
    items = max(calling.items, items, 1)
    return {
        "error": message,
        "hint": error.hint if isinstance(error, PenstockError) else "",
        "traceback": "" if isinstance(error, PenstockError) else traceback.format_exc(),
        "fatal": isinstance(error, (OutputError, JobError)),
        "items": items,
        "failed": items,
    }


def _no_room(path: str, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write to {os.path.dirname(path)}: {error.strerror or error}",
        hint="make room, then resume the job",
    )
