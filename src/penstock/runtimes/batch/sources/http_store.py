"""A file behind an ``https://`` or ``http://`` URL. The web has no folders: what is not named is not found.

requests, because it minds the proxies, certificates and ``.netrc`` of the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import BinaryIO

import requests

from penstock.runtimes.batch.sources import stores
from penstock.runtimes.batch.sources.stores import Entry

_PATIENCE_S = (10.0, 60.0)
"""To connect, and for the next bytes."""


class HttpStore:
    """See `penstock.runtimes.batch.sources.stores.Store`; `url` is its one object, whatever key is asked for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._mine = threading.local()

    def look(self, key: str) -> Entry | None:
        """As `Store.look`. A server that refuses HEAD, or says no size to it, is asked for one byte."""
        with self._session.head(self._url, timeout=_PATIENCE_S, allow_redirects=True) as answer:
            if answer.ok and "Content-Length" in answer.headers:
                return Entry(key, int(answer.headers["Content-Length"]), _stamp(answer))
        headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
        with self._session.get(self._url, headers=headers, timeout=_PATIENCE_S, stream=True) as answer:
            if answer.status_code in (404, 410):
                return None
            if answer.status_code == 416:  # of nothing there is no first byte
                return Entry(key, 0, _stamp(answer))
            answer.raise_for_status()
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if answer.status_code == 206 and total.isdigit():
                return Entry(key, int(total), _stamp(answer))
            size = answer.headers.get("Content-Length", "")
            if not size.isdigit():  # the server does not know either: whoever wants to know has to count
                size = str(sum(map(len, answer.iter_content(stores.CHUNK))))
            return Entry(key, int(size), _stamp(answer))

    def walk(self, prefix: str) -> Iterator[Entry]:
        """As `Store.walk`: nothing."""
        return iter(())

    def names(self, folder: str) -> list[str]:
        """As `Store.names`: none."""
        return []

    def read(self, entry: Entry, start: int, out: BinaryIO) -> None:
        """As `Store.read`. Only a strong etag can make a part depend on the content being the same; without one
        all is read anew."""
        strong = bool(entry.stamp) and entry.stamp.startswith('"')
        headers = {"Accept-Encoding": "identity"}
        if start and strong:
            headers |= {"Range": f"bytes={start}-", "If-Match": entry.stamp}
        with self._session.get(self._url, headers=headers, timeout=_PATIENCE_S, stream=True) as answer:
            if answer.status_code in (412, 416):
                raise stores.Changed
            if answer.status_code in (404, 410):
                raise FileNotFoundError(self._url)
            answer.raise_for_status()
            if entry.stamp and _stamp(answer) != entry.stamp:
                raise stores.Changed
            if answer.status_code != 206 and start:
                out.seek(0)
                out.truncate()
            for chunk in answer.iter_content(stores.CHUNK):
                out.write(chunk)

    def close(self) -> None:
        """As `Store.close`; other threads' connections close with the threads."""
        self._session.close()

    @property
    def _session(self) -> requests.Session:
        """This thread's own: a session is not for several."""
        if not hasattr(self._mine, "session"):
            self._mine.session = requests.Session()
            self._mine.session.headers["Accept-Encoding"] = "identity"
        session: requests.Session = self._mine.session
        return session


def _stamp(answer: requests.Response) -> str:
    """What the server says that changes with the content: its etag with its quotes, or the time; may be empty."""
    return answer.headers.get("ETag", "") or answer.headers.get("Last-Modified", "")
