"""Files of an object store, or of the web: one, a folder all the way down, or a pattern.

What is listed is not kept: pages come and go. What is fetched is the content that was listed, or an error; bytes
that are here already are not asked for again when a connection breaks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from penstock.errors import DataError
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import arrivals, parquet_ends, selection, stores
from penstock.runtimes.batch.sources.interface import Reading
from penstock.runtimes.batch.sources.local import DELTA_LOG
from penstock.runtimes.batch.sources.stores import Entry, Store

T = TypeVar("T")

SAME, ANY = "same:", "any:"
"""How `SourceFile.fetch` begins, before the key: the content must have the stamp, or there is no stamp to go by."""


def _entry(file: SourceFile) -> Entry:
    """What is asked for to have `file`."""
    how, _, key = file.fetch.partition(":")
    return Entry(key, file.size, file.stamp if f"{how}:" == SAME else "")


class RemoteSource:
    """See `penstock.runtimes.batch.sources.interface`.

    `root` is the URL of the store's root as people may see it, with a slash at its end, `key` what was asked for
    below it, `secrets` what must not appear in a message. `single`: `key` is one file, whatever it looks like.
    """

    def __init__(
        self,
        root: str,
        key: str,
        store: Store,
        reading: Reading,
        *,
        secrets: Sequence[str] = (),
        single: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._root = root
        self._key = key
        self._store = store
        self._reading = reading
        self._secrets = secrets
        self._single = single
        self._sleep = sleep

    def files(self) -> Iterator[SourceFile]:
        """As `Source.files`."""
        where = self._shown(self._key)
        if self._single or (self._key and not self._key.endswith("/")):
            entry = self._asking(where, lambda: self._repeating(lambda: self._store.look(self._key), 3))
            if entry is not None:
                name = self._key.rpartition("/")[2]
                if self._single:
                    name = name.partition("?")[0]
                yield self._file(entry, selection.format_for(name, where, self._reading), {})
                return
        if self._single:
            raise DataError(f"there is nothing at {where}", hint="check the URL")
        found = self._below()
        first = self._asking(where, lambda: next(found, None))
        if first is None:
            raise self._nothing()
        yield first
        while (file := self._asking(where, lambda: next(found, None))) is not None:
            yield file

    def column_types(self) -> Mapping[str, str]:
        """As `Source.column_types`: folder names are texts."""
        return {}

    def is_local(self) -> bool:
        """As `Source.is_local`."""
        return False

    def is_uniform(self) -> bool:
        """As `Source.is_uniform`."""
        return False

    def fetch(self, file: SourceFile, path: str) -> None:
        """As `Source.fetch`."""
        entry = _entry(file)
        with arrivals.arriving(path, file.uri) as temporary:
            Path(temporary).touch()

            def read() -> None:
                with open(temporary, "r+b") as out:  # noqa: PTH123
                    try:
                        self._store.read(entry, out.seek(0, os.SEEK_END), out)
                    except stores.Changed:
                        if (
                            self._store.look(entry.key) is None
                        ):  # what is gone is changed, too, to some stores
                            raise FileNotFoundError(entry.key) from None
                        raise

            def megabytes() -> int:
                return Path(temporary).stat().st_size // stores.CHUNK

            self._asking(file.uri, lambda: self._repeating(read, progress=megabytes))
            if Path(temporary).stat().st_size != file.size:
                raise arrivals.changed(file.uri)

    def fetch_end(self, file: SourceFile, path: str) -> bool:
        """As `Source.fetch_end`. The web often gives no parts."""
        if self._single:
            return False
        entry = _entry(file)

        def read() -> bytes:
            try:
                return parquet_ends.read(self._store, entry)
            except stores.Changed:
                if self._store.look(entry.key) is None:
                    raise FileNotFoundError(entry.key) from None
                raise

        end = self._asking(file.uri, lambda: self._repeating(read))
        with arrivals.arriving(path, file.uri) as temporary, open(temporary, "wb") as out:  # noqa: PTH123
            out.seek(file.size - len(end))
            out.write(end)
        return True

    def has(self, prefix: str) -> bool:
        """Whether there is anything whose key begins with what was asked for and `prefix` below it."""
        below = f"{self._key.rstrip('/')}/{prefix}" if self._key else prefix

        def found() -> bool:
            try:
                return next(self._store.walk(below), None) is not None
            except FileNotFoundError:
                return False  # what is wrong here `files` will say

        return self._asking(self._shown(below), found)

    def close(self) -> None:
        """As `Source.close`."""
        self._store.close()

    def _below(self) -> Iterator[SourceFile]:
        """What the folder or pattern holds. A key's folders are looked at once for all its neighbours."""
        pattern: selection.Pattern | None = None
        base, prefix = self._key.rstrip("/"), ""
        if selection.is_pattern(self._key):
            base, pattern = selection.split_pattern(self._key)
            prefix = selection.literal_start(self._key[len(base) :].lstrip("/"))
        top = f"{base}/" if base else ""
        last, constants, hidden = "", {}, False
        for entry in self._store.walk(top + prefix):
            below = entry.key[len(top) :]
            folder, _, name = below.rpartition("/")
            if folder != last:
                last = folder
                folders = folder.split("/")
                constants = dict(selection.partitions(folders))
                hidden = any(map(selection.is_hidden, folders))
                self._refuse_delta(top, folders)
            if pattern is not None:
                if not pattern.match(below.split("/")):
                    continue
            elif hidden or selection.is_hidden(name) or (folder and not self._reading.nested):
                continue
            shown = self._shown(entry.key)
            yield self._file(entry, selection.format_for(name, shown, self._reading), constants)

    def _refuse_delta(self, top: str, folders: list[str]) -> None:
        if DELTA_LOG in folders and not self._reading.by_path:
            table = self._shown(top + "/".join(folders[: folders.index(DELTA_LOG)]))
            raise DataError(
                f"{table} is a Delta table, and not all of its files are its content",
                hint=f"make it an input of its own: --input {table}",
            )

    def _file(self, entry: Entry, kind: str, constants: Mapping[str, str | None]) -> SourceFile:
        how = SAME if entry.stamp else ANY
        stamp = entry.stamp or f"{entry.size} bytes"
        return SourceFile(
            uri=self._shown(entry.key),
            size=entry.size,
            stamp=stamp,
            format=kind,
            constants=constants,
            fetch=how + entry.key,
        )

    def _nothing(self) -> DataError:
        if selection.is_pattern(self._key):
            return DataError(
                f"no file matches {self._shown(self._key)}",
                hint="* stays within one folder, ** goes down; hidden names match only where they are spelled out",
            )
        folder, slash, name = self._key.rstrip("/").rpartition("/")
        names = self._store.names(folder + slash)
        return DataError(
            f"there is no file or folder {self._shown(self._key)} with any input in it",
            hint=selection.near(name, names, self._shown(folder + slash)),
        )

    def _shown(self, key: str) -> str:
        return self._root + key

    def _repeating(
        self, action: Callable[[], T], attempts: int = 5, progress: Callable[[], int] = lambda: 0
    ) -> T:
        return arrivals.persistently(
            action, stores.is_temporary, attempts=attempts, sleep=self._sleep, progress=progress
        )

    def _asking(self, where: str, action: Callable[[], T]) -> T:
        """What `action` returns; what its library raises is a DataError about `where`."""
        try:
            return action()
        except DataError:
            raise
        except stores.Changed as error:
            raise arrivals.changed(where) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in arrivals.NO_ROOM:
                raise
            # Without its cause: a traceback would show the library's own words, and credentials with them.
            raise stores.explained(error, where, self._secrets) from None
