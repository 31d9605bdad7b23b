"""The seam between places that hold inputs and the rest. Driver only.

A source lists files and brings them near; workers see local files and nothing else, so that neither cloud
libraries nor credentials are needed in a deployment's environment. A database is a source whose "files" are
ranges of a query, brought near as Arrow files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from penstock.runtimes.batch.plan import SourceFile


class Source(Protocol):
    """One of the locations of a job's input."""

    def files(self) -> Iterator[SourceFile]:
        """What is there, in a fixed order (by path, as text; a database's ranges by their start), found while it
        is iterated: a million files are never all in memory. Hidden files, ``_SUCCESS`` and its like, and empty
        folders are left out. Raises DataError: nothing there, no access, no such format."""

    def column_types(self) -> Mapping[str, str]:
        """Arrow's names of the columns' types, where the place itself knows them (a Delta table: also of columns
        that only `SourceFile.constants` hold); what is not said here is for the caller to infer. Known once
        `files` has begun."""

    def is_local(self) -> bool:
        """Whether `SourceFile.uri` is a path that workers can open as it is."""

    def is_uniform(self) -> bool:
        """Whether all files are known to have the same columns, so that a look at one of them is enough."""

    def fetch(self, file: SourceFile, path: str) -> None:
        """Bring `file` to the local `path`, whole or not at all. May be called from several threads, also by a
        source that has listed nothing (a resumed job). Raises DataError: gone, changed since it was listed
        (its stamp), no access; temporary failures are repeated inside with back-off."""

    def fetch_end(self, file: SourceFile, path: str) -> bool:
        """Bring the end of a Parquet file to the local `path`, at least its footer: a file as long as the whole,
        hollow before. False: the place gives nothing less than the whole. Raises DataError, as `fetch`."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a source knows the format of what it finds.

    `format` is the one that was said for all of the input, or empty: then `of_name` says it by a file's name,
    empty where it knows none, which is a DataError. `by_path`: files are handed to a script by path, whatever
    they hold; their format is ``files``. `nested`: folders within a folder are read.
    """

    of_name: Callable[[str], str]
    format: str = ""
    by_path: bool = False
    nested: bool = True
