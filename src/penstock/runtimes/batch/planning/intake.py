"""From a job's inputs to its plan: lists what is there, leaves out what was scored before, finds the one schema,
and writes the mini-batches to the ledger. Driver only.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.bundle.batch import BatchLaunch, ReadOptions
from penstock.errors import DataError
from penstock.kit import urls
from penstock.runtimes.batch import deletions, partitions, results, rows, worker
from penstock.runtimes.batch.formats import column_kinds, schemas
from penstock.runtimes.batch.formats import registry as formats
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.plan import MINI_BATCH_BYTES, SourceFile
from penstock.runtimes.batch.planning import nearby, planner, seen
from penstock.runtimes.batch.sources import registry as sources
from penstock.runtimes.batch.transformations import limits, rewriting

MOST_SAMPLED = {"parquet": 2000, "arrow": 200}
"""Files whose columns are looked at before any work: a header is cheap, a text must be parsed."""
TEXTS_SAMPLED, FETCHED_SAMPLED = 200, 32


class Intake:
    """The inputs of the job `launch`. `folder` takes what is fetched, of which `room` bytes may stay for the
    workers (None: as much as the disk bears)."""

    def __init__(self, launch: BatchLaunch, folder: Path, *, room: int | None = None) -> None:
        self._launch = launch
        self._sources = sources.open_sources(
            launch.inputs,
            format_of=formats.format_of,
            by_path=launch.settings.takes == "files",
            output=launch.output.location,
        )
        self._nearby = nearby.Nearby(folder, self._sources, room=room)
        self._read = launch.inputs.read
        self._headed = ""  # the one file with a header, where only one has it
        self._sampled: list[SourceFile] = []
        self._columns: dict[str, Any] = {}  # of those that were sampled, by URI
        self._per_format: dict[str, int] = {}
        self._digest = hashlib.sha256()
        self.files = self.left_out = 0
        self.size = 0

    @property
    def is_remote(self) -> bool:
        """Whether anything has to be fetched."""
        return not all(source.is_local() for source in self._sources)

    def write_plan(self, ledger: Ledger, known: seen.Seen | None) -> None:
        """List everything and keep the plan, with its schema, in the ledger. `known`: files that were scored
        before are left out. Raises DataError, and OutputError for a column to be kept that is not there."""
        settings, inputs = self._launch.settings, self._launch.inputs
        files: Iterable[SourceFile] = self._files(known)
        asked: Sequence[Mapping[str, Any]] = inputs.transformations
        if limits.are_limited(asked):
            files, asked = self._limited(list(files))
        batches = planner.plan(
            self._nearby.ahead(files, self._comes_whole),
            settings,
            self._read_of,
            near=self._near_enough,
            counted=self._launch.output.lineage
            or settings.on_error == "bisect"
            or rewriting.needs_row_numbers(asked),
            partition=lambda file: tuple(partitions.values_of(file, settings.partition_keys, asked).values()),
        )
        ledger.write_plan(batches)
        if not self.files and not self.left_out:
            raise DataError(
                "the input holds no files: " + ", ".join(self.locations()),
                hint="hidden files and files that begin with an underscore are passed over",
            )
        schema = None if settings.takes == "files" else self._schema()
        if schema is not None:
            offered = rewriting.schema_after(schema, asked) if asked else schema
            results.kept_columns(
                self._launch.output, offered, (), is_script=self._launch.manifest.code is not None
            )
        ledger.remember(
            files=self.files,
            input_bytes=self.size,
            left_out=self.left_out,
            inputs=self._digest.hexdigest()[:16],
            transformations=list(asked),
            column_names=list(self._read.column_names),
            schema=None if schema is None else schema.serialize().to_pybytes().hex(),
        )

    def locations(self) -> list[str]:
        """The inputs, for people; a database's without its password."""
        return [urls.without_secrets(location) for location in self._launch.inputs.locations]

    def fetch(self, file: SourceFile, path: str) -> None:
        """Bring `file` near. May be called from several threads. Raises DataError."""
        self._nearby.fetch(file, path)

    def close(self) -> None:
        """Let go of all connections."""
        for source in self._sources:
            source.close()

    def _files(self, known: seen.Seen | None) -> Iterator[SourceFile]:
        for index, source in enumerate(self._sources):
            unlike = True
            for file in source.files():
                self._learn_names(file, index)
                if known is not None and known.has(file):
                    self.left_out += 1
                    continue
                self.files += 1
                self.size += file.size
                self._digest.update(f"{file.uri}\0{file.size}\0{file.stamp}{file.deleted}\n".encode())
                if not source.is_local():
                    file = _at(file, index)
                if unlike:
                    self._sample(file)
                    unlike = not source.is_uniform()
                yield file

    def _limited(self, files: list[SourceFile]) -> tuple[Iterable[SourceFile], list[Mapping[str, Any]]]:
        """The files in which there are rows after all ``take`` and ``skip``, and what is to be done to them
        instead. Reads as far as it must."""
        asked = self._launch.inputs.transformations
        reader = rows.Reader(self._read, self._schema(), None, worker.CALL_ROWS)

        def tables() -> Iterator[tuple[Any, rewriting.Origin]]:
            for file in files:
                path = self._nearby.whole(file) if file.fetch else file.uri
                cuts = formats.of(file.format).cuts(path, self._read_of(file), size=MINI_BATCH_BYTES, rows=1)
                pieces = [deletions.piece_of(file, cut, path) for cut in cuts]
                for table in reader.stream(pieces):
                    places = table.column(rows.ROW)
                    if len(places):
                        data = table.drop_columns([rows.FILE, rows.ROW]).append_column(
                            rewriting.PLACE, places
                        )
                        yield data, rewriting.Origin(file.uri, places[0].as_py())
                if file.fetch:
                    self._nearby.leave(file)

        window = limits.find(asked, tables())
        within = limits.files_within(files, window, lambda file: file.uri)
        return within, limits.planned(asked, window)

    def _learn_names(self, file: SourceFile, index: int) -> None:
        """Where only the first file has a header (MLTable's ``from_first_file``): the others' columns, from it."""
        if self._read.header != "from_first_file" or self._read.column_names or file.format != "csv":
            return
        path = file.uri if self._sources[index].is_local() else self._nearby.whole(_at(file, index))
        schema = formats.of(file.format).schema(path, self._read)
        self._read = dataclasses.replace(self._read, column_names=tuple(schema.names))
        self._headed = file.uri

    def _read_of(self, file: SourceFile) -> ReadOptions:
        """How `file` is looked at: whatever is cut from it is read as all others are."""
        return self._launch.inputs.read if file.uri == self._headed else self._read

    def _comes_whole(self, file: SourceFile) -> bool:
        """Whether all of `file` must be here to plan it: it is a large text, or its header has to be cut off."""
        if not file.fetch or self._launch.settings.takes == "files":
            return False
        is_cut = file.size > MINI_BATCH_BYTES and not self._launch.settings.partition_keys
        return file.uri == self._headed or (is_cut and file.format != "parquet")

    def _near_enough(self, file: SourceFile) -> planner.Near:
        """What must be here of `file` to plan it."""
        if not file.fetch:
            return planner.Near(file.uri, file.uri)
        if self._comes_whole(file):
            path = self._nearby.whole(file)
        elif file.size <= MINI_BATCH_BYTES or self._launch.settings.partition_keys:
            return planner.Near("", "")
        else:
            path = self._nearby.end_of(file) or self._nearby.whole(file)
        if file in self._sampled:
            self._columns_of(file)  # while it is here
        return planner.Near(path, "")

    def _columns_of(self, file: SourceFile) -> Any:
        """The schema of one that was sampled, looked at once."""
        if file.uri not in self._columns:
            path = file.uri
            if file.fetch:
                is_large = file.size > MINI_BATCH_BYTES
                path = (is_large and self._nearby.end_of(file)) or self._nearby.whole(file)
            self._columns[file.uri] = formats.of(file.format).schema(path, self._read_of(file))
        return self._columns[file.uri]

    def _sample(self, file: SourceFile) -> None:
        count = self._per_format.get(file.format, 0)
        most = FETCHED_SAMPLED if file.fetch else MOST_SAMPLED.get(file.format, TEXTS_SAMPLED)
        if count < most:
            self._per_format[file.format] = count + 1
            self._sampled.append(file)

    def _schema(self) -> Any:
        """The job's schema: of all that was sampled, then the columns that files do not hold."""
        import pyarrow as pa

        if not self._sampled:
            return pa.schema([])
        kinds = {file.format for file in self._sampled}
        found = []
        for file in self._sampled:
            found.append((file.uri, self._columns_of(file)))
            if file.fetch:
                self._nearby.leave(file)
        unified = schemas.unify(
            [pair for pair in found if len(pair[1])] or found[:1], text=not kinds & {"parquet", "arrow"}
        )
        if kinds <= {"csv", "jsonl"} and not self._launch.inputs.transformations:
            expected = self._launch.inputs.expected_types
            open_ = {name: kind for name, kind in expected.items() if name not in self._read.column_types}
            unified = schemas.as_expected(unified, open_, any_as_text=kinds == {"csv"})
        types: dict[str, str] = {}
        for source in self._sources:
            types.update(source.column_types())
        for name in dict.fromkeys(name for file in self._sampled for name in file.constants):
            if name not in unified.names:
                said = [file.constants.get(name) for file in self._sampled]
                kind = column_kinds.type_of(types[name]) if name in types else _guessed(said)
                unified = unified.append(pa.field(name, kind))
        return unified


def _at(file: SourceFile, index: int) -> SourceFile:
    """`file`, which also says by which source it is fetched."""
    return dataclasses.replace(file, fetch=f"{index}:{file.fetch}")


def _guessed(said: list[str | None]) -> Any:
    """The type of folders' ``key=value``: whole numbers are numbers, as Hive's readers have it."""
    import pyarrow as pa

    def is_number(value: str) -> bool:
        return value.lstrip("-").isdecimal() and len(value) < 19 and str(int(value)) == value

    return pa.int64() if all(value is None or is_number(value) for value in said) else pa.string()
