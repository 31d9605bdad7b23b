"""Which source reads a location. The concrete ones are imported when one is needed: a job on local files must not
wait for the libraries of a cloud."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from penstock.bundle.batch import Inputs
from penstock.errors import DataError
from penstock.runtimes.batch.sources import addresses, local, selection
from penstock.runtimes.batch.sources.interface import Reading, Source

_FILES_BY_NAME = ("delta", "mltable")
"""Formats that say what holds the files, not what the files are."""

_AS_OF = frozenset(("version_as_of", "timestamp_as_of"))
"""Storage options that say which state of a Delta table is read, as MLTable calls them."""

_DATABASES = (
    "postgresql", "postgres", "sqlite", "mysql", "mariadb", "mssql", "oracle", "duckdb", "cockroachdb", "redshift",
    "snowflake", "bigquery", "trino", "databricks", "clickhouse", "db2", "hana", "teradatasql",
)  # fmt: skip
"""Schemes that are databases; any other that SQLAlchemy knows is meant by the format ``sql``."""


def open_sources(
    inputs: Inputs,
    *,
    format_of: Callable[[str], str],
    by_path: bool = False,
    environment: Mapping[str, str] | None = None,
    output: str = "",
) -> list[Source]:
    """A source for each of the locations, in their order. No file is listed yet; of a remote folder it is asked
    whether it is a Delta table.

    `format_of` says a file's format by its name, empty for none; `by_path`: the files are handed to a script;
    `environment`: where credentials and datastores are looked up (None: the process's own); `output`: the place of
    the results, whose storage options are said together with the input's.
    Raises DataError for a location that nothing here reads, and for a storage option that nobody knows.
    """
    variables = os.environ if environment is None else environment
    said = "" if inputs.format in _FILES_BY_NAME else inputs.format
    reading = Reading(of_name=format_of, format=said, by_path=by_path, nested=inputs.nested)
    known: set[str] = set()
    sources: list[Source] = []
    try:
        for location in inputs.locations:
            sources.append(_open(location, inputs, reading, variables, known))
        if output and not known.issuperset(inputs.storage):
            from penstock.runtimes.batch.sources import openings

            known |= openings.options_of(output, inputs.storage, variables)
        _refuse_unknown(inputs.storage, known)
    except BaseException:
        for source in sources:
            source.close()
        raise
    return sources


def _open(
    location: str, inputs: Inputs, reading: Reading, environment: Mapping[str, str], known: set[str]
) -> Source:
    scheme = addresses.scheme_of(location)
    if scheme == "azureml":
        location = addresses.mapped(location, inputs.storage, environment)
        scheme = addresses.scheme_of(location)
    if scheme == "file":
        location, scheme = unquote(location.partition("://")[2]), ""
    if not scheme:
        return _open_local(location, inputs, reading, known)
    if inputs.format == "sql" or _is_database(scheme):
        return _open_sql(location, inputs, reading, known)
    return _open_remote(location, inputs, reading, environment, known)


def _open_local(location: str, inputs: Inputs, reading: Reading, known: set[str]) -> Source:
    if not os.path.isdir(os.path.join(location, local.DELTA_LOG)):  # noqa: PTH112, PTH118
        if inputs.format == "delta":
            raise _no_table(location)
        return local.LocalSource(location, reading)
    known |= _AS_OF
    version, timestamp = _as_of(inputs)
    table: Source = _delta_places().on_disk(location, reading, version=version, timestamp=timestamp)
    return table


def _is_database(scheme: str) -> bool:
    """Whether SQLAlchemy knows `scheme`, as far as that can be said without importing it."""
    return scheme.partition("+")[0] in _DATABASES


def _open_sql(location: str, inputs: Inputs, reading: Reading, known: set[str]) -> Source:
    try:
        from penstock.runtimes.batch.sources import sql
    except ImportError:
        raise DataError(
            "reading a database needs libraries that are not installed", hint="pip install 'penstock[sql]'"
        ) from None
    if reading.by_path:
        raise DataError(
            "a database gives rows, and the script asks for files", hint="let run() take a DataFrame"
        )
    known |= sql.OPTIONS
    return sql.open_sql(location, inputs.query, split_column=inputs.split_column, storage=inputs.storage)


def _open_remote(
    location: str, inputs: Inputs, reading: Reading, environment: Mapping[str, str], known: set[str]
) -> Source:
    from penstock.runtimes.batch.sources import openings, remote

    opened = openings.open_store(location, inputs.storage, environment)
    known |= opened.known
    secrets = addresses.secrets_of(location, {**openings.environment_of(environment), **inputs.storage})
    source = remote.RemoteSource(
        opened.root, opened.key, opened.store, reading, secrets=secrets, single=opened.single
    )
    if not _may_be_table(opened.key, inputs, reading) or opened.single:
        return source
    if not source.has(f"{local.DELTA_LOG}/"):
        if inputs.format == "delta":
            raise _no_table(opened.root + opened.key)
        return source
    known |= _AS_OF
    version, timestamp = _as_of(inputs)
    table: Source = _delta_places().in_store(
        opened, source, reading, inputs.storage, secrets, version=version, timestamp=timestamp
    )
    return table


def _may_be_table(key: str, inputs: Inputs, reading: Reading) -> bool:
    """Whether it is worth a question whether a remote folder is a Delta table: a file or a pattern is none."""
    if inputs.format == "delta":
        return True
    return not selection.is_pattern(key) and not reading.of_name(key.rpartition("/")[2])


def _no_table(shown: str) -> DataError:
    return DataError(
        f"there is no Delta table at {shown}", hint="its folder is the one with _delta_log in it"
    )


def _as_of(inputs: Inputs) -> tuple[str, str]:
    """The version and the time of Delta tables that are asked for; empty: the newest."""
    said = {name: inputs.storage[name] for name in _AS_OF if inputs.storage.get(name)}
    for step in inputs.transformations:
        arguments = step.get("read_delta_lake") or {}
        said = {**{name: str(arguments[name]) for name in _AS_OF if arguments.get(name) is not None}, **said}
    if len(said) == 2:
        raise DataError("both version_as_of and timestamp_as_of are said", hint="say one of them")
    return said.get("version_as_of", ""), said.get("timestamp_as_of", "")


def _delta_places() -> Any:
    try:
        from penstock.runtimes.batch.sources import delta_places
    except ImportError:
        raise DataError(
            "reading a Delta table needs a library that is not installed",
            hint="pip install 'penstock[delta]'",
        ) from None
    return delta_places


def _refuse_unknown(storage: Mapping[str, str], known: set[str]) -> None:
    for name in storage:
        if name not in known and not name.startswith(addresses.DATASTORE):
            close = difflib.get_close_matches(name, known, n=1)
            raise DataError(
                f"no place of the job knows the storage option {name}",
                hint=f"did you mean {close[0]}?"
                if close
                else f"known are {', '.join(sorted(known)) or 'none'}",
            )
