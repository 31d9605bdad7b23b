"""Rows into a table, within the transaction that the caller has begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa

from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import delimited, texts
from penstock.runtimes.batch.sinks import sql_tables

_STAGED = "penstock_staged"
_ROWS_AT_ONCE = 5000


class Loader(Protocol):
    """Takes results and puts them into the table."""

    def add(self, table: Any) -> None:
        """Take the rows of a ``pyarrow.Table``."""

    def finish(self) -> int:
        """All rows are in the table; how many were taken. Raises OutputError: a key that is there twice."""


def loader(connection: Any, target: sql_tables.Target, schema: Any, key: Sequence[str]) -> Loader:
    """A loader for results of `schema`; those whose `key` is there already replace what is there."""
    if connection.dialect.name == "postgresql":
        return _CopyLoader(connection, target, schema, key)
    return _InsertLoader(connection, target, schema, key)


def driver_errors(engine: Any) -> tuple[type[BaseException], ...]:
    """What the driver raises by itself, where we talk to it past SQLAlchemy."""
    if engine.dialect.name == "postgresql":
        import psycopg

        return (psycopg.Error,)
    return ()


class _CopyLoader:
    """PostgreSQL: COPY into a temporary table, which has the target's types where the target was there before, so
    that text becomes a date or a UUID as it would in an INSERT."""

    def __init__(self, connection: Any, target: sql_tables.Target, schema: Any, key: Sequence[str]) -> None:
        self._connection = connection
        self._target = target
        self._key = key
        self._names = schema.names
        self._columns = ", ".join(target.quoted(name) for name in schema.names)
        self._rows = 0
        like = f"SELECT {self._columns} FROM {target.sql} WITH NO DATA"  # noqa: S608 - quoted
        self._run(f"CREATE TEMPORARY TABLE {_STAGED} ON COMMIT DROP AS {like}")
        self._cursor = connection.connection.driver_connection.cursor()
        self._copy = self._cursor.copy(f"COPY {_STAGED} FROM STDIN (FORMAT csv)")
        self._stream = self._copy.__enter__()

    def _run(self, statement: str) -> Any:
        return self._connection.exec_driver_sql(statement)

    def add(self, table: Any) -> None:
        """See Loader."""
        self._rows += table.num_rows
        for batch in table.to_batches(max_chunksize=texts.ROWS_AT_ONCE):
            columns = [_hexadecimal(column) for column in batch.columns]
            # COPY reads an empty field as NULL, also where it is the only one.
            self._stream.write(texts.joined(delimited.lines(columns, missing="")))

    def finish(self) -> int:
        """See Loader."""
        self._copy.__exit__(None, None, None)
        self._cursor.close()
        insert = f"INSERT INTO {self._target.sql} ({self._columns}) SELECT {self._columns} FROM {_STAGED}"  # noqa: S608
        if self._key:
            self._check_keys()
            insert += _on_conflict(self._target, self._names, self._key)
        self._run(insert)
        return self._rows

    def _check_keys(self) -> None:
        key = ", ".join(self._target.quoted(name) for name in self._key)
        twice = self._run(f"SELECT {key} FROM {_STAGED} GROUP BY {key} HAVING count(*) > 1 LIMIT 1").first()  # noqa: S608
        if twice is not None:
            raise _twice(self._key, twice)
        anyone = " OR ".join(f"{self._target.quoted(name)} IS NULL" for name in self._key)
        if self._run(f"SELECT 1 FROM {_STAGED} WHERE {anyone} LIMIT 1").first() is not None:  # noqa: S608
            raise _without_key(self._key)


class _InsertLoader:
    """Other databases: INSERT, thousands of rows at once."""

    def __init__(self, connection: Any, target: sql_tables.Target, schema: Any, key: Sequence[str]) -> None:
        import sqlalchemy

        self._connection = connection
        self._target = target
        self._key = key
        self._rows = 0
        self._seen: set[tuple[Any, ...]] = set()
        columns = [sqlalchemy.Column(one.name, sql_tables.column_type(one.type)) for one in schema]
        self._table = sqlalchemy.Table(target.name, sqlalchemy.MetaData(), *columns, schema=target.schema)
        self._nested = [one.name for one in schema if pa.types.is_nested(one.type)]

    def add(self, table: Any) -> None:
        """See Loader."""
        import sqlalchemy

        self._rows += table.num_rows
        for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            rows = batch.to_pylist()
            if self._key:
                self._check_keys(rows)
                condition = [self._table.c[name] == sqlalchemy.bindparam(f"key_{name}") for name in self._key]
                keys = [{f"key_{name}": row[name] for name in self._key} for row in rows]
                self._connection.execute(self._table.delete().where(*condition), keys)
            if rows:
                self._connection.execute(self._table.insert(), rows)

    def _check_keys(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            key = tuple(row[name] for name in self._key)
            if None in key:
                raise _without_key(self._key)
            if key in self._seen:
                raise _twice(self._key, key)
            self._seen.add(key)

    def finish(self) -> int:
        """See Loader."""
        return self._rows


def _on_conflict(target: sql_tables.Target, names: Sequence[str], key: Sequence[str]) -> str:
    others = [target.quoted(name) for name in names if name not in key]
    action = (
        "UPDATE SET " + ", ".join(f"{name} = EXCLUDED.{name}" for name in others) if others else "NOTHING"
    )
    return f" ON CONFLICT ({', '.join(target.quoted(name) for name in key)}) DO {action}"


def _twice(key: Sequence[str], values: Sequence[Any]) -> OutputError:
    shown = ", ".join(f"{name}={value!r}" for name, value in zip(key, values, strict=True))
    return OutputError(
        f"two results have the same key, {shown}, so it is not clear which of them to keep",
        hint="choose a --key that is unique in the input, or --if-exists append",
    )


def _without_key(key: Sequence[str]) -> OutputError:
    return OutputError(
        f"a result has no value for its key ({', '.join(key)})",
        hint="choose a --key that every row has, or --if-exists append",
    )


def _hexadecimal(column: Any) -> Any:
    """Binary as PostgreSQL reads it."""
    types = pa.types
    if (
        types.is_binary(column.type)
        or types.is_large_binary(column.type)
        or types.is_fixed_size_binary(column.type)
    ):
        values = [None if value is None else "\\x" + value.hex() for value in column.to_pylist()]
        return pa.array(values, pa.large_string())
    return column
