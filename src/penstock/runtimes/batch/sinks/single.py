"""A single file: made whole beside its place, then given its name in one step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import merging, places, receipts, staged
from penstock.runtimes.batch.sinks.interface import Part, Published

MERGERS: dict[str, Callable[[Sequence[Part], Path], None]] = {
    "parquet": merging.parquet_file,
    "csv": merging.lines_with_header,
    "jsonl": merging.lines,
    "append-row": merging.lines,
    "append-row-mlflow": merging.lines,
}
"""How parts become one file, by `Output.form`."""


class FileSink:
    """See `penstock.runtimes.batch.sinks.interface`."""

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._form = output.form
        self._mode = output.mode
        self._place = Path(os.path.realpath(output.location))
        self._receipt = receipts.Receipt(folder)
        self._beside = self._place.with_name(receipts.staging_name(self._place.name, job, folder))

    @property
    def encoding(self) -> str:
        """See the interface."""
        return self._form

    def check(self) -> None:
        """See the interface."""
        place = self._place
        if self._receipt.load():
            return  # we have begun to publish: the check was passed, and what is there may be ours
        if place.is_dir():
            raise OutputError(
                f"{place} is a folder, and the results are one file",
                hint=f"choose a file in it: --output {place / 'predictions'}",
            )
        places.check_can_be_made(place)
        if not place.exists() or self._mode in ("replace", "skip"):
            return
        if self._mode == "append":
            raise OutputError("NYI")
        raise OutputError(
            f"{place} is there already", hint="choose another --output, or say --if-exists replace"
        )

    def staging(self) -> str:
        """See the interface."""
        staging = self._beside / "parts"
        places.make_folder(staging)
        return str(staging)

    def publish(self, parts: Callable[[], Iterable[Part]]) -> Published:
        """See the interface."""
        published = self._receipt.published()
        if published is not None:
            return published
        with places.translated(self._place):
            chosen = staged.whole(parts())
            rows = sum(part.rows for part in chosen)
            appears = self._receipt.load().get("appears")
            if not appears or places.identity(self._place) != appears:
                if self._mode == "skip" and self._place.exists():
                    note = (
                        f"{self._place} was there already and is left as it was; the results are not written"
                    )
                    return self._receipt.finish(
                        Published(where=str(self._place), files=0, rows=0, size=0, note=note)
                    )
                self._appear(chosen)
            size = self._place.stat().st_size
        return self._receipt.finish(Published(where=str(self._place), files=1, rows=rows, size=size))

    def _appear(self, parts: Sequence[Part]) -> None:
        places.make_folder(self._beside)
        final = self._beside / "final"
        final.unlink(missing_ok=True)
        MERGERS[self._form](parts, final)
        places.sync(final)
        self._receipt.save(appears=places.identity(final))
        if self._mode == "replace":
            final.replace(self._place)
        else:
            places.rename_new(final, self._place)
        places.sync(self._place.parent)

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._beside)
