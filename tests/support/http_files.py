"""A real web server of files, in a process of its own, with etags, ranges and the bad days of the web.

What a URL's path begins with says how it behaves: see `_MANNERS`. Bad days pass: they are counted for each
path, and after as many as the test asked for the server is well again.
"""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from support import services

_MANNERS = """
plain/        as it should be
busy-N/       503 for the first N requests
cut-N/        the first N bodies end after half of their bytes, and the connection breaks
no-head/      405 for HEAD
no-etag/      Last-Modified only
bare/         neither etag nor time, no ranges
chunked/      no Content-Length, no ranges
private/      401 unless the user is `reader` with the password `pa:ss word`
signed/       403 unless the query has sig=good
moved/        302 to the same path under plain/
"""
BASIC = "Basic cmVhZGVyOnBhOnNzIHdvcmQ="


@dataclass
class Site:
    """One test's folder of the running server, empty at first."""

    folder: Path
    port: int

    def put(self, name: str, content: bytes) -> None:
        """Write one file."""
        (self.folder / name).write_bytes(content)

    def url(self, name: str, manner: str = "plain") -> str:
        """Where the file `name` is, under its manner."""
        return f"http://127.0.0.1:{self.port}/{manner}/{self.folder.name}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path
    seen: ClassVar[Counter[str]] = Counter()
    lock = threading.Lock()

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        manner, _, name = parts.path.lstrip("/").partition("/")
        file = self.root / unquote(name)
        if self._refused(manner, name, parts.query):
            return
        if not file.is_file():
            self._say(404)
            return
        content = file.read_bytes()
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"ETag": etag, "Last-Modified": self.date_time_string(int(file.stat().st_mtime))}
        if manner in ("no-etag", "bare", "chunked"):
            del headers["ETag"]
        if manner in ("bare", "chunked"):
            headers = {}
        if self.headers.get("If-Match", etag) != etag:
            self._say(412)
            return
        status, start = 200, 0
        asked = re.match(r"bytes=(\d+)-(\d*)$", self.headers.get("Range", ""))
        total = len(content)
        if asked and manner not in ("bare", "chunked"):
            start = int(asked[1])
            if start >= total:
                self._say(416, {"Content-Range": f"bytes */{total}"})
                return
            stop = min(int(asked[2]) + 1 if asked[2] else total, total)
            status, content = 206, content[start:stop]
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
        self._send(manner, name, status, headers, content)

    def _refused(self, manner: str, name: str, query: str) -> bool:
        kind, _, times = manner.partition("-")
        if kind == "busy" and self._still(manner + name, int(times)):
            self._say(503)
        elif manner == "no-head" and self.command == "HEAD":
            self._say(405)
        elif manner == "private" and self.headers.get("Authorization") != BASIC:
            self._say(401)
        elif manner == "signed" and "sig=good" not in query.split("&"):
            self._say(403)
        elif manner == "moved":
            self._say(302, {"Location": f"/plain/{name}"})
        else:
            return False
        return True

    def _still(self, key: str, times: int) -> bool:
        with self.lock:
            self.seen[key] += 1
            return self.seen[key] <= times

    def _say(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, manner: str, name: str, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        if manner == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
        else:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        kind, _, times = manner.partition("-")
        if kind == "cut" and self._still(manner + name, int(times)):
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)


@pytest.fixture(scope="session")
def http_files_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server; its folder is the root of all."""
    root = tmp_path_factory.mktemp("site")
    port = services.free_port()
    argv = [sys.executable, str(Path(__file__)), str(root), str(port)]
    variables = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with services.running(argv, lambda: services.listens(port), variables=variables):
        yield Site(root, port)


@pytest.fixture
def site(http_files_server: Site) -> Site:
    """An empty folder of a real web server."""
    folder = http_files_server.folder / f"site-{len(list(http_files_server.folder.iterdir()))}"
    folder.mkdir()
    return Site(folder, http_files_server.port)


def main() -> None:
    """``http_files.py ROOT PORT``: serve until killed."""
    _Handler.root = Path(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Handler).serve_forever()


if __name__ == "__main__":
    main()
