"""What tells one job's work from another's: its kind, and the very model. Driver only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from penstock.bundle.batch import BatchLaunch
from penstock.bundle.manifest import Manifest
from penstock.kit import urls

_CHUNK = 1 << 20


def kind(launch: BatchLaunch) -> str:
    """Equal for jobs that do the same to whatever their inputs hold: the same locations, model, script, output
    and settings. A model or script that was written anew is another. 16 hexadecimal digits."""
    digest = hashlib.sha256(launch.kind().encode())
    _add_state(digest, launch.manifest)
    return digest.hexdigest()[:16]


def work(launch: BatchLaunch) -> str:
    """Equal for jobs that score the same inputs with the same model or script into the same place, however they are
    run. 16 hexadecimal digits."""
    places = [*launch.inputs.locations, launch.output.location]
    what = [*map(urls.without_secrets, places), launch.inputs.query, launch.output.table]
    digest = hashlib.sha256(repr([*what, launch.settings.method]).encode())
    _add_state(digest, launch.manifest)
    return digest.hexdigest()[:16]


def model(manifest: Manifest) -> str:
    """The SHA-256 of the model's file; of a folder, over the relative names and contents of its files. Of the
    script's folder where there is no model."""
    digest = hashlib.sha256()
    base = manifest.model.path if manifest.model else manifest.code.directory if manifest.code else ""
    found = list(_under(base))
    for path in found:
        if len(found) > 1 or path != base:
            digest.update(os.path.relpath(path, base).encode() + b"\0")
        with Path(path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def scorer(manifest: Manifest) -> str:
    """Changes when the model or the script is written anew. 16 hexadecimal digits."""
    digest = hashlib.sha256()
    _add_state(digest, manifest)
    return digest.hexdigest()[:16]


def _add_state(digest: hashlib._Hash, manifest: Manifest) -> None:
    """What changes when the model or the script is written anew."""
    for path in _files(manifest):
        status = Path(path).stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())


def _files(manifest: Manifest) -> Iterator[str]:
    if manifest.model is not None:
        yield from _under(manifest.model.path)
    if manifest.code is not None:
        yield from (path for path in _under(manifest.code.directory) if path.endswith(".py"))


def _under(base: str) -> Iterator[str]:
    """The files at or under `base`, in order; caches left out."""
    if Path(base).is_file():
        yield base
        return
    for folder, folders, files in os.walk(base):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        for name in sorted(files):
            yield str(Path(folder, name))
