"""A channel between a process and the children it supervises: small JSON messages that arrive whole.

A socket pair of Unix sequenced packets keeps message boundaries, so a parent, its child and its grandchildren
may all send on one end without locks. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import socket
from typing import Any

LARGEST_BYTES = 128 * 1024
"""Most that one message may take; the kernel's default socket buffer holds it."""


def clipped(text: str, most_bytes: int) -> str:
    """`text`, its middle left out where it would take more than `most_bytes` of a message."""
    if len(json.dumps(text)) <= most_bytes:
        return text
    # No character takes more than twelve bytes: a pair of escaped surrogates.
    keep = most_bytes // 24
    left_out = len(text) - 2 * keep
    return f"{text[:keep]}\n... {left_out} characters left out ...\n{text[-keep:]}" if left_out > 0 else text


class ChannelClosedError(Exception):
    """The other end is gone."""


class Channel:
    """One end. Sending may wait for the reader; receiving waits unless the socket was made non-blocking."""

    __slots__ = ("_socket",)

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def from_fd(cls, fd: int) -> Channel:
        """The end that was inherited as file descriptor `fd`."""
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd))

    def fileno(self) -> int:
        """For select and for handing to a child."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any]) -> None:
        """Send `message`. Raises ChannelClosedError when the other end is gone, ValueError over LARGEST_BYTES."""
        data = json.dumps(message).encode()
        if len(data) > LARGEST_BYTES:
            raise ValueError(f"a message of {len(data)} bytes does not fit the channel")
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ConnectionRefusedError) as error:
            raise ChannelClosedError(str(error)) from error

    def receive(self) -> dict[str, Any] | None:
        """The next message, or None when there is none yet (non-blocking ends only).

        Raises ChannelClosedError when the other end is gone.
        """
        try:
            data = self._socket.recv(LARGEST_BYTES)
        except BlockingIOError:
            return None
        except ConnectionResetError as error:
            raise ChannelClosedError(str(error)) from error
        if not data:
            raise ChannelClosedError("the other end has closed")
        message: dict[str, Any] = json.loads(data)
        return message

    def set_blocking(self, blocking: bool) -> None:
        """Whether `receive` waits."""
        self._socket.setblocking(blocking)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def pair() -> tuple[Channel, Channel]:
    """Two ends, both blocking."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(left), Channel(right)
