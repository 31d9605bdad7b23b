"""A Parquet dataset in an object store: parts uploaded one by one, ``_SUCCESS`` last.

Nothing there can be renamed, so readers must wait for ``_SUCCESS``, as they do with Spark. What was there before
is kept in the job's receipt, so that whoever comes after a kill ends it the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from penstock.bundle.batch import Output
from penstock.runtimes.batch.sinks import dataset, objects, places, receipts, schemas, staged
from penstock.runtimes.batch.sinks.dataset import MARKER, Listed
from penstock.runtimes.batch.sinks.interface import Part, Published

_UPLOADS = 4
"""At the same time."""


class RemoteDatasetSink:
    """See `penstock.runtimes.batch.sinks.interface`."""

    encoding = "parquet"

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._mode = output.mode
        self._job = job
        self._objects = objects.Objects(output)
        self._receipt = receipts.Receipt(folder)
        self._staging = Path(folder) / "staged"

    def check(self) -> None:
        """See the interface."""
        if not self._receipt.load():  # else the check was passed, and what is there may be ours
            self._looked_at()

    def _looked_at(self) -> tuple[list[str], list[Listed]]:
        """The names that are there, and the parts that are ours. Raises OutputError where the mode forbids it."""
        there = sorted(entry.key for entry in self._objects.list() if not entry.key.startswith("."))
        ours = (
            dataset.manifest_of(self._objects.read(MARKER).decode("utf-8", "replace"))
            if MARKER in there
            else None
        )
        dataset.check_mode(self._mode, self._objects.shown, there, ours)
        return there, ours or []

    def staging(self) -> str:
        """See the interface."""
        places.make_folder(self._staging)
        return str(self._staging)

    def publish(self, parts: Callable[[], Iterable[Part]]) -> Published:
        """See the interface."""
        published = self._receipt.published()
        if published is not None:
            return published
        try:
            saved = self._receipt.load() or self._begin()
            old = [Listed(**part) for part in saved["old"]]
            self._objects.remove(MARKER)
            listed = self._upload(staged.with_rows(staged.whole(parts())), saved["prefix"])
            if self._mode == "replace":
                for part in old:
                    self._objects.remove(part.name)
                old = []
            self._objects.write(dataset.manifest_text([*old, *listed]).encode(), MARKER)
        finally:
            self._objects.close()
        rows, size = sum(part.rows for part in listed), sum(part.size for part in listed)
        return self._receipt.finish(
            Published(where=self._objects.shown, files=len(listed), rows=rows, size=size)
        )

    def _begin(self) -> dict[str, Any]:
        there, ours = self._looked_at()
        saved = {"old": [vars(part) for part in ours], "prefix": dataset.free_prefix(self._job, there)}
        self._receipt.save(**saved)
        return saved

    def _upload(self, parts: list[Part], prefix: str) -> list[Listed]:
        self.staging()
        common = schemas.common(parts)
        names = dataset.part_names(parts, prefix)
        there = {entry.key: entry.size for entry in self._objects.list()}

        def upload(part: Part, name: str) -> Listed:
            path, temporary = Path(part.path), None
            if part.path in common.deviating:
                path = temporary = self._staging / f".{name}"
                schemas.rewrite(part.path, common.schema, path)
            size = path.stat().st_size
            # The name is ours alone, so what is there already is what we have uploaded before we were killed.
            if there.get(name) != size:
                self._objects.put(path, name)
            if temporary:
                temporary.unlink()
            return Listed(name=name, rows=part.rows, size=size)

        with places.translated(self._staging), ThreadPoolExecutor(_UPLOADS) as uploads:
            return list(uploads.map(upload, parts, names))

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._staging)
