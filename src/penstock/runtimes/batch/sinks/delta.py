"""A Delta table, here or in an object store: all results in one commit of its log.

The commit carries an application transaction, ``penstock-ID``, which the table keeps: who publishes again after a
kill asks the table, not its own memory, whether the commit was made. Files of a commit that was never made stay
in the folder without being part of the table, as Delta has it; ``VACUUM`` removes them.

The rows go through Delta's own writer: it knows partitions, constraints and statistics of tables that others
have made.
"""

from __future__ import annotations

import contextlib
import difflib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import parquet, tables
from penstock.runtimes.batch.sinks import places, receipts, schemas, staged
from penstock.runtimes.batch.sinks.interface import Part, Published
from penstock.runtimes.batch.sources import addresses

_RESUME = "put it right, then resume the job: everything that is scored is kept"


class DeltaSink:
    """See `penstock.runtimes.batch.sinks.interface`."""

    encoding = "parquet"

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._output = output
        self._job = job
        self._receipt = receipts.Receipt(folder)
        self._staging = Path(folder) / "staged"
        self._remote = bool(addresses.scheme_of(output.location))
        self._options = storage_options(output.storage) if self._remote else {}

    def check(self) -> None:
        """See the interface."""
        if self._receipt.load():
            return  # we have begun to publish: the check was passed, and what is there may be ours
        mode, shown = self._output.mode, addresses.shown(self._output.location)
        if mode == "upsert" and not self._output.key:
            raise OutputError(
                "upsert needs the columns by which a row is known",
                hint="name them with --key, for example --key id",
            )
        with self._translated():
            table = self._table()
        if table is None:
            if not self._remote:
                self._check_local(Path(self._output.location))
            return
        if mode == "error":
            raise OutputError(
                f"there is a Delta table at {shown} already",
                hint="choose another --output, or say --if-exists append, replace, or upsert with --key",
            )
        if mode == "upsert":
            _check_names(self._output.key, _names(table), "--key names the column")

    def _check_local(self, place: Path) -> None:
        if not place.exists():
            places.check_can_be_made(place)
            return
        if not place.is_dir():
            raise OutputError(
                f"{place} is a file, and a Delta table is a folder", hint="choose another --output"
            )
        if places.has_content(place):
            raise OutputError(
                f"{place} holds files and is no Delta table",
                hint="choose another --output, or an empty folder",
            )
        places.check_writable(place)

    def staging(self) -> str:
        """See the interface."""
        places.make_folder(self._staging)
        return str(self._staging)

    def publish(self, parts: Callable[[], Iterable[Part]]) -> Published:
        """See the interface."""
        published = self._receipt.published()
        if published is not None:
            return published
        saved = self._receipt.load()
        if "id" not in saved:
            # A job's name is unique in one folder only, and the table is everybody's.
            saved = {"id": f"penstock-{uuid.uuid4().hex}"}
            self._receipt.save(**saved)
        chosen = staged.with_rows(staged.whole(parts()))
        with self._translated():
            table = self._table()
            if table is None or table.transaction_version(saved["id"]) is None:
                if chosen:
                    self._commit(table, chosen, saved["id"])
                table = self._table()
        rows = sum(part.rows for part in chosen)
        where = addresses.shown(self._output.location)
        note = f"version {table.version()} of the table" if table is not None else ""
        return self._receipt.finish(Published(where=where, files=len(chosen), rows=rows, size=0, note=note))

    def _commit(self, table: Any, parts: Sequence[Part], id: str) -> None:  # noqa: A002 - the id of the transaction
        import deltalake
        from deltalake.transaction import Transaction

        schema = delta_schema(schemas.common(parts).schema)
        mode = self._output.mode
        if table is not None and mode != "replace":
            _check_names(
                schema.names, _names(table), f"the table {addresses.shown(self._output.location)} lacks"
            )
        properties = deltalake.CommitProperties(
            app_transactions=[Transaction(id, 1)], custom_metadata={"penstockJob": self._job}
        )
        rows = pa.RecordBatchReader.from_batches(schema, _batches(parts, schema))
        if table is not None and mode == "upsert":
            self._merge(table, parts, rows, properties)
            return
        write: Any = deltalake.write_deltalake  # its overloads tell modes apart by literals
        write(
            table if table is not None else self._output.location,
            rows,
            mode={"replace": "overwrite", "upsert": "error"}.get(mode, mode),
            schema_mode="overwrite" if mode == "replace" else None,
            storage_options=self._options or None,
            commit_properties=properties,
        )

    def _merge(self, table: Any, parts: Sequence[Part], rows: Any, properties: Any) -> None:
        key = self._output.key
        _check_names(key, rows.schema.names, "the results lack the column of --key,")
        _check_unique(parts, key)
        same = " AND ".join(f"there.{_quoted(name)} = ours.{_quoted(name)}" for name in key)
        merger = table.merge(
            rows, predicate=same, source_alias="ours", target_alias="there", commit_properties=properties
        )
        merger.when_matched_update_all().when_not_matched_insert_all().execute()

    def _table(self) -> Any:
        """The ``DeltaTable`` that is there now, or None."""
        import deltalake

        options = self._options or None
        if not self._remote and not (Path(self._output.location) / "_delta_log").is_dir():
            return None
        if not deltalake.DeltaTable.is_deltatable(self._output.location, options):
            return None
        return deltalake.DeltaTable(self._output.location, storage_options=options)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """What the library says against us becomes an OutputError without secrets."""
        try:
            import deltalake  # noqa: F401 - whether it is there
        except ImportError as error:
            raise OutputError(
                "Delta tables need the library deltalake, which is not installed",
                hint="pip install 'penstock[delta]'",
            ) from error
        try:
            yield
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 - that is what Rust's errors come as
            # After the first line comes a backtrace.
            secrets = addresses.secrets_of(self._output.location, self._output.storage)
            text = addresses.redacted(str(error).strip().partition("\n   0:")[0], secrets)
            where = addresses.shown(self._output.location)
            raise OutputError(f"the Delta table at {where} cannot be written: {text}", hint=_RESUME) from None

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._staging)


def storage_options(storage: Mapping[str, str]) -> dict[str, str]:
    """fsspec's names for the options of an object store, as Delta's library calls them. Others stay as they are."""
    options: dict[str, str] = {}
    for name, value in storage.items():
        if name == "connection_string":
            pairs = dict(part.split("=", 1) for part in value.split(";") if "=" in part)
            known = {"AccountName": "account_name", "AccountKey": "account_key", "BlobEndpoint": "endpoint"}
            options.update({new: pairs[old] for old, new in known.items() if old in pairs})
        else:
            options[_OPTION_NAMES.get(name, name)] = value
    endpoint = options.get("AWS_ENDPOINT_URL", options.get("endpoint", ""))
    if urlsplit(endpoint).scheme == "http":
        options["allow_http"] = "true"
    return options


_OPTION_NAMES = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "key": "AWS_ACCESS_KEY_ID",
    "secret": "AWS_SECRET_ACCESS_KEY",
    "token": "AWS_SESSION_TOKEN",
    "region": "AWS_REGION",
    "region_name": "AWS_REGION",
}


def delta_schema(schema: Any) -> Any:
    """`schema` in types that Delta has: unsigned integers one step wider, 16-bit floats as 32, times of day as
    text, durations as integers in their unit, columns of nothing but missing values as text."""
    return pa.schema([pa.field(one.name, _delta_type(one.type)) for one in schema])


def _delta_type(kind: Any) -> Any:
    types = pa.types
    if types.is_struct(kind):
        return pa.struct([pa.field(one.name, _delta_type(one.type), one.nullable) for one in kind])
    if types.is_map(kind):
        return pa.map_(_delta_type(kind.key_type), _delta_type(kind.item_type))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_delta_type(kind.value_type))
    simple = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.decimal128(20, 0),
        pa.float16(): pa.float32(),
        pa.null(): pa.string(),
    }
    if types.is_time(kind):
        return pa.string()
    return pa.int64() if types.is_duration(kind) else simple.get(kind, kind)


def _batches(parts: Sequence[Part], schema: Any) -> Iterator[Any]:
    for part in parts:
        for table in parquet.groups_of(part.path):
            yield from tables.fitted(table, schema).to_batches()


def _names(table: Any) -> list[str]:
    return [one.name for one in table.schema().fields]


def _check_names(wanted: Sequence[str], names: Sequence[str], what: str) -> None:
    for name in wanted:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            raise OutputError(
                f"{what} {name!r}, which is not among its columns: {', '.join(names)}",
                hint=f"did you mean {close[0]}?" if close else "choose what is written with --keep-columns",
            )


def _check_unique(parts: Sequence[Part], key: Sequence[str]) -> None:
    """Raises OutputError where two results have the same key, or one has none: what a merge would make of that
    depends on chance. The keys of all rows are in memory together."""
    import pyarrow.parquet as pq

    read = [pq.read_table(part.path, columns=list(key)) for part in parts]
    schema = tables.unified([one.schema for one in read], what="mini-batches")
    keys = pa.concat_tables([tables.fitted(one, schema) for one in read])
    if any(keys.column(name).null_count for name in key):
        raise OutputError(
            f"a result has no value for its key ({', '.join(key)})",
            hint="choose a --key that every row has, or --if-exists append",
        )
    counts = keys.group_by(list(key)).aggregate([([], "count_all")])
    if counts.num_rows < keys.num_rows:
        twice = counts.filter(pa.compute.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
        shown = ", ".join(f"{name}={twice[name]!r}" for name in key)
        raise OutputError(
            f"two results have the same key, {shown}, so it is not clear which of them to keep",
            hint="choose a --key that is unique in the input, or --if-exists append",
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
