"""Where a deployment is reached: the socket that callers connect to, and the folder that holds the workers' one."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 4096
WORKERS_SOCKET = "gateway"
LONGEST_SOCKET_PATH = 107
"""Bytes in the path of a Unix socket: ``sun_path`` of Linux, less its end."""
_NAME_BYTES = len("/penstock-12345678/") + len(WORKERS_SOCKET)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; OSError when it cannot be had.

    A name that stands for addresses of both kinds is listened to at the one of IPv4: clients that find nobody
    at the other try it, and many try no other.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def listen_to_workers(folder: Path) -> socket.socket:
    """The listening Unix socket in `folder`."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / WORKERS_SOCKET))
    listener.listen(BACKLOG)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where callers find `listener`."""
    host, port = listener.getsockname()[:2]
    if host in ("127.0.0.1", "::1"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def private_folder() -> Path:
    """A new folder that only this user may enter, its path short enough for a Unix socket.

    In the usual place for temporary files where that will do: TMPDIR may be deep, read-only or missing.
    Raises OSError when there is none.
    """
    for place in _places():
        if len(os.fsencode(place)) + _NAME_BYTES > LONGEST_SOCKET_PATH:
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="penstock-", dir=place))
        except OSError:
            continue
    raise FileNotFoundError("no folder for temporary files can be written to: set TMPDIR to one")


def _places() -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield tempfile.gettempdir()
    yield from ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in them


def remove_folder(folder: Path) -> None:
    """With all it holds: progress pages of killed workers stand in it."""
    shutil.rmtree(folder, ignore_errors=True)
