"""A table of a database: rows and the ledger's row in one transaction, so that a job's results are there once,
whatever is killed when.

The ledger is the table ``penstock_jobs`` beside the target, one row a job. PostgreSQL gets the rows by COPY into
a temporary table, and from there into the target in one statement, which keeps the target's locks short; other
databases get them by INSERT.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import arrow, tables
from penstock.runtimes.batch.sinks import places, receipts, sql_loading, sql_tables, staged
from penstock.runtimes.batch.sinks.interface import Part, Published

_TRY_AGAIN = "resume the job: everything that is scored is kept, and no row is written twice"


class SqlSink:
    """See `penstock.runtimes.batch.sinks.interface`."""

    encoding = "arrow"

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._output = output
        self._job = job
        self._receipt = receipts.Receipt(folder)
        self._staging = Path(folder) / "staged"

    # Before any work.

    def check(self) -> None:
        """See the interface."""
        if self._receipt.load():
            return  # we have begun to publish: the check was passed, and what is there may be ours
        if not self._output.table:
            raise OutputError("no table is named for the results", hint="name one with --table")
        if self._output.mode == "upsert" and not self._output.key:
            raise OutputError(
                "upsert needs the columns by which a row is known",
                hint="name them with --key, for example --key id",
            )
        with self._connected() as connection, connection.begin():
            target = sql_tables.Target.of(connection, self._output.table)
            self._check_target(connection, target)
            sql_tables.check_permissions(connection, target, self._output.mode)

    def _check_target(self, connection: Any, target: sql_tables.Target) -> None:
        mode = self._output.mode
        if not target.columns:
            return
        if mode == "error":
            raise OutputError(
                f"the table {target.shown} is there already",
                hint="choose another --table, or say --if-exists append, replace, or upsert with --key",
            )
        if mode == "upsert":
            target.check_key(self._output.key)
        elif mode == "replace" and not target.is_ours(connection) and target.has_rows(connection):
            raise OutputError(
                f"the table {target.shown} has rows, and no job of Penstock has written to it, so nothing in it"
                " is replaced",
                hint="empty it yourself, or say --if-exists append",
            )

    def staging(self) -> str:
        """See the interface."""
        places.make_folder(self._staging)
        return str(self._staging)

    # After all work.

    def publish(self, parts: Callable[[], Iterable[Part]]) -> Published:
        """See the interface."""
        published = self._receipt.published()
        if published is not None:
            return published
        saved = self._receipt.load()
        if "id" not in saved:
            # A job's name is unique in one folder only, and the database is everybody's.
            saved = {"id": uuid.uuid4().hex}
            self._receipt.save(**saved)
        chosen = staged.whole(parts())
        with self._connected() as connection:
            with connection.begin():
                sql_tables.make_ledger(connection, sql_tables.Target.of(connection, self._output.table))
            with connection.begin():
                target = sql_tables.Target.of(connection, self._output.table)
                rows = target.ledger_rows(connection, saved["id"])
                if rows is None:
                    rows = self._write(connection, target, chosen)
                    target.add_to_ledger(connection, saved["id"], self._job, rows)
        where = f"{sql_tables.url(self._output.location).render_as_string(hide_password=True)} {target.shown}"
        return self._receipt.finish(Published(where=where, files=0, rows=rows, size=0))

    def _write(self, connection: Any, target: sql_tables.Target, parts: Sequence[Part]) -> int:
        self._check_target(connection, target)
        filled = staged.with_rows(list(parts))
        schema = (
            tables.unified([_schema_of(part.path) for part in filled], what="mini-batches")
            if filled
            else None
        )
        if schema is None:
            return 0
        mode, key = self._output.mode, self._output.key
        if target.columns:
            target.check_columns(schema, key)
        else:
            target.create(connection, schema, key if mode == "upsert" else ())
        if mode == "replace":
            target.empty(connection)
        loader = sql_loading.loader(connection, target, schema, key if mode == "upsert" else ())
        for part in filled:
            for table in arrow.groups_of(part.path):
                loader.add(tables.fitted(table, schema))
        return loader.finish()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        """A connection; what the database says against us becomes an OutputError without secrets."""
        try:
            import sqlalchemy
        except ImportError as error:
            raise OutputError(
                "results in a database need SQLAlchemy, which is not installed",
                hint="pip install 'penstock[sql]'",
            ) from error
        engine = sql_tables.engine(self._output.location)
        try:
            with engine.connect() as connection:
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            # The exception itself also shows the statement and rows.
            text = str(error.orig).strip()
            raise OutputError(f"the database said: {text}", hint=_TRY_AGAIN) from None
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise OutputError(f"the database cannot be used: {error}", hint=_TRY_AGAIN) from None
        except sql_loading.driver_errors(engine) as error:
            raise OutputError(f"the database said: {str(error).strip()}", hint=_TRY_AGAIN) from None
        finally:
            engine.dispose()

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._staging)


def _schema_of(path: str) -> Any:
    import pyarrow as pa

    with pa.OSFile(path) as source:
        return pa.ipc.open_file(source).schema
