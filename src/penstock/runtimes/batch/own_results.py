"""What scripts write themselves, to the folder that ``AZUREML_BI_OUTPUT_PATH`` names: moved beside the results when
the job is done, never over what is there. Driver only.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks.interface import Published

FOLDER = "own-results"
"""Their folder, within the staging folder; all workers share it."""

FOLDERS = ("summary-only", "parquet-dataset", "delta")
"""Forms whose place is a folder; those of the others lie in one."""


def publish(output: Output, staging: str, published: Published) -> Published:
    """Move them. A publish that was killed goes on where it stopped: what was moved is not there any more.

    Raises OutputError: something of that name is there already.
    """
    own = Path(staging, FOLDER)
    found = sorted(path for path in own.rglob("*") if path.is_file()) if own.is_dir() else []
    if not found:
        return published
    is_remote = "://" in output.location
    folder = output.location if output.form in FOLDERS else output.location.rstrip("/").rpartition("/")[0]
    move = (
        _mover_to_store(dataclasses.replace(output, location=folder)) if is_remote else _mover(Path(folder))
    )
    size = 0
    for path in found:
        size += path.stat().st_size
        name = path.relative_to(own).as_posix()
        if not move(path, name):
            raise OutputError(
                f"the script wrote {name}, and in {folder} there is one already",
                hint="move it away, and resume the job",
            )
    return dataclasses.replace(
        published,
        where=published.where or folder,
        files=published.files + len(found),
        size=published.size + size,
    )


def _mover(folder: Path) -> Callable[[Path, str], bool]:
    def move(path: Path, name: str) -> bool:
        target = folder / name
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        return True

    return move


def _mover_to_store(output: Output) -> Callable[[Path, str], bool]:
    from penstock.runtimes.batch.sinks import objects

    store = objects.Objects(output)

    def move(path: Path, name: str) -> bool:
        if store.look(name) is not None:
            return False
        store.put(path, name)
        path.unlink()
        return True

    return move
