"""A page of memory that a worker and the gateway share, so that a hang or a death can be blamed on one request.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import mmap
import os

STARTED, RECALLED = 0, 1
"""Words of the progress page: ``frame << 32 | requests started in it``, and the frame that was recalled."""


class Progress:
    """Two words of memory that worker and gateway share, so that a hang can be blamed on one request.

    The worker writes which request it has started; the gateway, when a frame overstays, recalls the rest of
    it. A shared page, because a hung worker answers no message.
    """

    __slots__ = ("_map", "path", "words")

    def __init__(self, path: str, *, create: bool) -> None:
        self.path = path
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0)
        fd = os.open(path, flags, 0o600)
        try:
            if create:
                os.ftruncate(fd, mmap.PAGESIZE)
            self._map = mmap.mmap(fd, mmap.PAGESIZE)
        finally:
            os.close(fd)
        self.words = memoryview(self._map).cast("Q")

    def close(self) -> None:
        """Unmap the page; the file is the creator's to remove."""
        self.words.release()
        self._map.close()
