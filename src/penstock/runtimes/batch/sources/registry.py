"""Which source reads a location. The concrete ones are imported when one is needed: a job on local files must not
wait for the libraries of a cloud."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from penstock.bundle.batch import Inputs
from penstock.errors import DataError
from penstock.runtimes.batch.sources import addresses, local
from penstock.runtimes.batch.sources.interface import Reading, Source

_FILES_BY_NAME = ("delta", "mltable")
"""Formats that say what holds the files, not what the files are."""

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
) -> list[Source]:
    """A source for each of the locations, in their order. No file is listed yet; of a remote folder it is asked
    whether it is a Delta table.

    `format_of` says a file's format by its name, empty for none; `by_path`: the files are handed to a script;
    `environment`: where credentials and datastores are looked up (None: the process's own).
    Raises DataError for a location that nothing here reads, and for a storage option that nobody knows.
    """
    variables = os.environ if environment is None else environment
    said = "" if inputs.format in _FILES_BY_NAME else inputs.format
    reading = Reading(of_name=format_of, format=said, by_path=by_path)
    known: set[str] = set()
    sources: list[Source] = []
    try:
        for location in inputs.locations:
            sources.append(_open(location, inputs, reading, variables, known))
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
    return local.LocalSource(location, reading)


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
    return remote.RemoteSource(
        opened.root, opened.key, opened.store, reading, secrets=secrets, single=opened.single
    )


def _refuse_unknown(storage: Mapping[str, str], known: set[str]) -> None:
    for name in storage:
        if name not in known and not name.startswith(addresses.DATASTORE):
            close = difflib.get_close_matches(name, known, n=1)
            raise DataError(
                f"none of the input's places knows the storage option {name}",
                hint=f"did you mean {close[0]}?"
                if close
                else f"known are {', '.join(sorted(known)) or 'none'}",
            )
