"""Noticing that model or code has changed, for ``--reload``.

By polling: it works on every file system, network shares and container mounts included, where file events
do not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

Snapshot = dict[str, tuple[int, int, int]]

_NOT_OURS = {"__pycache__", ".git", ".venv", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache"}


def snapshot(paths: Iterable[str]) -> Snapshot:
    """``(modified ns, size, inode)`` of every file under `paths`; what cannot be read is left out."""
    found: Snapshot = {}
    for path in paths:
        for file in _files(Path(path)):
            try:
                stat = file.stat()
            except OSError:
                continue
            found[str(file)] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        for name in files:
            if not name.endswith((".pyc", "~", ".swp")):
                yield Path(folder, name)


class Watch:
    """Tells a change once, when it has settled: a model that is still being copied is not yet a model."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(paths)
        self._settled = self._last = snapshot(self._paths)

    def poll(self) -> list[str]:
        """The files that have changed, once two polls in a row have seen the same; else nothing."""
        now = snapshot(self._paths)
        if now != self._last:
            self._last = now
            return []
        if now == self._settled:
            return []
        changed = sorted(file for file in {*now, *self._settled} if now.get(file) != self._settled.get(file))
        self._settled = now
        return changed
