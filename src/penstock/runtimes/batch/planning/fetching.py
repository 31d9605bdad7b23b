"""Bringing remote files near, ahead of the workers that will read them, and letting go of them afterwards.

Threads fetch; the driver's loop hears of it through a queue, and never waits. Driver only.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from penstock.errors import DataError, PenstockError
from penstock.runtimes.batch.plan import MiniBatch, Piece, SourceFile

THREADS = 8

LONGEST_NAME = 200
"""Bytes; stores allow more than the file systems here, and one that arrives has some letters more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fetched:
    """A mini-batch whose files are here, or an error. `lease` is whatever the driver gave."""

    lease: object
    batch: MiniBatch
    error: DataError | None = None


class Fetcher:
    """Fetches into `folder` with `fetch`, which may be called from several threads."""

    def __init__(self, folder: Path, fetch: Callable[[SourceFile, str], None]) -> None:
        self._folder = folder
        self._fetch = fetch
        self._pool = ThreadPoolExecutor(THREADS, "fetch")
        self._done: queue.SimpleQueue[Fetched] = queue.SimpleQueue()
        self._under_way = 0
        self._lock = threading.Lock()
        self._arriving: dict[Path, threading.Lock] = {}
        self._running: set[concurrent.futures.Future[None]] = set()
        self._is_closed = False

    def begin(self, batch: MiniBatch, lease: object) -> None:
        """Fetch what `batch` needs; `finished` gives it back."""
        with self._lock:
            self._under_way += 1
        running = self._pool.submit(self._bring, batch, lease)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way or not taken yet."""
        return self._under_way > 0

    def finished(self) -> list[Fetched]:
        """What has arrived since this was last asked."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._done.get_nowait())
                with self._lock:
                    self._under_way -= 1
        return found

    def release(self, file: SourceFile) -> None:
        """No mini-batch needs `file` any more."""
        path = place_of(self._folder, file)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with self._lock:
            self._arriving.pop(path, None)

    def close(self, *, is_hurried: Callable[[], bool]) -> None:
        """Begin nothing more, and wait for what is under way, unless somebody `is_hurried`."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        while self._running and not is_hurried():
            concurrent.futures.wait(self._running, timeout=0.1)

    def _bring(self, batch: MiniBatch, lease: object) -> None:
        try:
            pieces = tuple(self._near(piece) for piece in batch.pieces)
            self._done.put(Fetched(lease=lease, batch=dataclasses.replace(batch, pieces=pieces)))
        except DataError as error:
            self._done.put(Fetched(lease=lease, batch=batch, error=error))
        except (PenstockError, OSError, RuntimeError) as error:
            wrapped = DataError(f"an input cannot be fetched: {error}", hint="resume the job to try again")
            self._done.put(Fetched(lease=lease, batch=batch, error=wrapped))

    def _near(self, piece: Piece) -> Piece:
        if not piece.file.fetch or piece.path:
            return piece
        path = place_of(self._folder, piece.file)
        with self._lock:
            alone = self._arriving.setdefault(path, threading.Lock())
        with alone:  # of several mini-batches of one file the first brings it
            if self._is_closed:
                raise DataError("nothing is fetched any more")
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._fetch(piece.file, str(path))
        return dataclasses.replace(piece, path=str(path))


def place_of(folder: Path, file: SourceFile) -> Path:
    """Where `file` is brought to below `folder`: under its own name, which says how it is compressed and at which
    scripts may look, in a folder that no other file has, nor the same file in another state."""
    digest = hashlib.sha256(f"{file.uri}\0{file.stamp}\0{file.fetch}".encode()).hexdigest()[:16]
    name = Path(file.uri.partition("?")[0]).name
    fits = name not in ("", ".", "..") and len(name.encode()) <= LONGEST_NAME
    return folder / digest / (name if fits else f"data{Path(name).suffix[:20]}")
