"""A single file in an object store: made whole in the job's folder, then uploaded; it appears when the upload is
complete.

Whether an upload that was killed has arrived is told by what the place held before it, which the receipt keeps:
somebody else's object is never replaced, and nothing is appended twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import objects, places, receipts, single, staged
from penstock.runtimes.batch.sinks.interface import Part, Published


class RemoteFileSink:
    """See `penstock.runtimes.batch.sinks.interface`."""

    def __init__(self, output: Output, *, job: str, folder: str) -> None:
        self._mode = output.mode
        self._encoding = single.encoding_of(output)
        self._objects = objects.Objects(output)
        self._receipt = receipts.Receipt(folder)
        self._staging = Path(folder) / "staged"

    @property
    def encoding(self) -> str:
        """See the interface."""
        return self._encoding

    def check(self) -> None:
        """See the interface."""
        if self._receipt.load():
            return  # we have begun to publish: the check was passed, and what is there may be ours
        single.check_mode(self._mode, self._encoding)
        if self._objects.look() is not None and self._mode not in ("append", "replace", "skip"):
            raise single.taken(self._objects.shown, self._encoding)

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
            there = self._objects.look()
            if saved["before"] and self._mode == "skip":
                return self._receipt.finish(single.skipped(self._objects.shown))
            stamp = there.stamp if there else ""
            if stamp == saved["before"]:
                saved = self._upload(staged.whole(parts()), saved, bool(there))
            elif there is None or there.size != saved["size"]:
                raise OutputError(
                    f"{self._objects.shown} was changed by somebody else while results were published",
                    hint="choose what to do with it, then run the job again under another name",
                )
        finally:
            self._objects.close()
        return self._receipt.finish(
            Published(where=self._objects.shown, files=1, rows=saved["rows"], size=saved["size"])
        )

    def _begin(self) -> dict[str, Any]:
        there = self._objects.look()
        if there is not None and self._mode == "error":
            raise single.taken(self._objects.shown, self._encoding)
        saved = {"before": there.stamp if there else "", "size": -1, "rows": 0}
        self._receipt.save(**saved)
        return saved

    def _upload(self, parts: list[Part], saved: dict[str, Any], there: bool) -> dict[str, Any]:
        self.staging()
        final, before = self._staging / ".final", None
        with places.translated(final):
            if self._mode == "append" and there:
                before = self._staging / ".before"
                self._objects.get(before)
            single.MERGERS[self._encoding](parts, final, before)
            rows = sum(part.rows for part in parts)
            saved = {**saved, "size": final.stat().st_size, "rows": rows}
            self._receipt.save(**saved)
        self._objects.put(final)
        return saved

    def discard(self) -> None:
        """See the interface."""
        places.remove_tree(self._staging)
