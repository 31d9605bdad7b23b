"""The parts that are published, looked at before anything is done with them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from penstock.errors import OutputError
from penstock.runtimes.batch.sinks.interface import Part


def whole(parts: Iterable[Part]) -> list[Part]:
    """Those of `parts` that hold something, in their order. Raises OutputError for one that is not what was
    committed: lost, or cut short by a machine that lost its power."""
    chosen = []
    for part in parts:
        if not part.size:
            continue
        size = _size_of(part.path)
        if size != part.size:
            found = "is gone" if size < 0 else f"has {size} bytes, not the {part.size} that were committed"
            raise OutputError(
                f"the staged results of mini-batch {part.number} are damaged: {part.path} {found}",
                hint="the job cannot be completed: run it again under another name",
            )
        chosen.append(part)
    return chosen


def _size_of(path: str) -> int:
    """Bytes; -1 where nothing is."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - there may be a hundred thousand
    except FileNotFoundError:
        return -1


def with_rows(parts: list[Part]) -> list[Part]:
    """`parts` without those that have a schema but no rows; one of them is kept where there are no others, so
    that the columns are known."""
    return [part for part in parts if part.rows] or parts[:1]
