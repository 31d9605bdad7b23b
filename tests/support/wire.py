"""HTTP/1.1 by hand: bytes as they are to a socket, answers as they come. No client library would send most of
what these tests send."""

from __future__ import annotations

import socket
import time
from types import TracebackType

from support.servers import Reply

CONTINUE = 100


class HungUpError(Exception):
    """The server closed the connection before an answer was whole."""


class Wire:
    """One connection. `answer` reads one answer; what follows it stays for the next."""

    def __init__(self, port: int, *, timeout_s: float = 20.0, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout_s)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All of `data`, in as few packets as the kernel likes."""
        self.socket.sendall(data)

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError:
            return False
        self._buffer += data
        return bool(data)

    def answer(self, *, to_head: bool = False) -> Reply:
        """The next answer, interim ones included; `to_head`: it has no body, whatever it says."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                raise HungUpError(self._buffer)
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        version, status = line.split(" ", 2)[:2]
        assert version == "HTTP/1.1", line
        headers: dict[str, str] = {}
        for field in fields:
            name, mark, value = field.partition(":")
            assert mark, field
            assert name.lower() not in headers, field
            headers[name.lower()] = value.strip()
        size = 0 if to_head or int(status) == CONTINUE else int(headers["content-length"])
        parts = [self._buffer]
        have = len(self._buffer)
        while have < size:
            self._buffer = b""
            if not self._more():
                raise HungUpError(head)
            parts.append(self._buffer)
            have += len(self._buffer)
        body = b"".join(parts)
        self._buffer = body[size:]
        return Reply(int(status), headers, body[:size])

    def answers(self) -> list[Reply]:
        """Every answer until the server hangs up; AssertionError when it ends in the middle of one."""
        found = []
        while True:
            if not self._buffer and not self._more():
                return found
            found.append(self.answer())

    def is_hung_up(self) -> bool:
        """Waits for the server to say something: True when it hangs up, False when it sends anything."""
        return not self._buffer and not self._more()

    def is_silent(self, for_s: float) -> bool:
        """Whether nothing comes, not even the end, for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(for_s)
        try:
            return not self._buffer and self._more() and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)


def post(body: bytes = b"", *, target: str = "/score", fields: str = "", version: str = "1.1") -> bytes:
    """A plain POST; `fields` are more header lines, each ended by CRLF."""
    head = f"POST {target} HTTP/{version}\r\nHost: x\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def get(target: str = "/", *, fields: str = "", method: str = "GET") -> bytes:
    """A request without a body."""
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode("latin-1")


def chunked(*chunks: bytes, target: str = "/score", fields: str = "", end: bytes = b"0\r\n\r\n") -> bytes:
    """A POST in `chunks`; `end` closes the body."""
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + end


def send_slowly(wire: Wire, data: bytes, *, until_s: float) -> int:
    """Send until all is sent, the server hangs up, or `until_s` is past; how many bytes went."""
    deadline = time.monotonic() + until_s
    sent = 0
    while sent < len(data) and time.monotonic() < deadline:
        try:
            sent += wire.socket.send(data[sent : sent + 65536])
        except (ConnectionError, TimeoutError):
            break
    return sent
