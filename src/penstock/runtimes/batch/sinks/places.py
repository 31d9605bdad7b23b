"""Local places for results: what may be wrong with them, and the few steps that change them for good.

Every step here either happened or did not, whatever is killed when; what the operating system says against it
becomes an OutputError that says what to do.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.errors import OutputError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

_FEW = 16
"""Files that are synced one by one."""


@contextlib.contextmanager
def translated(where: Path) -> Iterator[None]:
    """Raises OutputError for what the operating system says against changing `where`."""
    try:
        yield
    except OSError as error:
        text = error.strerror or str(error)
        if error.errno in _NO_ROOM or (error.errno is None and "No space left" in text):
            raise OutputError(
                f"no room left on the disk of {where.parent} for the results{_free(where)}",
                hint="free some space, then resume the job: everything that is scored is kept",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise OutputError(
                f"not allowed to write {error.filename or where}: {text}",
                hint="make it writable, then resume the job; or choose another --output",
            ) from error
        raise OutputError(
            f"cannot write {error.filename or where}: {text}",
            hint="put it right, then resume the job: everything that is scored is kept",
        ) from error


def _free(where: Path) -> str:
    with contextlib.suppress(OSError):
        status = os.statvfs(existing_ancestor(where))
        return f" ({status.f_bavail * status.f_frsize / 1e6:.1f} MB are free)"
    return ""


def existing_ancestor(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check_can_be_made(path: Path) -> None:
    """Raises OutputError unless something new can be made at `path`, together with the folders above it."""
    above = existing_ancestor(path.parent)
    if not above.is_dir():
        raise OutputError(
            f"{above} is a file, and no results can be written below it", hint="choose another --output"
        )
    check_writable(above)


def check_writable(folder: Path) -> None:
    """Raises OutputError unless files can be made in `folder`."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"no permission to write in the folder {folder}",
            hint="make it writable, or choose another --output",
        )


def make_folder(path: Path) -> None:
    """Make `path` and what is missing above it."""
    with translated(path):
        path.mkdir(parents=True, exist_ok=True)


def sync(path: Path) -> None:
    """Wait until the content of the file, or the names in the folder, at `path` survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a folder on a file system that cannot do this
            raise
    finally:
        os.close(descriptor)


def sync_all(paths: Sequence[Path], folder: Path) -> None:
    """As `sync` for all `paths` in `folder`, and for the folder. Of many files, each on its own would cost
    milliseconds, so their whole file system is synced once."""
    if len(paths) <= _FEW or not _sync_file_system(folder):
        for path in paths:
            sync(path)
    sync(folder)


def _sync_file_system(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) == 0:
            return True
        number = ctypes.get_errno()
        if number in (*_NO_ROOM, errno.EIO):
            raise OSError(number, os.strerror(number), str(folder))
        return False
    except AttributeError:  # not Linux
        return False
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """`content` at `path`, all of it or not at all."""
    temporary = path.with_name(f"{path.name}.new")
    with translated(path):
        temporary.write_bytes(content)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)


def has_content(path: Path) -> bool:
    """Whether `path` is a folder with something in it, hidden or not."""
    return path.is_dir() and any(True for _ in path.iterdir())


def identity(path: Path) -> list[int]:
    """What a file or folder keeps when it is renamed; empty where nothing is."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        return [status.st_dev, status.st_ino]
    return []


def state(path: Path) -> list[int]:
    """What changes when a file is written or replaced; empty where nothing is."""
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]
    return []


def link(source: Path, target: Path) -> None:
    """The content of `source` under the name `target` too, in place of what is there: the same file, a copy where
    the file system has no such links. The source stays, so that this can be done again."""
    with contextlib.suppress(OSError):  # something is there, or no such links
        os.link(source, target)
        return
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # replacing a file by itself leaves both names


def rename_new(source: Path, target: Path) -> None:
    """`source` under the name `target`, where nothing has that name. Raises OutputError where something has."""
    try:
        os.link(source, target)  # unlike a rename, it refuses to replace
    except FileExistsError as error:
        raise OutputError(
            f"{target} has appeared while the job was running, and is not ours",
            hint="move it away, then resume the job: everything that is scored is kept",
        ) from error
    except OSError:
        if target.exists():
            raise
        source.rename(target)
        return
    source.unlink()


def remove_tree(path: Path) -> None:
    """Remove the folder `path` and all in it; none is fine. Links are removed, not followed."""
    with translated(path):
        shutil.rmtree(path, ignore_errors=not path.is_dir())
