"""What scripts write themselves, to the folder that ``AZUREML_BI_OUTPUT_PATH`` names: moved beside the results when
the job is done, never over what is there. Driver only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import places
from penstock.runtimes.batch.sinks.interface import Published

FOLDER = "own-results"
"""Their folder, within the staging folder; all workers share it."""

_BEGUN = "own-results-begun"
"""Beside it: empty files of the names whose move was begun. A kill may come when they are there already."""

FOLDERS = ("summary-only", "parquet-dataset", "delta")
"""Forms whose place is a folder; those of the others lie in one."""


@dataclass(frozen=True)
class _Place:
    """Where they go: `has` a name, `put` a file there under a name, in place of what is there."""

    has: Callable[[str], bool]
    put: Callable[[Path, str], None]


def publish(output: Output, staging: str, published: Published) -> Published:
    """Move them. A publish that was killed goes on where it stopped.

    Raises OutputError: something of that name is there already.
    """
    own = Path(staging, FOLDER)
    found = sorted(path for path in own.rglob("*") if path.is_file()) if own.is_dir() else []
    if not found:
        return published
    is_remote = "://" in output.location
    folder = output.location if output.form in FOLDERS else output.location.rstrip("/").rpartition("/")[0]
    place = _store(dataclasses.replace(output, location=folder)) if is_remote else _folder(Path(folder))
    size = 0
    for path in found:
        size += path.stat().st_size
        name = path.relative_to(own).as_posix()
        begun = Path(staging, _BEGUN, name)
        if place.has(name) and not begun.exists():
            raise OutputError(
                f"the script wrote {name}, and in {folder} there is one already",
                hint="move it away, and resume the job",
            )
        begun.parent.mkdir(parents=True, exist_ok=True)
        begun.touch()
        place.put(path, name)
        path.unlink()
    return dataclasses.replace(
        published,
        where=published.where or folder,
        files=published.files + len(found),
        size=published.size + size,
    )


def _folder(folder: Path) -> _Place:
    def put(path: Path, name: str) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        places.link(path, target)

    return _Place(has=lambda name: (folder / name).exists(), put=put)


def _store(output: Output) -> _Place:
    from penstock.runtimes.batch.sinks import objects

    store = objects.Objects(output)
    return _Place(has=lambda name: store.look(name) is not None, put=store.put)
