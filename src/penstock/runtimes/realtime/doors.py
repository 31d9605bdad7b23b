"""Where a deployment is reached: the socket that callers connect to, and the folder that holds the workers' one."""

from __future__ import annotations

import socket
from pathlib import Path

BACKLOG = 4096
WORKERS_SOCKET = "gateway"


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
