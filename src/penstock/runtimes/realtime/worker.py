"""The worker: a plain blocking loop around one Scorer.

It connects to the gateway, says what it holds, then takes a frame of requests, scores it, answers, and takes
the next. It never decides: which requests, how many and until when is the gateway's. It outlives a gateway
that dies, and ends when it is told to retire or when its supervisor is gone.

Runs in the deployment's own environment: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import traceback
from typing import Any, Callable

from penstock.kit import context, frames
from penstock.runtimes.realtime import messages
from penstock.runtimes.realtime.progress import RECALLED, STARTED, Progress
from penstock.scoring.interface import Reply, Request, Scorer

FLUSH_AFTER_S = 0.001
"""A script's answers leave at the latest this long after the first of them is known."""
FLUSH_SLOW_S = 0.000_5
"""A script that takes longer than this for one request sends each answer at once: the cost of a send is small
beside it, and an answer that has left cannot be lost to the next request's crash or hang."""

RECONNECT_EVERY_S = 0.02


class Worker:
    """One process, one scorer. `alive` says whether the supervisor still is."""

    def __init__(
        self, scorer: Scorer, *, gateway: str, about: dict[str, Any], alive: Callable[[], bool]
    ) -> None:
        self._scorer = scorer
        self._gateway = gateway
        self._about = about
        self._alive = alive
        self._progress: Progress | None = None
        self._frame = 0
        self._pid = os.getpid()

    def run(self) -> None:
        """Serve until retired or orphaned."""
        while self._alive():
            try:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(self._gateway)
            except OSError:
                # Between two gateways: the supervisor is starting the next one.
                sock.close()
                time.sleep(RECONNECT_EVERY_S)
                continue
            try:
                if self._serve(frames.FrameSocket(sock)):
                    self._scorer.close()
                    return
            except (EOFError, OSError):
                # A gateway that takes and drops connections must not keep us busy.
                time.sleep(RECONNECT_EVERY_S)
            finally:
                sock.close()
                self._drop_progress()

    def _serve(self, link: frames.FrameSocket) -> bool:
        """Serve one connection; True when told to retire."""
        path = os.path.join(os.path.dirname(self._gateway), f"progress-{os.getpid()}-{time.monotonic_ns()}")
        self._progress = Progress(path, create=True)
        self._frame = 0
        link.send(
            messages.hello(dict(self._about, pid=os.getpid(), progress=path, batches=self._scorer.batches))
        )
        score = self._score_together if self._scorer.batches else self._score_apart
        while True:
            kind, payload = link.receive()
            if kind == messages.RETIRE:
                return True
            if kind == messages.BATCH:
                self._frame += 1
                score(link, payload)

    def _score_together(self, link: frames.FrameSocket, payload: bytes) -> None:
        items = messages.read_batch(payload)
        now = time.monotonic()
        live = [request for deadline, request in items if deadline > now]
        answers: list[Reply | None] = list(self._answer(live))
        if len(live) != len(items):
            scored = iter(answers)
            answers = [next(scored) if deadline > now else None for deadline, _ in items]
        self._send(link, answers)

    def _score_apart(self, link: frames.FrameSocket, payload: bytes) -> None:
        assert self._progress is not None
        items = messages.read_batch(payload)
        words = self._progress.words
        frame = self._frame
        clock = time.monotonic
        pending: list[Reply | None] = []
        now = flushed = clock()
        last = len(items) - 1
        for index, (deadline, request) in enumerate(items):
            words[STARTED] = frame << 32 | index + 1
            if words[RECALLED] == frame:
                # The gateway has given the rest to another worker; what is left here must not run twice.
                pending.extend([None] * (len(items) - index))
                break
            if deadline <= now:
                pending.append(None)
                continue
            context.request_id = request.id
            pending.extend(self._answer([request]))
            began, now = now, clock()
            if index < last and (now - began > FLUSH_SLOW_S or now - flushed > FLUSH_AFTER_S):
                self._send(link, pending)
                pending = []
                flushed = now
        context.request_id = ""
        self._send(link, pending)

    def _send(self, link: frames.FrameSocket, answers: list[Reply | None]) -> None:
        if os.getpid() != self._pid:
            # A script has forked and let the child return from `run`: one of the two may answer.
            sys.stdout.flush()
            os._exit(0)
        link.send(messages.replies(answers))

    def _answer(self, requests: list[Request]) -> list[Reply]:
        if not requests:
            return []
        try:
            return self._scorer.score(requests)
        except Exception:  # noqa: BLE001 - the edge: a scorer's own bug must not cost the worker
            traceback.print_exc(file=sys.stderr)
            body = b'{"message": "The scorer failed. Check the logs for more info."}'
            return [Reply(body, status=500) for _ in requests]

    def _drop_progress(self) -> None:
        if self._progress is not None:
            self._progress.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._progress.path)
            self._progress = None
