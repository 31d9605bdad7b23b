"""Any other file system that fsspec finds installed (``gs://``, ``sftp://``, ``hdfs://``), by what all of them can:
folders listed one at a time, and the content compared before and after it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from penstock.runtimes.batch.sources import stores
from penstock.runtimes.batch.sources.stores import Entry

_STAMPS = ("etag", "ETag", "md5Hash", "generation", "checksum", "uid", "mtime", "last_modified", "LastModified",
           "modified", "updated", "created")  # fmt: skip


class OtherStore:
    """See `penstock.runtimes.batch.sources.stores.Store`. `root` is the file system's own path of what keys are
    below."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")

    def look(self, key: str) -> Entry | None:
        """As `Store.look`."""
        try:
            found = self._fs.info(self._path(key))
        except FileNotFoundError:
            return None
        return Entry(key, int(found["size"] or 0), _stamp(found)) if found["type"] == "file" else None

    def walk(self, prefix: str) -> Iterator[Entry]:
        """As `Store.walk`; folders are listed one at a time, so that no more than one is in memory."""
        folder = prefix.rpartition("/")[0]
        for key in self._below(folder):
            # Listings of some say less of a file than asking for it does, and stamps have to be comparable.
            if key.startswith(prefix) and (entry := self.look(key)) is not None:
                yield entry

    def _below(self, top: str) -> Iterator[str]:
        stack = [iter(self._children(top))]
        while stack:
            child = next(stack[-1], None)
            if child is None:
                stack.pop()
            elif child.endswith("/"):
                stack.append(iter(self._children(child.rstrip("/"))))
            else:
                yield child

    def _children(self, folder: str) -> list[str]:
        """The keys in `folder`, those of folders with a slash at their end, sorted."""
        found = []
        for one in self._fs.ls(self._path(folder), detail=True):
            name = str(one["name"]).rstrip("/").rpartition("/")[2]
            key = f"{folder}/{name}" if folder else name
            found.append(f"{key}/" if one["type"] == "directory" else key)
        return sorted(found)

    def names(self, folder: str) -> list[str]:
        """As `Store.names`."""
        try:
            children = self._children(folder.rstrip("/"))
        except FileNotFoundError:
            return []
        return [child.rstrip("/").rpartition("/")[2] for child in children]

    def read(self, entry: Entry, start: int, out: BinaryIO) -> None:
        """As `Store.read`."""
        self._compare(entry)
        with self._fs.open(self._path(entry.key), "rb") as file:
            file.seek(start)
            while chunk := file.read(stores.CHUNK):
                out.write(chunk)
        self._compare(entry)

    def close(self) -> None:
        """As `Store.close`."""

    def _compare(self, entry: Entry) -> None:
        now = self.look(entry.key)
        if now is None:
            raise FileNotFoundError(entry.key)
        if entry.stamp and now.stamp != entry.stamp:
            raise stores.Changed

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root


def _stamp(found: Mapping[str, Any]) -> str:
    """What a file system says that changes with the content, or at least its size."""
    said = next((found[name] for name in _STAMPS if found.get(name)), "")
    return f"{said}-{found['size']}"
