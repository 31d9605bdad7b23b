"""Scripts that write for themselves: nothing is left to publish but how much was done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from penstock.bundle.batch import Output
from penstock.runtimes.batch.sinks import places
from penstock.runtimes.batch.sinks.interface import Part, Published


class SummarySink:
    """See `penstock.runtimes.batch.sinks.interface`. What stands in the place is the scripts' own affair."""

    encoding = "none"

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._location = output.location
        self._staging = Path(folder) / "staged"

    def check(self) -> None:
        """See the interface."""

    def staging(self) -> str:
        """See the interface."""
        places.make_folder(self._staging)
        return str(self._staging)

    def publish(self, parts: Callable[[], Iterable[Part]]) -> Published:
        """See the interface."""
        rows = sum(part.rows for part in parts())
        return Published(
            where=self._location, files=0, rows=rows, size=0, note="written by the script itself"
        )

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._staging)
