"""What the plan needs of files that lie elsewhere, brought here while they are looked at. Driver only.

Of a Parquet file its end is enough. A large text has to be read from end to end to know where records end, so it
comes whole: the next few while one is read, and it stays for the workers as long as there is room. What does not
stay is fetched again when its turn has come, so that a job needs no disk as large as its input.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.planning import fetching
from penstock.runtimes.batch.sources.interface import Source

AHEAD = 4
"""Files on their way at once."""

SHARE = 4
"""What stays may take one part in so many of the disk's free space."""

_ENDS = "ends"


class Nearby:
    """Brings files of `sources` into `folder`. A file's `fetch` is ``<number of its source>:<the source's own>``.

    `room`: bytes that may stay; None: a share of what is free.
    """

    def __init__(self, folder: Path, sources: Sequence[Source], *, room: int | None = None) -> None:
        self._folder = folder
        self._sources = sources
        self._room = room
        self._taken = 0
        self._staying: set[Path] = set()
        self._leaving: set[Path] = set()
        self._lock = threading.Lock()

    def fetch(self, file: SourceFile, path: str) -> None:
        """Bring `file` to `path`. May be called from several threads. Raises DataError."""
        source, own = self._source_of(file)
        source.fetch(own, path)

    def whole(self, file: SourceFile) -> str:
        """Where all of `file` lies, until `leave` is called for it. Raises DataError."""
        path = fetching.place_of(self._folder, file)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fetch(file, str(path))
        with self._lock:
            if path not in self._staying and path not in self._leaving:
                if self._taken + file.size > self._most():
                    self._leaving.add(path)
                else:
                    self._staying.add(path)
                    self._taken += file.size
        return str(path)

    def end_of(self, file: SourceFile) -> str:
        """Where a file lies that has the end of `file` and is hollow before: enough to know the columns and cuts of
        a Parquet file. Empty: nothing less than the whole of `file` is enough, or the whole is here."""
        if file.format != "parquet" or fetching.place_of(self._folder, file).exists():
            return ""
        path = fetching.place_of(self._folder / _ENDS, file)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            source, own = self._source_of(file)
            if not source.fetch_end(own, str(path)):
                return ""
        return str(path)

    def leave(self, file: SourceFile) -> None:
        """`file` has been looked at; let go of it if there is no room for it."""
        path = fetching.place_of(self._folder, file)
        with self._lock:
            is_leaving = path in self._leaving
            self._leaving.discard(path)
        if is_leaving:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def ahead(
        self, files: Iterable[SourceFile], is_wanted: Callable[[SourceFile], bool]
    ) -> Iterator[SourceFile]:
        """`files` again, in order; those whose whole `is_wanted` are here when they come, and are left when the
        next is asked for. Raises DataError."""
        coming: deque[tuple[SourceFile, _Arrival | None]] = deque()
        remaining = iter(files)
        file = next(remaining, None)
        while coming or file is not None:
            while file is not None and len(coming) < AHEAD:
                arrival = None
                if is_wanted(file):
                    under_way = [each for each, thread in coming if thread is not None]
                    if under_way and not self._fits(file, *under_way):
                        break  # alone it may
                    arrival = _Arrival(self.whole, file)
                coming.append((file, arrival))
                file = next(remaining, None)
            ready, arrival = coming.popleft()
            if arrival is not None:
                arrival.wait()
            yield ready
            if ready.fetch:
                self.leave(ready)

    def _fits(self, *files: SourceFile) -> bool:
        """Whether the disk has room for all of `files`, of which some may be here in part."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return sum(file.size for file in files) < shutil.disk_usage(self._folder).free

    def _source_of(self, file: SourceFile) -> tuple[Source, SourceFile]:
        """Whose `file` is, and `file` as that knows it."""
        index, _, own = file.fetch.partition(":")
        return self._sources[int(index)], dataclasses.replace(file, fetch=own)

    def _most(self) -> int:
        if self._room is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._room = shutil.disk_usage(self._folder).free // SHARE
        return self._room


class _Arrival(threading.Thread):
    """One file on its way. A daemon: who stops the job does not wait for it."""

    def __init__(self, bring: Callable[[SourceFile], str], file: SourceFile) -> None:
        super().__init__(name="arrival", daemon=True)
        self._bring = bring
        self._file = file
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._bring(self._file)
        except BaseException as error:  # noqa: BLE001 - raised again where the file is waited for
            self._error = error

    def wait(self) -> None:
        """Until it is here. Raises what its bringing raised."""
        self.join()
        if self._error is not None:
            raise self._error
