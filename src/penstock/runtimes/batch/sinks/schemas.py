"""Parts that shall be one table: one schema for all, and those written anew that have another.

A script may return integers for one mini-batch and floats for the next, or nothing but missing values; a
dataset of such parts could not be read. The common schema depends on the parts alone, so it is the same in
every run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from penstock.runtimes.batch.encoders import parquet, tables
from penstock.runtimes.batch.sinks.interface import Part


@dataclass(frozen=True, kw_only=True)
class Common:
    """`schema` is the ``pyarrow.Schema`` of all, None where there is no part; `deviating` are the paths of the
    parts that have another."""

    schema: Any
    deviating: frozenset[str]


def common(parts: Iterable[Part]) -> Common:
    """The schema for `parts`, which are Parquet files. Raises OutputError where there is none."""
    known: list[Any] = []
    told: dict[str, Any] = {}
    of_path: dict[str, Any] = {}
    for part in parts:
        path = part.path
        if part.schema in told:
            of_path[path] = told[part.schema]
            continue
        schema = pq.read_schema(path)
        same = next((one for one in known if one.equals(schema, check_metadata=True)), None)
        if same is None:
            known.append(schema)
        of_path[path] = same or schema
        if part.schema:
            told[part.schema] = of_path[path]
    if not known:
        return Common(schema=None, deviating=frozenset())
    wide = tables.unified(known, what="mini-batches")
    fitting = {id(one) for one in known if one.equals(wide, check_metadata=True)}
    return Common(
        schema=wide, deviating=frozenset(path for path, one in of_path.items() if id(one) not in fitting)
    )


def rewrite(path: str, schema: Any, target: Path) -> None:
    """The rows of the file at `path` in a file at `target` with `schema`."""
    with parquet.open_writer(str(target), schema) as writer:
        for table in parquet.groups_of(path):
            writer.write_table(tables.fitted(table, schema), tables.ROWS_MOST)
