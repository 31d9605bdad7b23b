"""Text files that are only ever appended to, opened when they are first written, and bounded: so many bytes
each, so many in all, so many open at once. Whoever prints without end fills neither the disk nor the table of
descriptors.

What cannot be written is left out, and said: a log is never worth more than the job. Driver only.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

FILE_BYTES = 200 * 10**6
"""Most that one file holds; its last line says so."""

TOTAL_BYTES = 4 * 10**9
"""Most that one run adds to all its files."""

OPEN_FILES = 100
"""So many files are open at once; the one that was longest without a word is closed."""


class _File:
    """An open file and its size so far, what is not flushed yet included."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file: BinaryIO = path.open("ab")
        self.size = self.file.tell()


class BoundedFiles:
    """The files under `folder`, by relative name. What is written is there for others after `flush`."""

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int = FILE_BYTES,
        total_bytes: int = TOTAL_BYTES,
        open_files: int = OPEN_FILES,
    ) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._left = total_bytes
        self._most = open_files
        self._open: OrderedDict[str, _File] = OrderedDict()
        self._full: set[str] = set()
        self._dirty: set[str] = set()
        self.trouble = ""
        """Why something could not be written, the first time; empty: all is there."""

    def write(self, name: str, text: str) -> None:
        """Append `text`, whole lines, to the file of this name."""
        if name in self._full:
            return
        data = text.encode("utf-8", "backslashreplace")
        try:
            file = self._file(name)
            room = min(self._file_bytes - file.size, self._left)
            if len(data) > room:
                self._full.add(name)
                data = self._last_of(file, data, room)
            file.file.write(data)
        except OSError as error:
            self._give_up(name, error)
            return
        file.size += len(data)
        self._left -= len(data)
        self._dirty.add(name)

    def has(self, name: str) -> bool:
        """Whether something stands in the file of this name, from this run or an earlier one."""
        try:
            return name in self._open or (self._folder / name).stat().st_size > 0
        except OSError:
            return False

    def flush(self) -> None:
        """Let others see what was written."""
        dirty, self._dirty = self._dirty, set()
        for name in dirty & self._open.keys():
            try:
                self._open[name].file.flush()
            except OSError as error:
                self._give_up(name, error)

    def close(self) -> None:
        """Close all files; what is written later opens them again."""
        self.flush()
        for name in list(self._open):
            self._drop(name)

    def _file(self, name: str) -> _File:
        file = self._open.get(name)
        if file is not None:
            self._open.move_to_end(name)
            return file
        while len(self._open) >= self._most:
            self._drop(next(iter(self._open)))
        file = self._open[name] = _File(self._folder / name)
        return file

    def _last_of(self, file: _File, data: bytes, room: int) -> bytes:
        """What still goes into a file that is full now. One that an earlier run has filled says so already."""
        if file.size >= self._file_bytes:
            return b""
        if self._left < self._file_bytes - file.size:
            why = "the log files of this run together have reached their limit"
        else:
            why = f"this file has reached its limit of {self._file_bytes:,} bytes"
        # Filled up to the limit, so that a later run sees that nothing is to be added.
        kept = data[: max(room, 0)]
        return kept + f"\n--- {why}; what came later is not kept ---\n".encode()

    def _drop(self, name: str) -> None:
        file = self._open.pop(name, None)
        if file is None:
            return
        try:
            file.file.close()
        except OSError as error:
            self._give_up(name, error)

    def _give_up(self, name: str, error: OSError) -> None:
        self._full.add(name)
        self.trouble = self.trouble or f"{self._folder / name}: {error.strerror or error}"
        self._drop(name)
