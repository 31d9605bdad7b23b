"""How a file comes here: whole or not at all, as it was listed, and again after what passes by itself."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

from penstock.errors import DataError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


@contextlib.contextmanager
def arriving(path: str, uri: str) -> Iterator[str]:
    """A name beside `path` to write to, which becomes `path` when all went well and is removed when not. What the
    disk here says against it is a DataError about `uri`."""
    temporary = f"{path}.{uuid.uuid4().hex[:8]}.part"
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        except OSError as error:
            if error.errno in NO_ROOM:
                where = os.path.dirname(path)
                raise DataError(
                    f"no room left in {where} to bring {uri} here",
                    hint="free some space, then resume the job: what is scored is kept",
                ) from error
            raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def changed(uri: str) -> DataError:
    """The content at `uri` is not the one that was listed."""
    return DataError(
        f"{uri} has changed since the job was planned",
        hint="start a new job; write new data to new files, or move finished files into the input folder",
    )


def persistently(
    action: Callable[[], T],
    is_temporary: Callable[[Exception], bool],
    *,
    attempts: int = 5,
    first_pause_s: float = 0.5,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """What `action` returns. It is repeated after errors that are temporary, until `attempts` in a row have failed
    without `progress` (a number that grows) having grown. Pauses double from `first_pause_s`, each with up to as
    much again by chance, so that many that failed together do not come back together."""
    failed, reached = 0, progress()
    while True:
        try:
            return action()
        except Exception as error:
            now = progress()
            failed = 1 if now > reached else failed + 1
            reached = max(now, reached)
            if failed >= attempts or not is_temporary(error):
                raise
        sleep(first_pause_s * 2 ** (failed - 1) * (1 + random.random()))  # noqa: S311
