"""The gateway's end of a worker's connection: frames out, replies in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Protocol

from penstock.kit import frames
from penstock.runtimes.realtime import dispatch, messages
from penstock.runtimes.realtime.progress import RECALLED, STARTED, Progress


class Host(Protocol):
    """What a worker's connection asks of the gateway."""

    dispatcher: dispatch.Dispatcher

    def joined(self, link: dispatch.Link, about: dict[str, Any]) -> None:
        """A worker has connected and said what it holds."""

    def batched(self, size: int) -> None:
        """For the counts: `size` requests went to a worker together."""


class WorkerConnection(asyncio.Protocol):
    """One worker's socket, from its hello to its end."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = frames.FrameReader()
        self._link: dispatch.Link | None = None
        self._progress: Progress | None = None
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """asyncio's."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        for kind, payload in self._reader.feed(data):
            if kind == messages.REPLIES and self._link is not None:
                self._host.dispatcher.replied(self._link, messages.read_replies(payload))
            elif kind == messages.HELLO:
                self._greet(json.loads(payload))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the worker has ended, or is about to be replaced."""
        if self._link is not None:
            self._host.dispatcher.lost(self._link)
        if self._progress is not None:
            Path(self._progress.path).unlink(missing_ok=True)
            self._progress.close()

    def _greet(self, about: dict[str, Any]) -> None:
        self._progress = Progress(about["progress"], create=False)
        self._link = dispatch.Link(
            pid=about["pid"],
            batches=about["batches"],
            send=self._send,
            retire=lambda: self._transport.write(frames.frame(messages.RETIRE)),
            started=self._started,
            recall=self._recall,
        )
        self._host.joined(self._link, about)

    def _send(self, frame: list[dispatch.Entry]) -> None:
        self._host.batched(len(frame))
        self._transport.write(messages.batch([(entry.deadline, entry.meta, entry.body) for entry in frame]))

    def _started(self, frame: int) -> int:
        """How many requests of the `frame`-th frame the worker has begun."""
        assert self._progress is not None
        word = self._progress.words[STARTED]
        return word & 0xFFFFFFFF if word >> 32 == frame else 0

    def _recall(self, frame: int) -> None:
        assert self._progress is not None
        self._progress.words[RECALLED] = frame
