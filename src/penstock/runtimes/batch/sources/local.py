"""Files and folders of this machine.

A folder is read all the way down, in the order of the paths as texts, which is also the order of an object
store: one folder's names are in memory at a time, and nothing of the rest.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock.errors import DataError
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import arrivals, selection
from penstock.runtimes.batch.sources.interface import Reading

DELTA_LOG = "_delta_log"
"""The folder that makes a folder a Delta table."""


class LocalSource:
    """See `penstock.runtimes.batch.sources.interface`. `location` is an absolute path or pattern."""

    def __init__(self, location: str, reading: Reading) -> None:
        self._location = location
        self._reading = reading

    def files(self) -> Iterator[SourceFile]:
        """As `Source.files`."""
        if os.path.lexists(self._location):
            if not os.path.isdir(self._location):
                yield self._named()
                return
            found = self._below(self._location, None)
        elif selection.is_pattern(self._location):
            base, pattern = selection.split_pattern(self._location)
            if not os.path.isdir(base or "/"):
                raise _missing(base)
            found = self._below(base or "/", pattern)
        else:
            raise _missing(self._location)
        first = next(found, None)
        if first is None:
            raise self._nothing()
        yield first
        yield from found

    def column_types(self) -> Mapping[str, str]:
        """As `Source.column_types`: folder names are texts."""
        return {}

    def is_local(self) -> bool:
        """As `Source.is_local`."""
        return True

    def is_uniform(self) -> bool:
        """As `Source.is_uniform`."""
        return False

    def fetch(self, file: SourceFile, path: str) -> None:
        """As `Source.fetch`: a copy, for workers on other machines."""
        with arrivals.arriving(path, file.uri) as temporary:
            try:
                shutil.copyfile(file.uri, temporary)
                now = os.stat(file.uri)
            except OSError as error:
                if error.errno in arrivals.NO_ROOM:
                    raise
                raise _unreadable(file.uri, error) from error
            if (now.st_size, stamp_of(now)) != (file.size, file.stamp):
                raise arrivals.changed(file.uri)

    def fetch_end(self, file: SourceFile, path: str) -> bool:
        """As `Source.fetch_end`: what is here needs none."""
        return False

    def close(self) -> None:
        """As `Source.close`."""

    def _named(self) -> SourceFile:
        path = self._location
        try:
            status = os.stat(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise DataError(
                f"{path} is neither a file nor a folder, and a job reads its input more than once",
                hint="write it to a file first",
            )
        return _checked(path, status, selection.format_for(os.path.basename(path), path, self._reading), {})

    def _nothing(self) -> DataError:
        if selection.is_pattern(self._location) and not os.path.lexists(self._location):
            return DataError(
                f"no file matches {self._location}",
                hint="* stays within one folder, ** goes down; hidden names match only where they are spelled out",
            )
        return DataError(
            f"{self._location} has no files",
            hint="files whose names begin with . or _ are not input unless they are named themselves",
        )

    def _below(self, top: str, pattern: selection.Pattern | None) -> Iterator[SourceFile]:
        """The files below the folder `top` that `pattern` matches; None: all."""
        state = pattern.start() if pattern else _EVERYTHING
        stack = [self._open(top.rstrip("/"), {}, state, set())]
        ancestors = {stack[0].identity}
        while stack:
            folder = stack[-1]
            entry = next(folder.entries, None)
            if entry is None:
                ancestors.discard(stack.pop().identity)
                continue
            is_folder = entry.endswith("/")
            name = entry.rstrip("/")
            if pattern:
                state = pattern.step(folder.state, name)
                if not state or not (is_folder or pattern.matches(state)):
                    continue
            elif selection.is_hidden(name) or (is_folder and not self._reading.nested):
                continue
            path = f"{folder.path}/{name}"
            if not is_folder:
                file = self._found(path, name, folder.constants)
                if file is not None:
                    yield file
                continue
            inner = self._open(path, {**folder.constants, **selection.partitions([name])}, state, ancestors)
            if inner.identity not in ancestors:
                ancestors.add(inner.identity)
                stack.append(inner)

    def _open(
        self,
        path: str,
        constants: Mapping[str, str | None],
        state: frozenset[int],
        ancestors: set[tuple[int, int]],
    ) -> _Folder:
        """The folder at `path` with its names, sorted, folders as with a slash at their end: so the whole order
        is that of the paths. A folder that is among its own `ancestors` (by a link) is not read."""
        try:
            status = os.stat(path or "/")
            identity = (status.st_dev, status.st_ino)
            if identity in ancestors:
                return _Folder(path, iter(()), constants, state, identity)
            with os.scandir(path or "/") as entries:
                names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]
        except OSError as error:
            raise _unreadable(path or "/", error) from error
        names.sort()
        if f"{DELTA_LOG}/" in names and not self._reading.by_path:
            raise DataError(
                f"{path} is a Delta table, and not all of its files are its content",
                hint=f"make it an input of its own: --input {path}",
            )
        return _Folder(path, iter(names), constants, state, identity)

    def _found(self, path: str, name: str, constants: Mapping[str, str | None]) -> SourceFile | None:
        """The file at `path`; None for what is no file (a socket, a device) or went while we looked."""
        try:
            status = os.stat(path)
        except OSError as error:
            if not os.path.lexists(path):
                return None
            raise _unreadable(path, error) from error
        if not stat.S_ISREG(status.st_mode):
            return None
        return _checked(path, status, selection.format_for(name, path, self._reading), constants)


@dataclass
class _Folder:
    """A folder that is being read."""

    path: str
    entries: Iterator[str]
    constants: Mapping[str, str | None]
    state: frozenset[int]
    identity: tuple[int, int]
    """Device and inode."""


_EVERYTHING: frozenset[int] = frozenset({0})


def stamp_of(status: os.stat_result) -> str:
    """What changes with a local file's content: its modification time in nanoseconds."""
    return str(status.st_mtime_ns)


def _checked(path: str, status: os.stat_result, kind: str, constants: Mapping[str, str | None]) -> SourceFile:
    """The file at `path`, if we may read it and can write its name down."""
    if not os.access(path, os.R_OK, effective_ids=True):
        raise DataError(f"no permission to read {path}", hint="make it readable, or leave it out")
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError:
            shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise DataError(
                f"the name of {shown} is not UTF-8, and no output could name it", hint="rename the file"
            ) from None
    return SourceFile(uri=path, size=status.st_size, stamp=stamp_of(status), format=kind, constants=constants)


def _missing(path: str) -> DataError:
    """`path` is not there: what lies where it should."""
    missing, folder = path, os.path.dirname(path)
    while not os.path.isdir(folder or "/"):
        missing, folder = folder, os.path.dirname(folder)
    try:
        names = sorted(name for name in os.listdir(folder or "/") if not name.startswith("."))
    except OSError:
        names = []
    return DataError(
        f"there is no file or folder {path}",
        hint=selection.near(os.path.basename(missing), names, folder or "/"),
    )


def _unreadable(path: str, error: OSError) -> DataError:
    """What the operating system says against reading `path`."""
    if isinstance(error, PermissionError):
        return DataError(f"no permission to read {path}", hint="make it readable, or leave it out")
    if (os.path.islink(path) and isinstance(error, FileNotFoundError)) or error.errno == errno.ELOOP:
        return DataError(
            f"{path} is a link that leads nowhere", hint="restore what it should lead to, or remove it"
        )
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path} is no longer there", hint="restore it, or start a new job without it")
    return DataError(f"cannot read {path}: {error.strerror or error}")
