"""Databases for which SQLAlchemy has a dialect installed: SQLite, and with their drivers MySQL, SQL Server, others.

They cannot share a snapshot between connections, so there is one connection, and one range is read at a time.
Columns have the types that their values have: of all values in SQLite, which tells them, of the first elsewhere.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import sqlalchemy

from penstock.errors import DataError
from penstock.runtimes.batch.sources import addresses, selection, sql_columns
from penstock.runtimes.batch.sources.sql_ranges import (
    ALIAS,
    Range,
    Relation,
    between,
    digest_of,
    subquery,
    table_name,
    unquoted,
)

_SAMPLE = 10_000
"""Rows from which a database that tells no types is judged."""

_SQLITE = {
    frozenset(("integer",)): pa.int64(),
    frozenset(("real",)): pa.float64(),
    frozenset(("integer", "real")): pa.float64(),
    frozenset(("blob",)): pa.binary(),
    frozenset(): pa.null(),
}


class OtherDatabase:
    """See `penstock.runtimes.batch.sources.databases.Database`."""

    def __init__(self, url: str, where: str) -> None:
        self._where = where
        self._secrets = addresses.secrets_of(url, {})
        address = sqlalchemy.make_url(url)
        self._is_sqlite = address.get_backend_name() == "sqlite"
        if self._is_sqlite:
            _check_there(address.database or "")
        try:
            self._engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        except (sqlalchemy.exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise DataError(
                f"nothing here speaks to {address.drivername}: {error}",
                hint="install the database's SQLAlchemy dialect and driver beside penstock",
            ) from None
        self._lock = threading.RLock()
        self._held: sqlalchemy.Connection | None = None
        self._name = ""

    def snapshot(self) -> str:
        """As `Database.snapshot`."""
        with self._lock:
            self._connection()
            return self._name

    def relation(self, query: str) -> Relation:
        """As `Database.relation`."""
        parts = table_name(query)
        if parts is None:
            text = subquery(query)
            return Relation(sql=text, label=f"query-{digest_of(query.strip())}", columns=self._columns(text))
        *above, name = map(unquoted, parts)
        with self._lock:
            known = sqlalchemy.inspect(self._connection())
            schema = above[-1] if above else None
            if not known.has_table(name, schema):
                names = sorted({*known.get_table_names(schema), *known.get_view_names(schema)})
                raise DataError(
                    f"{self._where} has no table {query.strip()}",
                    hint=selection.near(name, names, "the database"),
                )
            key = known.get_pk_constraint(name, schema)["constrained_columns"]
        text = f"{'.'.join(map(self._quoted, [*above, name]))} AS {ALIAS}"
        return Relation(
            sql=text, label=".".join([*above, name]), columns=self._columns(text), key=tuple(key), table=True
        )

    def integer_key(self, relation: Relation) -> str:
        """As `Database.integer_key`."""
        if len(relation.key) != 1:
            return ""
        schema = self.describe(relation)[0]
        return relation.key[0] if pa.types.is_integer(schema.field(relation.key[0]).type) else ""

    def describe(self, relation: Relation) -> tuple[pa.Schema, float, int]:
        """As `Database.describe`. Rows are counted, and their width is taken from the first of them."""
        with self._lock:
            rows = int(self._first(f"SELECT count(*) FROM {relation.sql}") or 0)
            head = self._rows(f"SELECT * FROM {relation.sql}", limit=_SAMPLE)
            schema = (
                self._sqlite_schema(relation)
                if self._is_sqlite
                else sql_columns.inferred(relation.columns, head)
            )
            if not head:
                return schema, 1.0, rows
            sample = [
                sql_columns.array(values, column, self._where)
                for values, column in zip(zip(*head, strict=True), schema, strict=True)
            ]
            return schema, sum(column.nbytes for column in sample) / len(head), rows

    def _sqlite_schema(self, relation: Relation) -> pa.Schema:
        """SQLite knows a type for each value; all of them are asked."""
        names = relation.columns
        asked = ", ".join(f"group_concat(DISTINCT typeof({self._quoted(name)}))" for name in names)
        row = self._rows(f"SELECT {asked} FROM {relation.sql}")[0]
        fields = []
        for name, said in zip(names, row, strict=True):
            kinds = frozenset((said or "").split(",")) - {"null", ""}
            if "blob" in kinds and len(kinds) > 1:
                raise DataError(
                    f"{relation.label} in {self._where} has texts or numbers beside bytes",
                    column=name,
                    hint="cast the column in the query: CAST(... AS TEXT) or CAST(... AS BLOB)",
                )
            fields.append(pa.field(name, _SQLITE.get(kinds, pa.string())))
        return pa.schema(fields)

    def ranges(self, relation: Relation, column: str, rows: int) -> Iterator[tuple[Range, str]]:
        """As `Database.ranges`."""
        name = self._quoted(column)
        with self._lock:
            starts = self._rows(
                f"SELECT k FROM (SELECT {name} AS k, row_number() OVER (ORDER BY {name}) AS r FROM {relation.sql} "
                f"WHERE {name} IS NOT NULL) AS numbered WHERE (r - 1) % {rows} = 0 ORDER BY r"
            )
            last = self._first(f"SELECT max({name}) FROM {relation.sql}")
        for (value,) in [*starts, (last,)]:
            if not isinstance(value, int | None):
                raise DataError(
                    f"{relation.label} in {self._where} cannot be split by {column}, which holds {value!r}",
                    hint="split by a column of integers, or by none",
                )
        bounds = list(between([str(value) for (value,) in starts], str(last)))
        parts = [
            Range(snapshot="", schema="", column=column, kind="integer", first=first, stop=stop, last=end)
            for first, stop, end in bounds
        ]
        parts.append(Range(snapshot="", schema="", column=column, missing=True))
        for part in parts:
            count, digest = self._summed(relation, part)
            if count or (part.missing and not bounds):
                yield Range(**{**vars(part), "rows": count}), digest

    def digest(self, relation: Relation, part: Range) -> str:
        """As `Database.digest`: SQLite's by a function of ours; elsewhere there is none."""
        return self._summed(relation, part)[1] if self._is_sqlite else ""

    def _summed(self, relation: Relation, part: Range) -> tuple[int, str]:
        digest = (
            f", penstock_digest({', '.join(map(self._quoted, relation.columns))})" if self._is_sqlite else ""
        )
        with self._lock:
            row = self._rows(
                f"SELECT count(*){digest} FROM {relation.sql} {part.where(self._quoted, _literal)}"
            )[0]
        return int(row[0]), f"{row[0]}-{row[1] or 0}-{digest_of(repr(relation.columns))}" if digest else ""

    def read(self, relation: Relation, part: Range, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """As `Database.read`."""
        names = [column for column in (part.column, *relation.key) if column]
        if not relation.key and (part.column or relation.table):
            names += relation.columns
        order = ", ".join(self._quoted(column) for column in dict.fromkeys(names))
        by = f"ORDER BY {order}" if order else ""
        text = f"SELECT * FROM {relation.sql} {part.where(self._quoted, _literal)} {by}"
        with self._lock, self._execute(text) as result:
            while chunk := result.fetchmany(rows):
                columns = [
                    sql_columns.array(values, column, self._where)
                    for values, column in zip(zip(*chunk, strict=True), schema, strict=True)
                ]
                yield pa.record_batch(columns, schema=schema)

    def is_temporary(self, error: Exception) -> bool:
        """As `Database.is_temporary`: nothing that a library of whatever database says is known to be."""
        return False

    def explained(self, error: Exception) -> DataError:
        """As `Database.explained`."""
        said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
        text = addresses.redacted(said, self._secrets).splitlines()[0][:300]
        return DataError(f"{self._where}: {text}", hint="try the query in the database's own client first")

    def close(self) -> None:
        """As `Database.close`."""
        with self._lock:
            if self._held is not None:
                self._held.close()
                self._held = None
            self._engine.dispose()

    def _connection(self) -> sqlalchemy.Connection:
        """The one connection, in the one transaction."""
        if self._held is None:
            try:
                held = self._engine.connect().execution_options(isolation_level=_isolation(self._engine))
            except sqlalchemy.exc.ArgumentError:
                held = self._engine.connect()
            if self._is_sqlite:
                driver: Any = held.connection.driver_connection
                driver.create_aggregate("penstock_digest", -1, _Digest)
                # SQLite's driver begins no transaction for a SELECT, and SQLite no snapshot before it reads.
                held.exec_driver_sql("PRAGMA query_only = ON")
                held.exec_driver_sql("BEGIN")
                held.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").all()
            self._held, self._name = held, uuid.uuid4().hex
        return self._held

    def _execute(self, text: str) -> sqlalchemy.CursorResult[Any]:
        # Without parameters, or drivers would look for them at every % of the query.
        connection = self._connection().execution_options(stream_results=True, no_parameters=True)
        return connection.exec_driver_sql(text)

    def _rows(self, text: str, limit: int | None = None) -> list[Any]:
        with self._execute(text) as result:
            return list(itertools.islice(result, limit))

    def _first(self, text: str) -> Any:
        rows = self._rows(text, 1)
        return rows[0][0] if rows else None

    def _columns(self, text: str) -> tuple[str, ...]:
        with self._lock, self._execute(f"SELECT * FROM {text} WHERE 1 = 0") as result:
            return tuple(result.keys())

    def _quoted(self, name: str) -> str:
        return str(self._engine.dialect.identifier_preparer.quote_identifier(name))


class _Digest:
    """SQLite's aggregate of ours: changes with any row, and not with their order."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, *values: Any) -> None:
        """One row."""
        hashed = hashlib.blake2b(repr(values).encode(errors="surrogatepass"), digest_size=8).digest()
        self._sum = (self._sum + int.from_bytes(hashed, "big")) % 2**64

    def finalize(self) -> str:
        """The digest of the rows so far."""
        return f"{self._sum:016x}"


def _isolation(engine: sqlalchemy.Engine) -> str:
    """The level at which all that one transaction reads is of one moment."""
    return {"sqlite": "SERIALIZABLE", "mssql": "SNAPSHOT", "oracle": "SERIALIZABLE"}.get(
        engine.dialect.name, "REPEATABLE READ"
    )


def _literal(text: str, kind: str) -> str:
    return str(int(text))


def _check_there(path: str) -> None:
    """SQLite would make an empty database where there is none."""
    if path and not os.path.isfile(path):  # noqa: PTH113
        raise DataError(f"there is no SQLite file {path}", hint="sqlite:////absolute/path/to/file.db")
