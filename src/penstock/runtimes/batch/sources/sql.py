"""A query's result as files: ranges of a column, each an Arrow file that a thread of its own may bring.

All ranges show the data as they were at one moment. A job that is resumed has lost that moment; what it has not
fetched yet it reads as of now, and only where the database can tell that nothing of it has changed.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pyarrow as pa

from penstock.errors import DataError
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import arrivals, selection
from penstock.runtimes.batch.sources.databases import Database
from penstock.runtimes.batch.sources.sql_ranges import Range, Relation, rows_per_range

T = TypeVar("T")

OPTIONS = frozenset(("rows_per_range",))
"""Storage options that are minded here: how many rows a range shall hold, in place of about 32 MB."""

_BATCH_BYTES = 4 << 20


class SqlSource:
    """See `penstock.runtimes.batch.sources.interface`. `where` is the database as people may see it."""

    def __init__(
        self,
        database: Database,
        where: str,
        query: str,
        *,
        split_column: str = "",
        rows: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._where = where
        self._query = query
        self._split_column = split_column
        self._rows = rows
        self._sleep = sleep
        self._lock = threading.Lock()
        self._relation: Relation | None = None

    def files(self) -> Iterator[SourceFile]:
        """As `Source.files`."""
        snapshot = self._asking(self._database.snapshot)
        relation = self._known()
        schema, width, rows = self._asking(lambda: self._database.describe(relation))
        self._check_names(schema)
        split = self._split(relation)
        base = Range(snapshot=snapshot, schema=schema.serialize().to_pybytes().hex(), rows=rows)
        if not split:
            digest = self._asking(lambda: self._database.digest(relation, base))
            yield self._file(relation, base, width, digest)
            return
        many = rows_per_range(width, self._rows)
        ranges = self._database.ranges(relation, split, many)
        # Not repeated: a generator that has raised would only end, and the rest would be missing.
        while (found := self._asking(lambda: next(ranges, None), attempts=1)) is not None:
            part = dataclasses.replace(found[0], snapshot=snapshot, schema=base.schema)
            yield self._file(relation, part, width, found[1])

    def column_types(self) -> Mapping[str, str]:
        """As `Source.column_types`: there are no constants."""
        return {}

    def is_local(self) -> bool:
        """As `Source.is_local`."""
        return False

    def is_uniform(self) -> bool:
        """As `Source.is_uniform`."""
        return True

    def fetch(self, file: SourceFile, path: str) -> None:
        """As `Source.fetch`."""
        part = Range.from_json(file.fetch)
        schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(part.schema)))
        rows = max(1, min(65_536, int(_BATCH_BYTES * max(part.rows, 1) / max(file.size, 1))))
        with arrivals.arriving(path, file.uri) as temporary:

            def bring() -> None:
                relation = self._known()
                self._check_same(relation, part, file)
                with pa.OSFile(temporary, "wb") as out, pa.ipc.new_file(out, schema) as writer:
                    count = 0
                    for batch in self._database.read(relation, part, schema, rows):
                        writer.write_batch(batch)
                        count += batch.num_rows
                if part.column and count != part.rows:
                    raise DataError(
                        f"{file.uri} gave {count} rows, where {part.rows} were counted",
                        hint="does the query call random() or the like? its result must be the same each time",
                    )

            self._asking(bring)

    def fetch_end(self, file: SourceFile, path: str) -> bool:
        """As `Source.fetch_end`: ranges of rows have none."""
        return False

    def close(self) -> None:
        """As `Source.close`."""
        self._database.close()

    def _check_same(self, relation: Relation, part: Range, file: SourceFile) -> None:
        if part.snapshot == self._database.snapshot():
            return
        now = self._database.digest(relation, part)
        if now and now == file.stamp:
            return
        said = (
            "has changed since the job was planned" if now else "may have changed since the job was planned"
        )
        raise DataError(
            f"{file.uri} {said}: the connection that kept the data as they were is gone, "
            "and this part is not here yet",
            hint="start a new job; what a job has fetched it can resume, and what it has not, too, where the data "
            "stay the same and are read in ranges (--split-column, or a table with an integer primary key)",
        )

    def _known(self) -> Relation:
        with self._lock:
            if self._relation is None:
                self._relation = self._asking(lambda: self._database.relation(self._query))
            return self._relation

    def _split(self, relation: Relation) -> str:
        if not self._split_column:
            return self._asking(lambda: self._database.integer_key(relation))
        if self._split_column not in relation.columns:
            raise DataError(
                f"{relation.label} in {self._where} has no column {self._split_column!r} to split it by",
                hint=selection.near(self._split_column, relation.columns, "it"),
            )
        return self._split_column

    def _check_names(self, schema: pa.Schema) -> None:
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            raise DataError(
                f"the query has more than one column called {twice[0]}",
                hint=f"name them apart in the query: ... AS {twice[0]}_2",
            )

    def _file(self, relation: Relation, part: Range, width: float, digest: str) -> SourceFile:
        return SourceFile(
            uri=f"{self._where}/{relation.label}{part.label()}",
            size=max(0, int(part.rows * max(width, 1))),
            stamp=digest or f"snapshot {part.snapshot}",
            format="arrow",
            constants={},
            fetch=part.to_json(),
        )

    def _asking(self, action: Callable[[], T], attempts: int = 4) -> T:
        """What `action` returns, repeated after what passes by itself; the library's errors as DataError."""
        try:
            return arrivals.persistently(
                action, self._database.is_temporary, attempts=attempts, sleep=self._sleep
            )
        except (DataError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - every driver has its own
            # Without its cause: a traceback would show the library's own words, and credentials with them.
            raise self._database.explained(error) from None


def open_sql(location: str, query: str, *, split_column: str, storage: Mapping[str, str]) -> SqlSource:
    """The result of `query` in the database at `location`. Raises DataError: no query, no such kind of database,
    a library missing. Nothing is connected yet."""
    if not query.strip():
        raise DataError(
            "nobody says what to read from the database", hint="--query TABLE, or --query 'SELECT ...'"
        )
    database, where = _database(location)
    return SqlSource(
        database, where, query, split_column=split_column, rows=storage.get("rows_per_range", "")
    )


def _database(location: str) -> tuple[Database, str]:
    import sqlalchemy

    from penstock.runtimes.batch.sources import addresses

    scheme = addresses.scheme_of(location).partition("+")[0]
    try:
        url: Any = sqlalchemy.make_url(location)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise DataError(
            "the database's URL cannot be read",
            hint="postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for @ and %2F for / in a password",
        ) from None
    host = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    where = f"{scheme}://{host}/{url.database or ''}"
    if scheme in ("postgresql", "postgres"):
        from penstock.runtimes.batch.sources.sql_postgres import Postgres

        return Postgres(location.replace("postgres://", "postgresql://", 1), where), where
    from penstock.runtimes.batch.sources.sql_other import OtherDatabase

    return OtherDatabase(location, where), where
