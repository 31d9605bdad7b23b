"""The file that an encoder writes, and what may go wrong with it: errors of disks said as what to do next."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any, Iterator

from penstock.errors import OutputError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Raises OutputError for what the operating system says against writing `path`."""
    try:
        yield
    except OSError as error:
        # pyarrow raises OSError with the number in its text only.
        number = error.errno
        if number in _NO_ROOM or (number is None and "No space left" in str(error)):
            raise OutputError(
                f"no room left on the disk of {os.path.dirname(path) or '.'} while writing {path}",
                hint="free some space, then resume the job: what is done stays done",
            ) from error
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


class SegmentFile:
    """A new file of bytes, buffered by those who write: text in pieces of megabytes."""

    def __init__(self, path: str) -> None:
        self._path = path
        with translated(path):
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by its owner

    def write(self, data: Any) -> None:
        """Append `data`, bytes or a memoryview of them, all of it."""
        view = memoryview(data)
        with translated(self._path):
            while view.nbytes:
                written = self._file.write(view)
                view = view[written or 0 :]

    def close(self) -> None:
        """Close the file; again is fine."""
        with translated(self._path):
            self._file.close()
