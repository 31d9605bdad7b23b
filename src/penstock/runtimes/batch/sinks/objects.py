"""An object store as a place for results: the few requests that sinks make, repeated while it may help, with
errors that say what to do and show no secret. An object appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from penstock.bundle.batch import Output
from penstock.errors import DataError, OutputError
from penstock.runtimes.batch.sources import addresses, arrivals, openings, stores
from penstock.runtimes.batch.sources.stores import Entry

_CONNECTIONS = 2
"""Parts of one object that travel at the same time; each is some 50 MB in memory."""

_RESUME = "put it right, then resume the job: everything that is scored is kept"

T = TypeVar("T")


class Objects:
    """Objects below `output.location`. Keys are relative to it; the empty key is the location itself. Nothing is
    connected before the first request."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._opened: openings.Opened | None = None

    @property
    def shown(self) -> str:
        """The location for people, without secrets."""
        return addresses.shown(self._output.location)

    def look(self, key: str = "") -> Entry | None:
        """The object at `key`, or None."""
        opened = self._open()
        return self._do(lambda: opened.store.look(self._whole(key)))

    def list(self) -> Iterator[Entry]:
        """All objects in the folder that the location is, with keys relative to it."""
        opened = self._open()
        prefix = self._whole("").rstrip("/") + "/"
        prefix = prefix.lstrip("/") if not opened.key.startswith("/") else prefix
        for entry in self._do(lambda: list(opened.store.walk(prefix))):
            yield Entry(entry.key[len(prefix) :], entry.size, entry.stamp)

    def put(self, path: Path, key: str = "") -> None:
        """The content of the local file `path` at `key`, in place of what is there."""
        opened = self._open()
        limits = {} if type(opened.store).__name__ == "OtherStore" else {"max_concurrency": _CONNECTIONS}
        self._do(lambda: opened.fs.put_file(str(path), self._path(key), **limits))

    def write(self, content: bytes, key: str) -> None:
        """`content` at `key`, in place of what is there."""
        opened = self._open()
        self._do(lambda: opened.fs.pipe_file(self._path(key), content))

    def read(self, key: str) -> bytes:
        """The content at `key`."""
        opened = self._open()
        content: bytes = self._do(lambda: opened.fs.cat_file(self._path(key)))
        return content

    def get(self, path: Path, key: str = "") -> None:
        """The content at `key` in the local file `path`."""
        opened = self._open()
        self._do(lambda: opened.fs.get_file(self._path(key), str(path)))

    def remove(self, key: str) -> None:
        """Nothing at `key` any more; nothing there is fine."""
        if self.look(key) is not None:
            opened = self._open()
            self._do(lambda: opened.fs.rm_file(self._path(key)))

    def close(self) -> None:
        """Let go of connections."""
        if self._opened is not None:
            self._opened.store.close()
            self._opened = None

    def _open(self) -> openings.Opened:
        if self._opened is None:
            location = self._output.location
            try:
                if addresses.scheme_of(location) == "azureml":
                    location = addresses.mapped(location, self._output.storage, os.environ)
                opened = openings.open_store(location, self._output.storage, os.environ)
            except DataError as error:
                raise OutputError(error.message, hint=error.hint) from None
            if opened.fs is None:
                raise OutputError(
                    f"nothing can be written to {self.shown}",
                    hint="s3:// and az:// locations can be written, and folders",
                )
            self._opened = opened
        return self._opened

    def _whole(self, key: str) -> str:
        opened = self._open()
        return f"{opened.key.rstrip('/')}/{key}".lstrip("/") if key else opened.key

    def _path(self, key: str) -> str:
        """As the file system calls it: the bucket or container first."""
        bucket = self._open().root.partition("://")[2].partition("@")[0].rstrip("/")
        return f"{bucket}/{self._whole(key)}" if bucket else self._whole(key)

    def _do(self, action: Callable[[], T]) -> T:
        try:
            return arrivals.persistently(action, stores.is_temporary)
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 - every library has its own
            secrets = addresses.secrets_of(
                self._output.location, {**openings.environment_of(os.environ), **self._output.storage}
            )
            explained = stores.explained(error, self.shown, secrets)
            raise OutputError(explained.message, hint=explained.hint or _RESUME) from None
