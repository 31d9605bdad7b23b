"""PostgreSQL, by psycopg.

One connection exports its snapshot and keeps it for as long as the source lives; all others import it, so that
rows which others change meanwhile are read as they were, once. Each range has a digest, made by the server: by it a
job that is resumed after its snapshot is gone knows whether a range still holds the same rows. Of a table the
digest is that of its row versions (place and transaction), of a query that of the rows' texts.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pyarrow as pa
import sqlalchemy
from psycopg import sql
from psycopg.types.string import TextLoader

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

_TYPES = {
    "bool": pa.bool_(), "bytea": pa.binary(), "int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64(),
    "oid": pa.int64(), "float4": pa.float32(), "float8": pa.float64(), "date": pa.date32(), "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"),
}  # fmt: skip
_AS_TEXT = (
    "json", "jsonb", "uuid", "interval", "timetz", "inet", "cidr", "int4range", "int8range", "numrange",
    "daterange", "tsrange", "tstzrange", "int4multirange", "int8multirange", "nummultirange", "datemultirange",
    "tsmultirange", "tstzmultirange",
)  # fmt: skip
"""Types for which psycopg has objects of its own; the database's text says the same, and to everybody."""

_BINARY = frozenset(_TYPES) | {"numeric", "text", "varchar", "bpchar", "name"}
"""Types whose binary form psycopg reads into the same values as their text, in a third of the time."""

_HAVE_PLACES = ("r", "m", "p")
"""Kinds of relation whose rows have a place and a transaction: tables, materialized views, partitioned tables."""

_PLACE = "tableoid, ctid"


class Postgres:
    """See `penstock.runtimes.batch.sources.databases.Database`."""

    def __init__(self, url: str, where: str) -> None:
        self._where = where
        self._secrets = addresses.secrets_of(url, {})
        address = sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
        self._engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
        self._lock = threading.Lock()
        self._holder: psycopg.Connection[Any] | None = None
        self._exported = ""
        self._name = ""

    def snapshot(self) -> str:
        """As `Database.snapshot`."""
        with self._lock:
            if self._holder is not None and self._lost(self._holder):
                self._holder.close()
                self._holder = None
            if self._holder is None:
                holder = self._connected()
                # However long the job takes, and however idle this looks meanwhile.
                holder.execute("SET idle_in_transaction_session_timeout = 0")
                holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                self._exported = _one(holder, "SELECT pg_export_snapshot()")
                self._name = uuid.uuid4().hex
                self._holder = holder
            return self._name

    def relation(self, query: str) -> Relation:
        """As `Database.relation`."""
        parts = table_name(query)
        with self._session() as session:
            if parts is None:
                text = subquery(query)
                return Relation(
                    sql=text, label=f"query-{digest_of(query.strip())}", columns=self._columns(session, text)
                )
            return self._table(session, parts, query.strip().rstrip(";").rstrip())

    def _table(self, session: psycopg.Connection[Any], parts: list[str], said: str) -> Relation:
        exact = sql.Identifier(*map(unquoted, parts)).as_string(session)
        oid = _one(session, "SELECT coalesce(to_regclass(%s), to_regclass(%s))::oid", exact, said)
        if oid is None:
            names = session.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND relnamespace NOT IN "
                "('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND relname !~ '^pg_toast' "
                "ORDER BY relname LIMIT 1000"
            ).fetchall()
            known = [name for (name,) in names]
            raise DataError(
                f"{self._where} has no table {said}",
                hint=selection.near(unquoted(parts[-1]), known, "the database"),
            )
        name, kind = session.execute(
            "SELECT oid::regclass::text, relkind FROM pg_class WHERE oid = %s", [oid]
        ).fetchone() or ("", "")
        key = session.execute(
            "SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(number, place), pg_attribute a "
            "WHERE i.indrelid = %s AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.number "
            "ORDER BY k.place",
            [oid],
        ).fetchall()
        text = f"{name} AS {ALIAS}"
        return Relation(
            sql=text,
            label=name.replace('"', ""),
            columns=self._columns(session, text),
            key=tuple(column for (column,) in key),
            table=kind in _HAVE_PLACES,
        )

    def _columns(self, session: psycopg.Connection[Any], text: str) -> tuple[str, ...]:
        described = session.execute(f"SELECT * FROM {text} LIMIT 0".encode()).description
        return tuple(column.name for column in described or ())

    def integer_key(self, relation: Relation) -> str:
        """As `Database.integer_key`."""
        if len(relation.key) != 1:
            return ""
        schema = self.describe(relation)[0]
        return relation.key[0] if pa.types.is_integer(schema.field(relation.key[0]).type) else ""

    def describe(self, relation: Relation) -> tuple[pa.Schema, float, int]:
        """As `Database.describe`; the sizes are the planner's guess, which costs nothing."""
        with self._session() as session:
            described = session.execute(f"SELECT * FROM {relation.sql} LIMIT 0".encode()).description or []
            schema = pa.schema([_field(column, session) for column in described])
            [plan] = _one(session, f"EXPLAIN (FORMAT JSON) SELECT * FROM {relation.sql}", as_json=True)
        return schema, float(plan["Plan"]["Plan Width"]), int(plan["Plan"]["Plan Rows"])

    def ranges(self, relation: Relation, column: str, rows: int) -> Iterator[tuple[Range, str]]:
        """As `Database.ranges`. The server numbers the rows once for the bounds and passes once over them for the
        digests."""
        name = _quoted(column)
        with self._session() as session:
            kind = _one(
                session,
                f"SELECT pg_typeof({name})::text FROM {relation.sql} WHERE {name} IS NOT NULL LIMIT 1",
            )
            if kind is not None:
                yield from self._bounded(session, relation, column, kind, rows)
            missing = Range(snapshot="", schema="", column=column, missing=True)
            count, digest = self._summed(session, relation, missing)
            if count or kind is None:
                yield Range(snapshot="", schema="", column=column, missing=True, rows=count), digest

    def _bounded(
        self, session: psycopg.Connection[Any], relation: Relation, column: str, kind: str, rows: int
    ) -> Iterator[tuple[Range, str]]:
        name = _quoted(column)
        there = f"FROM {relation.sql} WHERE {name} IS NOT NULL"
        starts = session.execute(
            f"SELECT k::text FROM (SELECT {name} AS k, row_number() OVER (ORDER BY {name}) AS r {there}) "
            f"AS numbered WHERE (r - 1) % {rows} = 0 ORDER BY r".encode()
        ).fetchall()
        # By the value: a bare name would mean the text, which is called the same.
        last = _one(session, f"SELECT {name}::text {there} ORDER BY {ALIAS}.{name} DESC LIMIT 1")
        bounds = list(between([start for (start,) in starts], last))
        steps = ", ".join(_literal(first, kind) for first, _, _ in bounds)
        sums = session.execute(
            f"SELECT width_bucket({name}, ARRAY[{steps}]::{kind}[]), count(*), {_sum(relation)} {there} "
            f"GROUP BY 1".encode()
        )
        found = {bucket: (count, digest) for bucket, count, digest in sums}
        for index, (first, stop, end) in enumerate(bounds):
            count, digest = found.get(index + 1, (0, 0))
            part = Range(
                snapshot="", schema="", column=column, kind=kind, first=first, stop=stop, last=end, rows=count
            )
            yield part, _digest(relation, count, digest)

    def digest(self, relation: Relation, part: Range) -> str:
        """As `Database.digest`."""
        if not part.column and not relation.table:
            return ""
        with self._session() as session:
            return self._summed(session, relation, part)[1]

    def _summed(self, session: psycopg.Connection[Any], relation: Relation, part: Range) -> tuple[int, str]:
        where = part.where(_quoted, _literal)
        row = session.execute(
            f"SELECT count(*), {_sum(relation)} FROM {relation.sql} {where}".encode()
        ).fetchone()
        count, digest = row or (0, 0)
        return count, _digest(relation, count, digest)

    def read(self, relation: Relation, part: Range, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """As `Database.read`: a cursor on the server."""
        names = [column for column in (part.column, *relation.key) if column]
        order = [_quoted(column) for column in dict.fromkeys(names)]
        if not relation.key and relation.table:
            order.append(_PLACE)
        elif not relation.key and part.column:
            order.append(f"{ALIAS}::text")
        by = f"ORDER BY {', '.join(order)}" if order else ""
        text = f"SELECT {ALIAS}.* FROM {relation.sql} {part.where(_quoted, _literal)} {by}"
        with self._session() as session:
            # What has no order of its own at least has the one in which it lies.
            session.execute("SET LOCAL synchronize_seqscans = off")
            if not order:
                session.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            described = session.execute(f"SELECT * FROM {relation.sql} LIMIT 0".encode()).description or []
            binary = all(_type_name(column, session) in _BINARY for column in described)
            with session.cursor("penstock") as cursor:
                cursor.execute(text.encode(), binary=binary)
                while chunk := cursor.fetchmany(rows):
                    columns = [
                        sql_columns.array(values, column, self._where)
                        for values, column in zip(zip(*chunk, strict=True), schema, strict=True)
                    ]
                    yield pa.record_batch(columns, schema=schema)

    def is_temporary(self, error: Exception) -> bool:
        """As `Database.is_temporary`: connections that broke, servers that start or are full."""
        if not isinstance(error, psycopg.Error):
            return False
        state = error.sqlstate or ""
        if state:
            # 22023 on import: the snapshot went with its connection, and the next attempt holds a new one.
            return state[:2] in ("08", "53", "57", "40") or (state == "22023" and "snapshot" in str(error))
        text = str(error)
        return isinstance(error, psycopg.OperationalError) and not (
            "FATAL" in text
            and "starting up" not in text
            and "shutting down" not in text
            and "too many" not in text
        )

    def explained(self, error: Exception) -> DataError:
        """As `Database.explained`."""
        text = addresses.redacted(str(error).strip() or type(error).__name__, self._secrets).splitlines()[0][
            :300
        ]
        state = getattr(error, "sqlstate", None) or ""
        if "authentication failed" in text or state[:2] == "28" or "no password supplied" in text:
            return DataError(
                f"no access to {self._where}: {text}",
                hint="check user and password; PGPASSWORD and ~/.pgpass are minded",
            )
        if state == "42501":
            return DataError(
                f"no permission in {self._where}: {text}", hint="ask for GRANT SELECT on what is read"
            )
        if state[:2] == "42":
            return DataError(
                f"{self._where} cannot run the query: {text}", hint="try the query in psql first"
            )
        if isinstance(error, psycopg.DataError):
            return DataError(
                f"{self._where} has a value that cannot be read: {text}",
                hint="cast the column in the query: CAST(... AS text) always goes",
            )
        if self.is_temporary(error):
            return DataError(
                f"{self._where} cannot be reached: {text}",
                hint="check host, port and server; then resume the job",
            )
        return DataError(f"{self._where}: {text}")

    def close(self) -> None:
        """As `Database.close`."""
        with self._lock:
            if self._holder is not None:
                self._holder.close()
                self._holder = None
        self._engine.dispose()

    @contextlib.contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection that sees the snapshot."""
        self.snapshot()
        session = self._connected()
        try:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            session.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self._exported)))
            yield session
        finally:
            session.close()

    def _connected(self) -> psycopg.Connection[Any]:
        pooled = self._engine.raw_connection()
        connection = cast("psycopg.Connection[Any]", pooled.driver_connection)
        pooled.detach()
        connection.autocommit = True  # transactions begin where we say so
        connection.prepare_threshold = None  # poolers between us and the server do not keep statements
        for name in _AS_TEXT:
            if connection.adapters.types.get(name) is not None:
                connection.adapters.register_loader(name, TextLoader)
        return connection

    def _lost(self, holder: psycopg.Connection[Any]) -> bool:
        try:
            holder.execute("SELECT 1")
        except psycopg.Error:
            return True
        return False


def _one(session: psycopg.Connection[Any], text: str, *parameters: Any, as_json: bool = False) -> Any:
    """The first value of the first row; None where there is no row."""
    row = session.execute(text.encode(), parameters or None).fetchone()
    value = row[0] if row else None
    return json.loads(value) if as_json and isinstance(value, str) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str, kind: str) -> str:
    doubled = text.replace("'", "''")
    escaped = f"E'{doubled.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{doubled}'"
    return f"{escaped}::{kind}"


def _sum(relation: Relation) -> str:
    """An aggregate that changes with any row, and not with their order."""
    row = "concat(tableoid, ctid, '/', xmin)" if relation.table else f"{ALIAS}::text"
    return f"coalesce(sum(hashtextextended({row}, 0)::numeric), 0)"


def _digest(relation: Relation, count: int, total: Any) -> str:
    """Text of a range's content; a table's columns are in it, since its row versions outlive a change of those."""
    return f"{count}-{total}-{digest_of(repr(relation.columns))}"


def _type_name(column: psycopg.Column, session: psycopg.Connection[Any]) -> str:
    """The name of the column's type; empty for arrays and for types of the user's own."""
    known = session.adapters.types.get(column.type_code)
    return known.name if known is not None and known.oid == column.type_code else ""


def _field(column: psycopg.Column, session: psycopg.Connection[Any]) -> pa.Field:
    """The Arrow column for one of the result."""
    known = session.adapters.types.get(column.type_code)
    if known is None:
        return pa.field(column.name, pa.string())
    is_array = known.array_oid == column.type_code
    if known.name == "numeric" and not is_array:
        return sql_columns.numeric(column.name, column.precision, column.scale)
    kind = pa.float64() if known.name == "numeric" else _TYPES.get(known.name, pa.string())
    return pa.field(column.name, pa.list_(kind) if is_array else kind)
