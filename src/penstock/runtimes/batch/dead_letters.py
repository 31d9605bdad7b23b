"""Dead letters: the rows that could not be scored, each with its error, so that nothing is lost silently.

One JSON object a line: ``file`` and ``row`` of the first item (and ``files`` where there are several), how many
``items`` it stands for, the ``error`` in one line, the ``traceback``, and for single rows their ``values``. A
traceback that an earlier line of the same mini-batch has is not written again: ``traceback_of`` says which line
(from 0) has it. A million rows of one bad value would fill a disk otherwise.

Worker side: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import os
from typing import Any

from penstock.runtimes.batch import rows

MOST_TRACEBACK = 20_000
"""Characters of one traceback that are kept: its end says what happened."""


class DeadLetters:
    """Writes to `path`, which does not exist until there is something to write."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: Any = None
        self._lines = 0
        self._known: dict[str, int] = {}

    @property
    def path(self) -> str:
        """Where they are; empty: there are none."""
        return self._path if self._lines else ""

    def add(self, data: Any, error: str, traceback: str) -> None:
        """`data`, a table of rows or a list of files, has failed."""
        letter = {"items": len(data), **_origin(data), "error": error}
        trace = traceback[-MOST_TRACEBACK:]
        if trace in self._known:
            letter["traceback_of"] = self._known[trace]
        elif trace:
            letter["traceback"] = trace
            self._known[trace] = self._lines
        self._write(letter)

    def add_unread(self, file: str, row: int, error: str) -> None:
        """A row that could not even be read."""
        self._write({"items": 1, "file": file, "row": row, "error": error})

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, letter: dict[str, Any]) -> None:
        if self._file is None:
            self._file = open(self._path, "w", encoding="utf-8")  # noqa: SIM115 - closed in `close`
        self._file.write(json.dumps(letter, default=str, ensure_ascii=False) + "\n")
        self._lines += 1

    def discard(self) -> None:
        """Remove the file: all of the mini-batch has failed, for a reason of its own."""
        self.close()
        if self._lines:
            os.unlink(self._path)
        self._lines = 0


def _origin(data: Any) -> dict[str, Any]:
    """Where `data` comes from, and for a single row its values."""
    if isinstance(data, list):
        return {"files": data}
    first = data.slice(0, 1).to_pylist()[0]
    origin = {"file": first.pop(rows.FILE), "row": first.pop(rows.ROW)}
    if data.num_rows == 1:
        origin["values"] = first
        return origin
    files = data.column(rows.FILE).unique().to_pylist()
    return origin if len(files) == 1 else {**origin, "files": files}
