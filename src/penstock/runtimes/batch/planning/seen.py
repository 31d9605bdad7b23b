"""Which files were scored before, for ``--incremental``. One SQLite file for each kind of job, beside the jobs.

A file counts as seen with its size and stamp: one that has changed is new. What a job has scored is added when its
results are published, not before; a kill in between makes the next job score it again, into the same place, which
the sinks' own records refuse or the user sees. Driver only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from penstock.runtimes.batch.plan import SourceFile


class Seen:
    """The files of one `kind` of job."""

    def __init__(self, root: Path, kind: str) -> None:
        folder = root / ".seen"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._base = sqlite3.connect(folder / f"{kind}.sqlite", isolation_level=None)
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS files (uri TEXT PRIMARY KEY, size INTEGER, stamp TEXT) WITHOUT ROWID"
        )

    def has(self, file: SourceFile) -> bool:
        """Whether this very state of `file` was scored."""
        row = self._base.execute("SELECT size, stamp FROM files WHERE uri = ?", (file.uri,)).fetchone()
        return row is not None and (row[0], row[1]) == (file.size, file.stamp)

    def add(self, files: Iterable[SourceFile]) -> None:
        """Remember `files`, all or none."""
        self._base.execute("BEGIN")
        self._base.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?)",
            ((file.uri, file.size, file.stamp) for file in files),
        )
        self._base.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()
