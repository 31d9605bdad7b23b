"""The seam between committed mini-batches and the place where results shall be. Driver only.

Workers encode (`penstock.runtimes.batch.encoders`); a sink looks at its place before any work, says where
parts are staged, and publishes them in the plan's order when all are there. Nothing appears at the place before
it is complete, and nothing that others have put there is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Part:
    """One committed mini-batch: its number in the plan, its staged file, its rows and bytes; `schema` is the same
    for files of the same schema, or empty."""

    number: int
    path: str
    rows: int
    size: int
    schema: str = ""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is there now: `where` for people, `files` and `size` in bytes (0 where there are none, as in a
    database), `rows`. `note` says what else should be known."""

    where: str
    files: int
    rows: int
    size: int
    note: str = ""


class Sink(Protocol):
    """One place for results."""

    @property
    def encoding(self) -> str:
        """The encoder that workers use: a name of `penstock.runtimes.batch.encoders.registry`."""

    def check(self) -> None:
        """Before any work. Raises OutputError: something is there already, no folder, no permission, no such
        table, a key that is missing. Changes nothing."""

    def staging(self) -> str:
        """The folder for staged parts, made if need be; beside the place where that makes publishing a rename."""

    def publish(self, parts: Callable[[], Iterable[Part]]) -> Published:
        """Make the results appear, all at once where the place allows, else with a marker that is written last.
        `parts` gives those that have results, by number, anew at each call. May be called again after it was
        killed at any point, and then ends in the same state; called when it was done, it changes nothing.
        Raises OutputError (disk full, connection lost): then the job can be resumed."""

    def discard(self) -> None:
        """Remove what `staging` made; the results stay."""
