"""A single file: made whole beside its place, then given its name in one step.

Appending makes the file anew as well, the old content first: a reader sees the old file or the new one, and
what was killed half-way is not half appended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import merging, places, receipts, staged
from penstock.runtimes.batch.sinks.interface import Part, Published

Merger = Callable[[Sequence[Part], Path, "Path | None"], None]

MERGERS: dict[str, Merger] = {
    "parquet": merging.parquet_file,
    "csv": merging.lines_with_header,
    "jsonl": merging.lines,
    "append-row": merging.lines,
    "append-row-header": merging.lines_with_header,
    "append-row-mlflow": merging.lines,
}
"""How parts become one file, by the encoding of the parts."""


def encoding_of(output: Output) -> str:
    """The encoder for a single file of `output`."""
    return "append-row-header" if output.header and output.form == "append-row" else output.form


def check_mode(mode: str, encoding: str) -> None:
    """Raises OutputError for a mode that a single file cannot have."""
    if mode == "append" and encoding == "parquet":
        raise OutputError(
            "nothing can be appended to a single Parquet file",
            hint="use a folder as --output, to which parts can be added; or write CSV or JSON Lines",
        )
    if mode == "upsert":
        raise OutputError(
            "rows of a file cannot be upserted",
            hint="write to a Delta or SQL table, or say --if-exists replace",
        )


def taken(place: str, encoding: str) -> OutputError:
    """Something is at `place` already, and nobody has said what to do with it."""
    choices = "replace" if encoding == "parquet" else "replace or --if-exists append"
    return OutputError(
        f"{place} is there already", hint=f"choose another --output, or say --if-exists {choices}"
    )


def skipped(place: str) -> Published:
    """Something is at `place` already, and shall stay."""
    note = f"{place} was there already and is left as it was: the results are not written"
    return Published(where=place, files=0, rows=0, size=0, note=note)


class FileSink:
    """See `penstock.runtimes.batch.sinks.interface`."""

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._encoding = encoding_of(output)
        self._mode = output.mode
        self._place = Path(os.path.realpath(output.location))
        self._receipt = receipts.Receipt(folder)
        self._beside = self._place.with_name(receipts.staging_name(self._place.name, job, folder))

    @property
    def encoding(self) -> str:
        """See the interface."""
        return self._encoding

    def check(self) -> None:
        """See the interface."""
        place = self._place
        if self._receipt.load():
            return  # we have begun to publish: the check was passed, and what is there may be ours
        if place.is_dir():
            raise OutputError(
                f"{place} is a folder, and the results are one file", hint="name a file in it as --output"
            )
        places.check_can_be_made(place)
        check_mode(self._mode, self._encoding)
        if not place.exists() or self._mode in ("append", "replace", "skip"):
            return
        raise taken(str(place), self._encoding)

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
            saved = self._receipt.load()
            if not self._is_ours(saved):
                if self._mode == "skip" and self._place.exists():
                    return self._receipt.finish(skipped(str(self._place)))
                saved = self._appear(staged.whole(parts()))
            size = self._place.stat().st_size
        return self._receipt.finish(Published(where=str(self._place), files=1, rows=saved["rows"], size=size))

    def _is_ours(self, saved: dict[str, Any]) -> bool:
        """Whether what is there is what we have made; then it is complete."""
        return "appears" in saved and places.identity(self._place) == saved["appears"]

    def _appear(self, parts: Sequence[Part]) -> dict[str, Any]:
        self.staging()
        final = self._beside / "final"
        final.unlink(missing_ok=True)
        before = self._place if self._mode == "append" and self._place.exists() else None
        was = places.state(self._place)
        MERGERS[self._encoding](parts, final, before)
        places.sync(final)
        saved = {"appears": places.identity(final), "rows": sum(part.rows for part in parts)}
        self._receipt.save(**saved)
        if self._mode not in ("append", "replace") or not was:
            places.rename_new(final, self._place)
        elif self._mode == "append" and places.state(self._place) != was:
            raise OutputError(
                f"{self._place} was changed by somebody else while results were appended to it",
                hint="resume the job: everything that is scored is kept",
            )
        else:
            final.chmod(self._place.stat().st_mode & 0o777)
            final.replace(self._place)
        places.sync(self._place.parent)
        return saved

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._beside)
