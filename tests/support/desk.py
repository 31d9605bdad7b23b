"""A real gateway without sockets: its connections are fed packets as a test cuts them, its one worker echoes
what it is given when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from penstock.bundle.launch import Launch
from penstock.bundle.manifest import Code, Manifest, Settings
from penstock.kit import channels
from penstock.runtimes.realtime import dispatch, messages
from penstock.runtimes.realtime.connections import Connection
from penstock.runtimes.realtime.gateway import Gateway
from penstock.scoring.interface import Description

METHODS = ("GET", "HEAD", "POST", "OPTIONS")


class Pipe:
    """A transport that keeps what is written to it. Packets that come while reading is paused wait."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False
        self.is_aborted = False
        self.is_paused = False
        self.unsent = 0
        self._waiting: deque[bytes] = deque()
        self._protocol: Any = None

    def attach(self, protocol: Any) -> None:
        """Connect `protocol` to it."""
        self._protocol = protocol
        protocol.connection_made(self)

    def deliver(self, data: bytes) -> None:
        """A packet from the client."""
        self._waiting.append(data)
        self._flow()

    def _flow(self) -> None:
        while self._waiting and not self.is_paused and not self.is_closed:
            self._protocol.data_received(self._waiting.popleft())

    # asyncio.Transport, as far as protocols use it

    def write(self, data: bytes) -> None:
        assert not self.is_closed, data
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    write_eof = close

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def settle(self) -> None:
        """Deliver what waited, if reading goes on."""
        self._flow()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else None

    def answers(self, methods: list[str] | None = None) -> list[tuple[int, bytes]]:
        """``(status, body)`` of each answer so far, interim ones left out; `methods` of the requests, where
        some are HEAD. AssertionError when the last is not whole."""
        found: list[tuple[int, bytes]] = []
        rest = self.written
        while rest:
            head, mark, rest = rest.partition(b"\r\n\r\n")
            assert mark, head
            status = int(head.split(b" ", 2)[1])
            if status == 100:
                continue
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            size = int(fields[b"content-length"])
            if methods and len(found) < len(methods) and methods[len(found)] == "HEAD":
                size = 0
            assert len(rest) >= size, (head, rest)
            found.append((status, rest[:size]))
            rest = rest[size:]
        return found


class Desk:
    """The gateway and its worker. Use as a context."""

    def __init__(self, *, max_body_bytes: int = 1 << 20) -> None:
        launch = Launch(
            manifest=Manifest(
                name="echo",
                code=Code("/code", "score.py"),
                settings=Settings(max_body_bytes=max_body_bytes, max_queue=100_000),
            ),
            python="python",
        )
        self._loop = asyncio.new_event_loop()
        ours, self._theirs = channels.pair()
        ours.set_blocking(False)
        self.gateway = Gateway(launch, ours, self._loop)
        self._frames: list[list[dispatch.Entry]] = []
        self._link = dispatch.Link(
            pid=1,
            batches=True,
            send=self._frames.append,
            retire=lambda: None,
            started=lambda frame: 0,
            recall=lambda frame: None,
        )
        description = Description(kind="script", methods=METHODS, wants_headers=True)
        self.gateway.joined(self._link, {"generation": 1, "description": description.to_json()})

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()

    def connect(self) -> Pipe:
        """A client's connection."""
        pipe = Pipe()
        pipe.attach(Connection(self.gateway))
        return pipe

    def work(self) -> bool:
        """The worker takes what waits and answers it; whether there was anything."""
        self.gateway.dispatcher.pump()
        if not self._frames:
            return False
        frame = self._frames.pop()
        replies = []
        for entry in frame:
            echo = json.dumps(seen(messages.request_of(entry.meta, entry.body))).encode()
            replies.append((200, messages.JSON_HEAD, echo))
        self.gateway.dispatcher.replied(self._link, replies)
        return True

    def settle(self, *pipes: Pipe) -> None:
        """Work and deliver until nothing moves."""
        while True:
            for pipe in pipes:
                pipe.settle()
            if not self.work():
                return


def seen(request: Any) -> dict[str, Any]:
    """What a scoring script can see of a request that matters here."""
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "mark": request.header("x-mark"),
        "body": request.body.decode("latin-1"),
    }
