"""Tables of a database: what is there, what may be done with it, what is made; and the ledger beside them."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from penstock.errors import OutputError

LEDGER = "penstock_jobs"


def url(location: str) -> Any:
    """`location` as a ``sqlalchemy.URL``. Raises OutputError without showing it: it holds a password."""
    import sqlalchemy

    try:
        parsed = sqlalchemy.make_url(location)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise OutputError(
            "the address of the database cannot be read",
            hint="it looks like postgresql://user:password@host:5432/database, special characters as %40",
        ) from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def engine(location: str) -> Any:
    """A ``sqlalchemy.Engine`` that connects when it is used, once."""
    import sqlalchemy

    parsed = url(location)
    try:
        made = sqlalchemy.create_engine(parsed, poolclass=sqlalchemy.pool.NullPool, hide_parameters=True)
    except (sqlalchemy.exc.NoSuchModuleError, ImportError) as error:
        raise OutputError(
            f"the driver for {parsed.drivername} is not installed ({error})",
            hint="pip install 'penstock[sql]' for PostgreSQL, else the database's own driver for SQLAlchemy",
        ) from None
    if made.dialect.name == "sqlite":
        # Python's sqlite3 would begin a transaction only at the first row, and leave CREATE TABLE out of it.
        @sqlalchemy.event.listens_for(made, "connect")
        def connected(driver: Any, _record: Any) -> None:
            driver.isolation_level = None

        @sqlalchemy.event.listens_for(made, "begin")
        def begun(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


@dataclass
class Target:
    """The table that gets the results. `columns` are those it has, by name, as SQLAlchemy reflects them; none: it
    is not there yet. `unique` are the sets of columns that have a unique index."""

    schema: str | None
    name: str
    dialect: Any
    columns: dict[str, Any] = field(default_factory=dict)
    unique: tuple[frozenset[str], ...] = ()
    made: bool = False

    @classmethod
    def of(cls, connection: Any, table: str) -> Target:
        """The table that people call `table`, with or without a schema before a dot."""
        import sqlalchemy

        schema, _, name = table.rpartition(".")
        target = cls(schema=schema or None, name=name, dialect=connection.dialect)
        inspector = sqlalchemy.inspect(connection)
        if target.schema and target.schema not in inspector.get_schema_names():
            raise OutputError(
                f"there is no schema {target.schema!r} in the database",
                hint=_did_you_mean(target.schema, inspector.get_schema_names()),
            )
        if inspector.has_table(name, schema=target.schema):
            target.columns = {one["name"]: one for one in inspector.get_columns(name, schema=target.schema)}
            target.unique = tuple(_unique(inspector, name, target.schema))
        return target

    @property
    def shown(self) -> str:
        """Its name for people."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def sql(self) -> str:
        """Its name in SQL, quoted."""
        return self.qualified(self.name)

    def qualified(self, name: str) -> str:
        """The table `name` in the same schema, in SQL."""
        return f"{self.quoted(self.schema)}.{self.quoted(name)}" if self.schema else self.quoted(name)

    def quoted(self, name: str) -> str:
        """An identifier in SQL, quoted always: a column may be called ``order``."""
        quoted: str = self.dialect.identifier_preparer.quote_identifier(name)
        return quoted

    # What may be done.

    def check_key(self, key: Sequence[str]) -> None:
        """Raises OutputError unless the columns of `key` are there and have a unique index."""
        for name in key:
            if name not in self.columns:
                raise OutputError(
                    f"the table {self.shown} has no column {name!r}, which --key names",
                    hint=_did_you_mean(name, list(self.columns)),
                )
        if frozenset(key) not in self.unique:
            columns = ", ".join(self.quoted(name) for name in key)
            raise OutputError(
                f"the table {self.shown} has no unique index on {', '.join(key)}, by which rows are upserted",
                hint=f"CREATE UNIQUE INDEX ON {self.sql} ({columns})"
                if self.dialect.name == "postgresql"
                else f"CREATE UNIQUE INDEX {self.quoted(self.name + '_key')} ON {self.sql} ({columns})",
            )

    def check_columns(self, schema: Any, key: Sequence[str]) -> None:
        """Raises OutputError unless the results' columns are columns of the table, and no other column needs a
        value."""
        for name in schema.names:
            if name not in self.columns:
                raise OutputError(
                    f"the results have a column {name!r}, which the table {self.shown} has not",
                    hint=_did_you_mean(name, list(self.columns))
                    or f"add it (ALTER TABLE {self.sql} ADD COLUMN ...), or leave it out with --keep-columns",
                )
        for name in key:
            if name not in schema.names:
                raise OutputError(
                    f"the results have no column {name!r}, which --key names",
                    hint=_did_you_mean(name, schema.names) or "keep it with --keep-columns",
                )
        for name, column in self.columns.items():
            needed = not column.get("nullable", True) and column.get("default") is None
            by_itself = (
                column.get("identity") or column.get("computed") or column.get("autoincrement") is True
            )
            if needed and not by_itself and name not in schema.names:
                raise OutputError(
                    f"the table {self.shown} needs a value for {name!r}, which the results do not have",
                    hint="keep the column with --keep-columns, or give it a default",
                )

    def has_rows(self, connection: Any) -> bool:
        """Whether there is a row."""
        return connection.exec_driver_sql(f"SELECT 1 FROM {self.sql} LIMIT 1").first() is not None  # noqa: S608

    # What is done.

    def create(self, connection: Any, schema: Any, key: Sequence[str]) -> None:
        """Make the table for results of `schema`, with a primary key where `key` says so."""
        import sqlalchemy

        for name in key:
            if name not in schema.names:
                raise OutputError(
                    f"the results have no column {name!r}, which --key names",
                    hint=_did_you_mean(name, schema.names) or "keep it with --keep-columns",
                )
        columns = [
            sqlalchemy.Column(
                one.name, column_type(one.type), primary_key=one.name in key, autoincrement=False
            )
            for one in schema
        ]
        sqlalchemy.Table(self.name, sqlalchemy.MetaData(), *columns, schema=self.schema).create(connection)
        self.made = True

    def empty(self, connection: Any) -> None:
        """Delete all rows. Not TRUNCATE: readers go on seeing the old rows until the new ones are there."""
        if self.columns:
            connection.exec_driver_sql(f"DELETE FROM {self.sql}")  # noqa: S608 - quoted

    # The ledger.

    def is_ours(self, connection: Any) -> bool:
        """Whether a job of ours has written to the table."""
        ledger = _ledger(self)
        with contextlib.suppress(_Missing):
            _must_exist(connection, self)
            query = ledger.select().where(ledger.c.target == self.name).limit(1)
            return connection.execute(query).first() is not None
        return False

    def ledger_rows(self, connection: Any, id: str) -> int | None:  # noqa: A002 - the column's name
        """How many rows the publishing `id` has written; None: none yet."""
        ledger = _ledger(self)
        row = connection.execute(ledger.select().where(ledger.c.id == id)).first()
        return None if row is None else int(row.rows)

    def add_to_ledger(self, connection: Any, id: str, job: str, rows: int) -> None:  # noqa: A002
        """The publishing `id` has written `rows` rows."""
        connection.execute(_ledger(self).insert().values(id=id, job=job, target=self.name, rows=rows))


class _Missing(Exception):
    """There is no ledger yet."""


def _must_exist(connection: Any, target: Target) -> None:
    import sqlalchemy

    if not sqlalchemy.inspect(connection).has_table(LEDGER, schema=target.schema):
        raise _Missing


def _ledger(target: Target) -> Any:
    import sqlalchemy as sa

    return sa.Table(
        LEDGER,
        sa.MetaData(),
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        schema=target.schema,
    )


def make_ledger(connection: Any, target: Target) -> None:
    """Make the ledger where it is not there."""
    import sqlalchemy

    if connection.dialect.name == "postgresql":
        # Two jobs at once must not both make it: IF NOT EXISTS alone is no protection.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('penstock_jobs'))")
    try:
        _ledger(target).create(connection, checkfirst=True)
    except sqlalchemy.exc.ProgrammingError as error:
        raise OutputError(
            f"the table {target.qualified(LEDGER)} cannot be made, in which Penstock notes what it has written:"
            f" {str(error.orig).strip()}",
            hint="have it made by somebody who may: (id varchar(32) primary key, job text not null, target text not"
            " null, rows bigint not null, published_at timestamptz not null default now())",
        ) from None


def check_permissions(connection: Any, target: Target, mode: str) -> None:
    """Raises OutputError where PostgreSQL says that we may not do what `mode` needs; other databases are asked
    when it is done."""
    if connection.dialect.name != "postgresql":
        return
    wanted = {"replace": ["INSERT", "DELETE"], "upsert": ["INSERT", "UPDATE", "SELECT"]}.get(mode, ["INSERT"])
    if target.columns:
        for privilege in wanted:
            query = "SELECT has_table_privilege(current_user, %s, %s)"
            if not connection.exec_driver_sql(query, (target.sql, privilege)).scalar():
                raise OutputError(
                    f"no permission to {privilege} in the table {target.shown}",
                    hint=f"GRANT {', '.join(wanted)} ON {target.sql} TO ...",
                )
        return
    schema = target.schema or connection.exec_driver_sql("SELECT current_schema()").scalar()
    query = "SELECT has_schema_privilege(current_user, %s, 'CREATE')"
    if schema is None or not connection.exec_driver_sql(query, (schema,)).scalar():
        raise OutputError(
            f"no permission to make the table {target.shown}", hint=f"GRANT CREATE ON SCHEMA {schema} TO ..."
        )


def _unique(inspector: Any, name: str, schema: str | None) -> list[frozenset[str]]:
    found = [frozenset(inspector.get_pk_constraint(name, schema=schema)["constrained_columns"])]
    found += [frozenset(one["column_names"]) for one in inspector.get_unique_constraints(name, schema=schema)]
    for index in inspector.get_indexes(name, schema=schema):
        partial = any(
            option.endswith("_where") and value is not None for option, value in _options(index).items()
        )
        if index["unique"] and not partial and None not in index["column_names"]:
            found.append(frozenset(index["column_names"]))
    return found


def _options(index: Mapping[str, Any]) -> Mapping[str, Any]:
    options: Mapping[str, Any] = index.get("dialect_options") or {}
    return options


def _did_you_mean(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name.lower(), [one.lower() for one in names], n=1)
    return next((f"did you mean {one}?" for one in names if close and one.lower() == close[0]), "")


def column_type(kind: Any) -> Any:
    """SQLAlchemy's type for a column of Arrow's type `kind`. What has no counterpart is text; lists and structs
    are JSON."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql

    types = pa.types
    simple: list[tuple[Any, Any]] = [
        (types.is_boolean, sa.Boolean()),
        (types.is_uint64, sa.Numeric(20, 0)),
        (types.is_uint32, sa.BigInteger()),
        (types.is_int64, sa.BigInteger()),
        (types.is_duration, sa.BigInteger()),
        (types.is_int8, sa.SmallInteger()),
        (types.is_int16, sa.SmallInteger()),
        (types.is_uint8, sa.SmallInteger()),
        (types.is_integer, sa.Integer()),
        (types.is_float64, sa.Double()),
        (types.is_floating, sa.REAL()),
        (types.is_date, sa.Date()),
        (types.is_time, sa.Time()),
        (types.is_nested, sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
        (types.is_binary, sa.LargeBinary()),
        (types.is_large_binary, sa.LargeBinary()),
        (types.is_fixed_size_binary, sa.LargeBinary()),
    ]
    if types.is_timestamp(kind):
        return sa.DateTime(timezone=kind.tz is not None)
    if types.is_decimal(kind):
        return sa.Numeric(kind.precision, kind.scale)
    return next((made for test, made in simple if test(kind)), sa.Text())
