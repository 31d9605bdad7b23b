"""A query's result in ranges of its split column: how many rows each, what is kept of one, how it is said in SQL.
Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from penstock.errors import DataError

ALIAS = "penstock_input"
"""What the query is called in ours."""

_RANGE_BYTES = 32 << 20
_FEWEST, _MOST = 1_000, 1_000_000
_NAME = re.compile(
    r'\s*((?:"(?:[^"]|"")+"|[^\W\d][\w$]*)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))*)\s*;?\s*\Z'
)
_PART = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*')


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What is read: `sql` stands behind FROM (with its alias), `label` is for people, `columns` are its names.
    `key`: the primary key's columns, empty for a query or where there is none. `table`: it is a table itself, so
    that its rows have places."""

    sql: str
    label: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    table: bool = False


@dataclass(frozen=True, kw_only=True)
class Range:
    """Rows of a relation: those with `first` <= `column` < `stop`, or, at the end, <= `last`; bounds as the
    database writes them, `kind` being their type there. `missing`: those without a value. An empty `column`:
    all rows. `snapshot` names the state of the data that was looked at, `schema` is Arrow's, in hexadecimal."""

    snapshot: str
    schema: str
    rows: int = -1
    column: str = ""
    kind: str = ""
    first: str | None = None
    stop: str | None = None
    last: str | None = None
    missing: bool = False

    def to_json(self) -> str:
        """One line."""
        said = asdict(self)
        return json.dumps({name: value for name, value in said.items() if value is not None and value != ""})

    @classmethod
    def from_json(cls, text: str) -> Range:
        """The reverse of `to_json`."""
        return cls(**{"snapshot": "", "schema": "", **json.loads(text)})

    def where(self, quoted: Callable[[str], str], literal: Callable[[str, str], str]) -> str:
        """The condition in SQL, empty for all rows; `quoted` writes a name, `literal` a bound of a type."""
        if not self.column:
            return ""
        name = quoted(self.column)
        if self.missing:
            return f"WHERE {name} IS NULL"
        parts = [f"{name} >= {literal(self.first or '', self.kind)}"]
        if self.stop is not None:
            parts.append(f"{name} < {literal(self.stop, self.kind)}")
        elif self.last is not None:
            parts.append(f"{name} <= {literal(self.last, self.kind)}")
        return f"WHERE {' AND '.join(parts)}"

    def label(self) -> str:
        """For people, and to tell ranges apart."""
        if not self.column:
            return ""
        if self.missing:
            return f"?{self.column}=NULL"
        last = f"<{self.stop}" if self.stop is not None else f"<={self.last}"
        return f"?{self.first}<={self.column}{last}"


def between(starts: Sequence[str], last: str) -> Iterator[tuple[str, str | None, str | None]]:
    """First, stop and last of the ranges that begin at `starts` (sorted by the database, doubles allowed)."""
    distinct = list(dict.fromkeys(starts))
    for index, first in enumerate(distinct):
        if index + 1 < len(distinct):
            yield first, distinct[index + 1], None
        else:
            yield first, None, last


def rows_per_range(width: float, said: str) -> int:
    """How many rows of about `width` bytes a range holds; `said` is the user's own number, or empty. Raises
    DataError when that is none."""
    if said:
        if not said.isdigit() or int(said) < 1:
            raise DataError(f"rows_per_range is {said!r}", hint="a whole number of rows, 100000")
        return int(said)
    return int(min(max(_RANGE_BYTES / max(width, 1), _FEWEST), _MOST))


def table_name(query: str) -> list[str] | None:
    """The parts of the name, when `query` is nothing but a table's, each as it was written; else None."""
    found = _NAME.match(query)
    return _PART.findall(found[1]) if found else None


def unquoted(part: str) -> str:
    """One part of a name as the database keeps it when it was quoted, and as it was written when not."""
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def subquery(query: str) -> str:
    """`query` as something to select from. On lines of its own: it may end in a comment."""
    return f"(\n{query.strip().rstrip(';').rstrip()}\n) AS {ALIAS}"


def digest_of(text: str) -> str:
    """Eight digits that tell queries apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
