"""Delta tables: those of a table's files that are its content at one version.

The log says which files there are and what their partitions hold; the files themselves are Parquet, and are brought
near like any others. Data files never change, so that a job which was planned on one version ends on it, unless
somebody vacuums it away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError, TableNotFoundError

from penstock.errors import DataError
from penstock.runtimes.batch import deletions
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import addresses
from penstock.runtimes.batch.sources.interface import Source

_HARMLESS = frozenset(
    ("timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "typeWidening", "typeWidening-preview")
)
_DELETIONS, _MAPPING = "deletionVectors", "columnMapping"
_LOOSELY = "delta.columnMapping.mode"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Where a table is: `address` and `options` for the library, `shown` for people, `secrets` for nobody."""

    address: str
    shown: str
    options: Mapping[str, str]
    secrets: Sequence[str] = ()


class DeltaSource:
    """See `penstock.runtimes.batch.sources.interface`.

    `file_at` makes the value of the data file at a path below the table, from its bytes and its modification time
    as the log knows them; `columns_of` says which columns such a file has. `carrier` brings it here.
    """

    def __init__(
        self,
        table: Table,
        carrier: Source,
        *,
        version: str,
        timestamp: str,
        kind: str,
        file_at: Callable[[str, int, int], SourceFile],
        columns_of: Callable[[SourceFile], Sequence[str]],
    ) -> None:
        self._table = table
        self._carrier = carrier
        self._version = version
        self._timestamp = timestamp
        self._kind = kind
        self._file_at = file_at
        self._columns_of = columns_of
        self._types: dict[str, str] = {}

    def files(self) -> Iterator[SourceFile]:
        """As `Source.files`."""
        found = self._opened()
        self._refuse(found)
        schema = pa.schema(found.schema().to_arrow())
        self._types = {field.name: str(field.type) for field in schema}
        actions = pa.table(found.get_add_actions()).sort_by("path")
        if actions.num_rows == 0:
            raise DataError(f"the Delta table {self._table.shown} has no rows at version {found.version()}")
        partitions = found.metadata().partition_columns
        held = [name for name in schema.names if name not in partitions]
        deleted = self._deleted(found)
        listed = {unquote(path) for path in actions.column("path").to_pylist()} if deleted else set()
        if not deleted.keys() <= listed:
            stranger = min(deleted.keys() - listed)
            raise DataError(
                f"the Delta table {self._table.shown} says what is deleted of {stranger}, none of its files"
            )
        for batch in actions.to_batches(max_chunksize=1000):
            for action in batch.to_pylist():
                yield self._file(action, partitions, schema, held, deleted)

    def column_types(self) -> Mapping[str, str]:
        """As `Source.column_types`: the table's schema."""
        return self._types

    def is_local(self) -> bool:
        """As `Source.is_local`."""
        return self._carrier.is_local()

    def is_uniform(self) -> bool:
        """As `Source.is_uniform`."""
        return False

    def fetch(self, file: SourceFile, path: str) -> None:
        """As `Source.fetch`."""
        self._carrier.fetch(file, path)

    def fetch_end(self, file: SourceFile, path: str) -> bool:
        """As `Source.fetch_end`."""
        return self._carrier.fetch_end(file, path)

    def close(self) -> None:
        """As `Source.close`."""
        self._carrier.close()

    def _file(
        self,
        action: Mapping[str, Any],
        partitions: Sequence[str],
        schema: pa.Schema,
        held: Sequence[str],
        deleted: Mapping[str, str],
    ) -> SourceFile:
        path = unquote(action["path"])
        if "://" in path or path.startswith("/"):
            raise DataError(
                f"the Delta table {self._table.shown} has files of another place: {addresses.shown(path)}",
                hint="a shallow clone cannot be read here; make a deep one",
            )
        file = self._file_at(path, action["size_bytes"], action["modification_time"])
        values = action.get("partition") or {}
        constants = {name: _text(values.get(name), schema.field(name).type) for name in partitions}
        # A column that the table was given after the file was written is not in the file. The log's statistics
        # show most that are; only where they do not is the file itself asked.
        counted = action.get("null_count") or {}
        if any(counted.get(name) is None for name in held):
            there = set(self._columns_of(file))
            constants.update((name, None) for name in held if name not in there)
        return SourceFile(
            uri=file.uri,
            size=file.size,
            stamp=file.stamp,
            format=self._kind,
            constants=constants,
            fetch=file.fetch,
            deleted=deleted.get(path, ""),
        )

    def _deleted(self, found: deltalake.DeltaTable) -> dict[str, str]:
        """Which rows of which file are gone, by the file's path in the table. Raises DataError where that cannot be
        known, or where whole files are asked for."""
        if _DELETIONS not in (found.protocol().reader_features or ()):
            return {}
        top = unquote(found.table_uri)
        deleted = {}
        try:
            for batch in found.deletion_vectors():
                for path, kept in zip(*(pa.record_batch(batch).columns), strict=True):
                    below = unquote(path.as_py()).removeprefix(top).lstrip("/")
                    deleted[below] = deletions.packed(pc.invert(kept.values))
        except AttributeError:
            raise DataError(
                f"the Delta table {self._table.shown} has deletion vectors, which this deltalake does not read",
                hint=f"pip install --upgrade deltalake (here is {deltalake.__version__})",
            ) from None
        except (DeltaError, ValueError, OSError) as error:
            text = addresses.redacted(str(error).strip(), self._table.secrets)[:300].partition("\n")[0]
            raise DataError(
                f"what is deleted in the Delta table {self._table.shown} cannot be read: {text}"
            ) from None
        if deleted and self._kind == "files":
            raise DataError(
                f"the Delta table {self._table.shown} has rows that are deleted but still in its files (deletion "
                "vectors), and the script would read those files",
                hint="let run() take a DataFrame: --pass dataframe",
            )
        return deleted

    def _opened(self) -> deltalake.DeltaTable:
        shown = self._table.shown
        options = dict(self._table.options)
        try:
            if self._timestamp:
                found = deltalake.DeltaTable(self._table.address, storage_options=options)
                found.load_as_version(self._timestamp)
                return found
            version = int(self._version) if self._version else None
            return deltalake.DeltaTable(self._table.address, version=version, storage_options=options)
        except TableNotFoundError:
            raise DataError(
                f"there is no Delta table at {shown}", hint="its folder is the one with _delta_log in it"
            ) from None
        except (DeltaError, ValueError, OSError) as error:
            asked = self._version or self._timestamp
            text = addresses.redacted(str(error).strip(), self._table.secrets).splitlines()[0][:300]
            raise DataError(
                f"the Delta table {shown} cannot be opened{f' as of {asked}' if asked else ''}: {text}",
                hint="version_as_of is a whole number, timestamp_as_of a time as 2024-01-31T12:00:00Z; versions go "
                "when the log is cleaned"
                if asked
                else "",
            ) from None

    def _refuse(self, found: deltalake.DeltaTable) -> None:
        """What Parquet files alone do not say, we cannot read: better no rows than wrong ones."""
        shown = self._table.shown
        features = set(found.protocol().reader_features or ())
        mode = found.metadata().configuration.get(_LOOSELY, "none")
        if mode != "none":
            raise DataError(
                f"the Delta table {shown} keeps its columns under other names (column mapping, mode {mode})",
                hint="write it anew without delta.columnMapping.mode, or export it to Parquet",
            )
        unknown = sorted(features - _HARMLESS - {_DELETIONS, _MAPPING})
        if unknown:
            raise DataError(
                f"the Delta table {shown} needs what is not known here: {', '.join(unknown)}",
                hint="export it to Parquet",
            )


def _text(value: Any, kind: pa.DataType) -> str | None:
    """A partition's value as text from which Arrow makes the same value again."""
    if value is None:
        return None
    text = pa.scalar(value, kind).cast(pa.string()).as_py()
    return None if text is None else str(text)
