"""Other jobs that do or did the very same work: whoever starts it again by accident is told. Driver only."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from penstock.bundle import jobs
from penstock.errors import JobError
from penstock.runtimes.batch import ledger


@contextlib.contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Of two equal jobs under `root` that begin at once, the second sees what the first has written of itself
    within."""
    descriptor = os.open(root, os.O_RDONLY)  # which others that share the folder may open too
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check(folder: Path, *, kind: str, inputs: str, output: str) -> None:
    """Raises JobError where another job beside `folder` with the same `kind` (model, settings, output) and the same
    `inputs`, to the file's stamp, is running, or was begun and not finished. One that is done is no obstacle: its
    results are there, which the sink has seen."""
    for name in jobs.names(str(folder.parent)):
        other = folder.parent / name
        if other == folder:
            continue
        about = jobs.read_about(str(other))
        if (about.get("kind"), about.get("inputs")) != (kind, inputs):
            continue
        if ledger.is_held(str(other)):
            raise JobError(
                f"job {name} is doing the very same at this moment, into {output}",
                hint="wait for it; --force starts another beside it",
            )
        if about.get("status") != "done":
            raise JobError(
                f"job {name} has begun the very same and was not finished ({about.get('status', 'killed')})",
                hint=f"penstock score --resume {name} goes on where it stopped; --force starts afresh",
            )
