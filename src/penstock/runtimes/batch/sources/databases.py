"""The seam between databases and the source that reads them: one file a way to talk to one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from penstock.errors import DataError
from penstock.runtimes.batch.sources.sql_ranges import Range, Relation


class Database(Protocol):
    """One database, seen as it was at one moment, by all of its connections, from the first call of `snapshot` to
    `close`. What its library raises goes through, to `is_temporary` and `explained`."""

    def snapshot(self) -> str:
        """The name of the state that is seen, unique in the world; a state that was lost with its connection is
        followed by a new one."""

    def relation(self, query: str) -> Relation:
        """What `query`, a table's name or a SELECT, means. Raises DataError where there is no such table."""

    def integer_key(self, relation: Relation) -> str:
        """The primary key of `relation` when that is one column of integers; else empty."""

    def describe(self, relation: Relation) -> tuple[Any, float, int]:
        """The columns of `relation` as an Arrow schema, and about how many bytes a row and how many rows it has."""

    def ranges(self, relation: Relation, column: str, rows: int) -> Iterator[tuple[Range, str]]:
        """`relation` in ranges of `column` of about `rows` rows each, in their order, those without a value last;
        each with a digest of its content, which is empty where the database has none. Snapshot and schema are
        left for the caller to fill in."""

    def digest(self, relation: Relation, part: Range) -> str:
        """The digest of what `part` holds now."""

    def read(self, relation: Relation, part: Range, schema: Any, rows: int) -> Iterator[Any]:
        """`part` as Arrow batches of at most `rows` rows, in bounded memory, always in the same order."""

    def is_temporary(self, error: Exception) -> bool:
        """Whether the same may go well a moment later."""

    def explained(self, error: Exception) -> DataError:
        """What `error` means to people, without secrets."""

    def close(self) -> None:
        """Let go of connections."""
