"""All that crosses between a batch job's driver and its workers: frames of JSON over a Unix socket.

Driver to worker: ``ORDER`` (a lease: what to read, score and stage), ``RETIRE``. Worker to driver: ``HELLO``,
``AT`` (what it begins, so that whoever dies can be blamed on its rows; what is written after a call is that
call's), ``DONE`` (an outcome). The job itself
(`Job`) goes to the nursery with its order, once.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Mapping

from penstock.bundle.batch import BatchSettings, Output, ReadOptions, tuples
from penstock.bundle.manifest import Manifest
from penstock.kit import frames
from penstock.runtimes.batch.plan import Cut, Piece, SourceFile

HELLO, ORDER, RETIRE, AT, DONE = 1, 2, 3, 4, 5

READING, CALLING, WRITING = "reading", "calling", "writing"
"""The phases of a lease. The deadline of `BatchSettings.timeout_s` is for each call alone."""


@dataclass(frozen=True)
class Job:
    """What every worker of a job knows from birth. `schema` is the input's Arrow schema in IPC form, or empty
    where files are handed over. `model_digest` goes into the lineage. `own_results` is the folder in which a
    script may write for itself (``AZUREML_BI_OUTPUT_PATH``), `own_logs` that for its own logs
    (``EntryScript().log_dir``, which has a folder for each machine there)."""

    manifest: Manifest
    settings: BatchSettings
    output: Output
    read: ReadOptions
    encoding: str
    staging: str
    schema: bytes = b""
    transformations: tuple[Mapping[str, Any], ...] = ()
    model_digest: str = ""
    own_results: str = ""
    own_logs: str = ""

    def to_json(self) -> str:
        """One line of JSON; `from_json` reverses it."""
        return json.dumps(
            {
                "manifest": self.manifest.to_json(),
                "settings": dataclasses.asdict(self.settings),
                "output": dataclasses.asdict(self.output),
                "read": dataclasses.asdict(self.read),
                "encoding": self.encoding,
                "staging": self.staging,
                "schema": base64.b64encode(self.schema).decode(),
                "transformations": list(self.transformations),
                "model_digest": self.model_digest,
                "own_results": self.own_results,
                "own_logs": self.own_logs,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The reverse of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        return cls(
            manifest=Manifest.from_json(raw["manifest"]),
            settings=BatchSettings(**tuples(raw["settings"])),
            output=Output(**tuples(raw["output"])),
            read=ReadOptions(**tuples(raw["read"])),
            encoding=raw["encoding"],
            staging=raw["staging"],
            schema=base64.b64decode(raw["schema"]),
            transformations=tuple(raw["transformations"]),
            model_digest=raw["model_digest"],
            own_results=raw["own_results"],
            own_logs=raw["own_logs"],
        )


@dataclass(frozen=True)
class Order:
    """A lease of one mini-batch. `dead` are rows (files, for ``files``) that have killed or hung workers too
    often, ``(start, stop, why)``, not to be tried again; `splits` are places where calls must be cut to find
    out whose fault it is. Rows count from 0 within the mini-batch. `failures_allowed` is how many items may
    still fail before the job does; -1: any number."""

    number: int
    attempt: int
    pieces: tuple[Piece, ...]
    dead: tuple[tuple[int, int, str], ...] = ()
    splits: tuple[int, ...] = ()
    failures_allowed: int = -1

    def to_frame(self) -> bytes:
        """The frame; `from_payload` reads its payload."""
        raw = {
            "number": self.number,
            "attempt": self.attempt,
            "pieces": [piece_to_json(piece) for piece in self.pieces],
            "dead": self.dead,
            "splits": self.splits,
            "failures_allowed": self.failures_allowed,
        }
        return frames.frame(ORDER, json.dumps(raw).encode())

    @classmethod
    def from_payload(cls, payload: bytes) -> Order:
        """The reverse of `to_frame`."""
        raw = json.loads(payload)
        return cls(
            number=raw["number"],
            attempt=raw["attempt"],
            pieces=tuple(piece_from_json(piece) for piece in raw["pieces"]),
            dead=tuple((start, stop, why) for start, stop, why in raw["dead"]),
            splits=tuple(raw["splits"]),
            failures_allowed=raw["failures_allowed"],
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a mini-batch. `path` is the staged result, relative to the staging folder, `crc` its CRC-32;
    `dead_letters` the staged file of failed rows, or empty. `items` went in, `failed` of them failed (rows, or
    files for ``files``), `successes` were returned, `rows` are in the result. `error` and `traceback` are of
    the first failure. Seconds: `reading`, `scoring` and `writing` of wall time, `cpu` of all; `peak_bytes` is
    the worker's largest resident size so far. `schema` is the same for results of the same columns and types; empty
    where nobody knows."""

    number: int
    attempt: int
    path: str = ""
    schema: str = ""
    size: int = 0
    crc: int = 0
    rows: int = 0
    items: int = 0
    failed: int = 0
    successes: int = 0
    dead_letters: str = ""
    error: str = ""
    traceback: str = ""
    hint: str = ""
    """What to do about it."""
    fatal: bool = False
    """The error is not this mini-batch's: no other would fare better (a column that collides, a full disk)."""
    reading_s: float = 0.0
    scoring_s: float = 0.0
    writing_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict, for ``Outcome(**raw)``."""
        return dict(vars(self))  # all plain, and there is one for every mini-batch


def piece_to_json(piece: Piece) -> list[Any]:
    """A piece as a flat list, for a plan of a million files should be small; of deleted rows only its own."""
    file, cut = piece.file, piece.cut
    return [
        file.uri, file.size, file.stamp, file.format, dict(file.constants), file.fetch,
        cut.start, cut.stop, cut.size, cut.rows, cut.first_row, piece.path, piece.deleted,
    ]  # fmt: skip


def piece_from_json(raw: list[Any]) -> Piece:
    """The reverse of `piece_to_json`."""
    return Piece(SourceFile(*raw[:6]), Cut(*raw[6:11]), *raw[11:])
