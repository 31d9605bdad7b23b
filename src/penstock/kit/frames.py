"""Frames: messages of any size over a stream socket, each ``<payload length u32> <kind u8> <payload>``,
little-endian. What kinds there are is the business of whoever speaks them.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import socket
import struct

PREFIX = struct.Struct("<IB")

_CHUNK = 256 * 1024


def frame(kind: int, payload: bytes = b"") -> bytes:
    """One whole frame."""
    return PREFIX.pack(len(payload), kind) + payload


class FrameReader:
    """Cuts a byte stream into frames. Feed it what arrives; take what is whole."""

    __slots__ = ("_missing", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """``(kind, payload)`` of each frame that `data` completes."""
        if self._parts:
            # A frame of many megabytes comes in many parts: join them once, not at every part.
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = b"".join(self._parts)
            self._parts = []
        frames = []
        at = 0
        total = len(data)
        self._missing = PREFIX.size
        while total - at >= PREFIX.size:
            size, kind = PREFIX.unpack_from(data, at)
            end = at + PREFIX.size + size
            if end > total:
                self._missing = end - at
                break
            frames.append((kind, data[at + PREFIX.size : end]))
            at = end
            self._missing = PREFIX.size
        if at < total:
            self._missing -= total - at
            self._parts.append(data[at:] if at else data)
        return frames


class FrameSocket:
    """Frames over a blocking socket."""

    __slots__ = ("_reader", "_ready", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = FrameReader()
        self._ready: list[tuple[int, bytes]] = []

    def receive(self) -> tuple[int, bytes]:
        """The next ``(kind, payload)``; waits for it. Raises EOFError when the peer has gone."""
        while not self._ready:
            data = self._socket.recv(_CHUNK)
            if not data:
                raise EOFError("the other end has closed the connection")
            self._ready = self._reader.feed(data)
        return self._ready.pop(0)

    def send(self, data: bytes) -> None:
        """Send one whole frame. Raises OSError when the peer has gone."""
        self._socket.sendall(data)
