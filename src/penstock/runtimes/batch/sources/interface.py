"""The seam between places that hold inputs and the rest. Driver only.

A source lists files and brings them near; workers see local files and nothing else, so that neither cloud
libraries nor credentials are needed in a deployment's environment. A database is a source whose "files" are
ranges of a query, brought near as Arrow files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from penstock.runtimes.batch.plan import SourceFile


class Source(Protocol):
    """One of the locations of a job's input."""

    def files(self) -> Iterator[SourceFile]:
        """What is there, in a fixed order (by name; a database's ranges by their start), found while it is
        iterated: a million files are never all in memory. Hidden files, ``_SUCCESS`` and its like, and empty
        folders are left out. Raises DataError: nothing there, no access, no such format."""

    def is_local(self) -> bool:
        """Whether `SourceFile.uri` is a path that workers can open as it is."""

    def fetch(self, file: SourceFile, path: str) -> None:
        """Bring `file` to the local `path`, whole or not at all. May be called from several threads. Raises
        DataError: gone, changed since it was listed (its stamp), no access; temporary failures are
        repeated inside with back-off."""

    def close(self) -> None:
        """Let go of connections."""
