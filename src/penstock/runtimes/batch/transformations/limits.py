"""``take`` and ``skip`` of an MLTable, planned: which file and row is its first, and which its last.

Both count rows from the beginning of the whole job, after what stands above them. Filters and samples look at
one row at a time, so whatever stands above, what is left is one stretch of the rows as they are read, filtered:
`find` reads as far as it must to know where that stretch begins and ends, and `planned` writes it down in place
of the limits. Runs in the driver; Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence, TypeVar

from penstock.errors import DataError
from penstock.runtimes.batch.transformations import rewriting
from penstock.runtimes.batch.transformations.rewriting import Origin, Transformations

_DROPS_ROWS = ("filter", "take_random_sample")

F = TypeVar("F")


@dataclass(frozen=True)
class Window:
    """A stretch of the rows of all files, in the order of the plan: from row `first_row` of `first_file` up to but
    without row `stop_row` of `last_file`. `last_file` empty: to the end. `empty`: there is no row in it."""

    first_file: str = ""
    first_row: int = 0
    last_file: str = ""
    stop_row: int = 0
    empty: bool = False


def are_limited(transformations: Transformations) -> bool:
    """Whether there is a ``take`` or ``skip``."""
    return any(name in ("take", "skip") for step in transformations for name in step)


def counts(transformations: Transformations) -> tuple[int, int]:
    """How many rows are skipped at the beginning, and how many are taken then (-1: all), where nothing above the
    limits leaves rows out. Raises DataError where something does: then rows must be read to count them, see `find`.
    """
    skip, take = 0, -1
    for number, step in enumerate(transformations):
        ((name, said),) = step.items()
        if name not in ("take", "skip"):
            continue
        if any(each in _DROPS_ROWS for above in transformations[:number] for each in above):
            raise DataError(f"{name}: {said} counts the rows that a filter or sample above it leaves")
        if name == "take":
            take = said if take < 0 else min(take, said)
        else:
            skipped = said if take < 0 else min(said, take)
            skip, take = skip + skipped, take if take < 0 else take - skipped
    return skip, take


def find(transformations: Transformations, tables: Iterable[tuple[Any, Origin]]) -> Window:
    """The stretch that the limits leave of `tables`: the job's rows in the order of the plan, with the columns that
    `transformations.columns_before` names for nothing wanted, and the numbers that they have in their file in
    `rewriting.PLACE`. No more of them are read than must be."""
    stages = _stages(transformations)
    first: tuple[str, int] | None = None
    for table, origin in tables:
        left, stop = _through(table, origin, stages)
        if first is None and left:
            first = (origin.file, left[0])
        if stop is not None:
            if first is None:
                return Window(empty=True)
            return Window(first[0], first[1], origin.file, stop)
    return Window(empty=True) if first is None else Window(*first)


def planned(transformations: Transformations, window: Window) -> list[Mapping[str, Any]]:
    """`transformations` with `window` in place of the limits."""
    said = dataclasses.asdict(window)
    del said["empty"]
    others = [step for step in transformations if not are_limited([step])]
    return [{"within": said}, *others]


def files_within(files: Iterable[F], window: Window, uri: Callable[[F], str]) -> Iterator[F]:
    """Those of `files`, in the order of the plan, that have rows in `window`."""
    inside = False
    if window.empty:
        return
    for file in files:
        inside = inside or uri(file) == window.first_file
        if inside:
            yield file
        if window.last_file and uri(file) == window.last_file:
            return


@dataclass
class _Stage:
    """The steps above a limit, and what is left of it."""

    above: Sequence[Mapping[str, Any]]
    limit: str
    left: int


def _stages(transformations: Transformations) -> list[_Stage]:
    stages: list[_Stage] = []
    above: list[Mapping[str, Any]] = []
    for step in transformations:
        ((name, said),) = step.items()
        if name in ("take", "skip"):
            stages.append(_Stage(above, name, said))
            above = []
        else:
            above.append(step)
    return stages


def _through(table: Any, origin: Origin, stages: Sequence[_Stage]) -> tuple[list[int], int | None]:
    """The places in the file of those rows of `table` that pass all `stages`, and the place at which a ``take``
    has had enough, or None."""
    stop: int | None = None
    for stage in stages:
        table = rewriting.through(table, stage.above, origin)
        if stage.limit == "skip":
            skipped = min(stage.left, table.num_rows)
            stage.left -= skipped
            table = table.slice(skipped)
            continue
        table = table.slice(0, stage.left)
        stage.left -= table.num_rows
        if stage.left == 0:
            last = table.column(rewriting.PLACE)[-1].as_py() + 1 if table.num_rows else origin.first_row
            stop = last if stop is None else min(stop, last)
    return table.column(rewriting.PLACE).to_pylist(), stop
