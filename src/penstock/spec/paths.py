"""Paths as people write them: relative to the file they stand in, or to the working directory."""

from __future__ import annotations

import difflib
import os
from pathlib import Path


def absolute(text: str, base: str | Path = "") -> Path:
    """`text` under `base` (empty: the working directory), without ``..``. Links are kept: where a model is
    a link, AZUREML_MODEL_DIR is the folder of the link."""
    return Path(os.path.abspath(Path(base, text)))  # noqa: PTH100 - Path.resolve would follow links


def is_file(path: Path) -> bool:
    """As `Path.is_file`, which raises for names that no file can have; those are not there."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """As `Path.is_dir`, which raises for names that no folder can have; those are not there."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: Path) -> bool:
    """As `Path.exists`, which raises for names that nothing can have; those are not there."""
    return os.path.exists(path)  # noqa: PTH110


def neighbour(missing: Path) -> str:
    """What lies where `missing` should, for a hint: the nearest name there, or the deepest folder that is."""
    folder = missing.parent
    while not is_folder(folder):
        missing, folder = folder, folder.parent
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        names = []
    near = difflib.get_close_matches(missing.name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}? (in {folder})"
    if not names:
        return f"{folder} is empty"
    return f"in {folder} there is {', '.join(names[:6])}{' and more' if len(names) > 6 else ''}"
