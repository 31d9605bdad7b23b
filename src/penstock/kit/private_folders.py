"""Folders for the sockets by which processes of ours find one another: short paths, nobody else's business."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

LONGEST_SOCKET_PATH = 107
"""Bytes in the path of a Unix socket: ``sun_path`` of Linux, less its end."""

LONGEST_NAME = 8
"""Bytes that a socket's name in such a folder may have."""

_FOLDER_BYTES = len("/penstock-12345678/")


def make() -> Path:
    """A new folder that only this user may enter, its path short enough for a Unix socket.

    In the usual place for temporary files where that will do: TMPDIR may be deep, read-only or missing.
    Raises OSError when there is none.
    """
    for place in _places():
        if len(os.fsencode(place)) + _FOLDER_BYTES + LONGEST_NAME > LONGEST_SOCKET_PATH:
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="penstock-", dir=place))
        except OSError:
            continue
    raise FileNotFoundError("no folder for temporary files can be written to: set TMPDIR to one")


def _places() -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield tempfile.gettempdir()
    yield from ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in them


def remove(folder: Path) -> None:
    """With all it holds: progress pages of killed workers stand in it."""
    shutil.rmtree(folder, ignore_errors=True)
