"""A way to a real server that breaks: connections are cut in the middle of what the server says."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Way:
    """Forwards connections to `port` on loopback from its own `port`. The first `cuts` connections that bring more
    than `after` bytes back end there, without ceremony; `cut` counts them."""

    def __init__(self, upstream: int, *, cuts: int, after: int) -> None:
        self._upstream = upstream
        self._cuts = cuts
        self._after = after
        self._lock = threading.Lock()
        self.cut = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._upstream))
                threading.Thread(target=self._up, args=(near, far), daemon=True).start()
                threading.Thread(target=self._down, args=(far, near), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)

    def _down(self, far: socket.socket, near: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                near.sendall(data)
                passed += len(data)
                if passed > self._after and self._cuts_now():
                    break
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _cuts_now(self) -> bool:
        with self._lock:
            if self.cut >= self._cuts:
                return False
            self.cut += 1
            return True


@contextlib.contextmanager
def breaking(upstream: int, *, cuts: int, after: int) -> Iterator[Way]:
    """A `Way` that is closed afterwards."""
    way = Way(upstream, cuts=cuts, after=after)
    try:
        yield way
    finally:
        way.close()
