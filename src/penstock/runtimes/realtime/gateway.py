"""The gateway: the process that speaks HTTP for a deployment. It authenticates, admits, queues and answers; it
scores nothing and imports no model library, so it starts at once and stays small.

Scoring requests go through `dispatch` to the workers; everything else (health, schema pages, metrics, model
metadata) is answered here, from what the workers said of themselves when they joined.
"""

from __future__ import annotations

import asyncio
import gc
import hmac
import os
import signal
import socket
import sys
import time
import traceback
import uuid
from collections import deque
from typing import Any, NoReturn

import orjson
import uvloop

from penstock.bundle.launch import Launch
from penstock.kit import channels, processes
from penstock.runtimes.realtime import connections, dispatch, links, messages, metrics
from penstock.runtimes.realtime.connections import Connection, Incoming
from penstock.runtimes.realtime.protocols import azureml, cors
from penstock.runtimes.realtime.routes import METRICS_PATH, SCORE_PATH, Answer, Routes

SWEEP_S = 0.02
PATIENCE_S = 1.0
ACCESS_S = 0.05
"""Access log lines leave in bundles, this often."""
MOST_UNTOLD = 10_000
"""Log lines that may wait for the supervisor."""

JSON_TYPES = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")
_PLAIN_ACCEPT = (b"*/*", b"application/json")


class Gateway:
    """The process's state; implements `connections.Service`."""

    def __init__(self, launch: Launch, channel: channels.Channel, loop: asyncio.AbstractEventLoop) -> None:
        settings = launch.manifest.settings
        self._launch = launch
        self._channel = channel
        self._loop = loop
        self.now = time.monotonic
        self.connections: set[Connection] = set()
        self.max_body_bytes = settings.max_body_bytes
        self.patience = launch.patience
        self.stopping = False
        self._keys = [key.encode() for key in launch.keys]
        self._cors = cors.policy(launch.cors_origins)
        self._wants_headers = launch.manifest.code is not None
        self._timeout_s = settings.request_timeout_ms / 1000
        self.metrics = metrics.Metrics(launch.manifest.name)
        self._pumping = self._sweeping = False
        self.dispatcher = dispatch.Dispatcher(
            clock=time.monotonic,
            wake=self._wake,
            overstayed=lambda pid: self._tell(event="overstayed", pid=pid),
            max_queue=settings.max_queue,
            max_batch_size=settings.max_batch_size,
            max_queue_wait_s=settings.max_queue_wait_ms / 1000,
        )
        self.batched = self.metrics.batched
        self.routes = Routes(launch, self.metrics)
        self._id_prefix = str(uuid.uuid4())[:24].encode()
        self._id_count = int.from_bytes(os.urandom(5), "big")
        self._heads: dict[int, bytes] = {}
        self._heads_until = 0.0
        self._access: list[str] = []
        self._untold: deque[dict[str, Any]] = deque()
        self.doors: list[asyncio.Server] = []
        self.memory: dict[str, int] = {}
        self.restarts: dict[str, int] = {}

    # connections.Service

    def common_head(self, status: int) -> bytes:
        """Status line, Date and Server; made once a second."""
        now = time.time()
        if now >= self._heads_until:
            self._heads.clear()
            self._heads_until = now // 1 + 1
            stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)).encode()
            self._stamp = b"date: " + stamp + b"\r\nserver: penstock\r\n"
        head = self._heads.get(status)
        if head is None:
            line = connections.STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
            head = self._heads[status] = line + self._stamp
        return head

    def _fresh_id(self) -> bytes:
        self._id_count = count = (self._id_count + 1) & 0xFFFFFFFFFFFF
        return self._id_prefix + b"%012x" % count

    def fresh_ids(self) -> bytes:
        """Id headers for a request that brought none."""
        return azureml.plain_block(self._fresh_id())

    def refusal_body(self, message: str, counts: metrics.Route | None) -> bytes:
        """The Open Inference Protocol says ``error`` where Azure says ``message``."""
        is_inference = counts is self.metrics.infer or counts is self.metrics.inference_metadata
        return orjson.dumps({"error" if is_inference else "message": message})

    def repeat(self, connection: Connection, body: bytes) -> None:
        """A scoring request whose head is the connection's memo."""
        assert connection.memo is not None
        meta, connection.extra, counts = connection.memo
        # Made here and not with the answer, so that the log of a failure names the id that the caller sees.
        fresh = self._fresh_id()
        self._submit(connection, fresh + meta if meta else b"", body, azureml.plain_block(fresh), counts)

    def handle(self, connection: Connection, request: Incoming) -> None:
        """A request whose head is new."""
        began = self.now()
        fields = request.fields
        sent = (
            fields.get(b"x-request-id"),
            fields.get(b"x-ms-request-id"),
            fields.get(b"x-ms-client-request-id"),
        )
        trace = fields.get(b"traceid")
        plain = sent == (None, None, None) and trace is None
        fresh = self._fresh_id()
        path = self.routes.strip_prefix(request)
        if self._cors is not None:
            connection.extra = cors.block(
                self._cors,
                request.method,
                fields.get(b"origin"),
                fields.get(b"access-control-request-method"),
                fields.get(b"access-control-request-headers"),
                fields.get(b"access-control-request-private-network"),
            )
        if plain:
            ids, request_id = azureml.plain_block(fresh), fresh
        else:
            resolved = azureml.resolve_ids(*sent, fresh, trace)
            ids, request_id = resolved.block, resolved.request_id
            if resolved.refusal:
                self._answer(connection, self._refusal(431, resolved.refusal, path), ids, request, began)
                return
        counts = self.routes.scoring(path, request.method)
        authorized = self._authorized(fields)
        if not authorized and not self.routes.is_open(path):
            refusal = self._refusal(
                401, "Send one of the deployment's keys: Authorization: Bearer <key>.", path
            )
            refusal.head = b"www-authenticate: Bearer\r\n"
            self._answer(connection, refusal, ids, request, began)
            return
        if counts is None:
            self._control(connection, request, ids, began, authorized=authorized)
            return
        if self._wants_headers or not self._is_plain(request, path):
            meta = messages.meta_of(request.method, request.target, request.headers)
        else:
            meta = b""
        if plain:
            connection.remember(request, meta, counts)
        self._submit(connection, request_id + meta if meta else b"", request.body, ids, counts)

    def _refusal(self, status: int, message: str, path: bytes) -> Answer:
        counts = self.routes.counts_of(path)
        return Answer(status, self.refusal_body(message, counts), counts=counts)

    def _is_plain(self, request: Incoming, path: bytes) -> bool:
        """Whether a model's worker needs nothing but the body: a JSON POST to the score route."""
        fields = request.fields
        return (
            request.method == b"POST"
            and request.target == path == SCORE_PATH
            and fields.get(b"content-type", JSON_TYPES[0]).lower() in JSON_TYPES
            and fields.get(b"accept", _PLAIN_ACCEPT[0]) in _PLAIN_ACCEPT
            and b"content-encoding" not in fields
        )

    def _authorized(self, fields: dict[bytes, bytes]) -> bool:
        if not self._keys:
            return True
        scheme, _, sent = fields.get(b"authorization", b"").partition(b" ")
        sent = sent.strip()
        # Every key is compared, so that the time taken tells nothing.
        matches = [hmac.compare_digest(sent, key) for key in self._keys]
        return scheme.lower() == b"bearer" and any(matches)

    # Scoring

    def _submit(
        self,
        connection: Connection,
        meta: bytes,
        body: bytes,
        ids: bytes,
        counts: metrics.Route,
    ) -> None:
        now = self.now()
        entry = connection.entry = dispatch.Entry(
            connection, meta, body, ids, counts, now, now + self._timeout_s
        )
        if not self.dispatcher.submit(entry):
            entry.open = False
            connection.refuse(entry, 429, "Too many requests wait already; try again later.")
        elif not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_S, self._sweep)

    def _wake(self) -> None:
        # Two turns of the loop on, when everything that has arrived is read: what came together goes together.
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._loop.call_soon, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        self.dispatcher.pump()

    def _sweep(self) -> None:
        if self.dispatcher.sweep():
            self._loop.call_later(SWEEP_S, self._sweep)
        else:
            self._sweeping = False

    def answered(self, entry: dispatch.Entry, status: int, size: int) -> None:
        """For the counts and the logs: an accepted request was answered."""
        now = self.now()
        entry.counts.scored(status, now - entry.arrived, entry.sent - entry.arrived, len(entry.body), size)
        if self._launch.access_log or status >= 500:
            self._log_access(entry.counts.name, status, now - entry.arrived, size, entry.ids)

    def failed(self, error: BaseException) -> None:
        """A bug of ours: its traceback goes to the log, its request is answered 500."""
        text = "".join(traceback.format_exception(error)).rstrip()
        self._tell(event="log", level="error", text=channels.clipped(text, 64_000))

    # Everything else

    def _control(
        self, connection: Connection, request: Incoming, ids: bytes, began: float, *, authorized: bool
    ) -> None:
        path, _, query = request.target.partition(b"?")
        if path == METRICS_PATH and request.method in (b"GET", b"HEAD"):
            # Its first page imports prometheus_client: in a thread, so that nobody else waits for it.
            accept = request.fields.get(b"accept", b"").decode("latin-1")
            counts = self.metrics.metrics
            entry = connection.entry = dispatch.Entry(connection, b"", b"", ids, counts, began, began)
            future = self._loop.run_in_executor(None, self.metrics.page, self._observed(), accept)
            future.add_done_callback(lambda done: self._metrics_page(connection, entry, request, done, began))
            return
        ready = self.dispatcher.serving > 0 and not self.stopping
        answer = self.routes.answer(request, path, query, ready=ready, authorized=authorized)
        self._answer(connection, answer, ids, request, began)

    def _metrics_page(
        self, connection: Connection, entry: dispatch.Entry, request: Incoming, done: Any, began: float
    ) -> None:
        if not entry.open:
            return
        connection.entry = None
        if done.exception() is not None:
            self.failed(done.exception())
            answer = self._refusal(
                500, "The metrics could not be written. Check the logs for more info.", b""
            )
        else:
            body, content_type = done.result()
            answer = Answer(200, body, content_type, self.metrics.metrics)
        self._answer(connection, answer, entry.ids, request, began)

    def _answer(
        self, connection: Connection, answer: Answer, ids: bytes, request: Incoming, began: float
    ) -> None:
        head = b"content-type: " + answer.content_type.encode() + b"\r\n" + answer.head
        seconds = self.now() - began
        counts = answer.counts or self.metrics.other
        counts.answered(answer.status, seconds, len(request.body), len(answer.body))
        if self._launch.access_log or answer.status == 500:
            self._log_access(counts.name, answer.status, seconds, len(answer.body), ids)
        connection.write(answer.status, head, ids, answer.body)

    def _observed(self) -> metrics.Observed:
        dispatcher = self.dispatcher
        return metrics.Observed(
            in_flight=dispatcher.queued + dispatcher.running,
            queue_length=dispatcher.queued,
            connections_open=len(self.connections),
            workers={"serving": dispatcher.serving, "retiring": len(dispatcher.pids()) - dispatcher.serving},
            restarts=self.restarts,
            resident_memory_bytes=self.memory,
        )

    def _log_access(self, route: str, status: int, seconds: float, size: int, ids: bytes) -> None:
        request_id = ids.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode("latin-1")
        if not self._access:
            self._loop.call_later(ACCESS_S, self._flush_access)
        self._access.append(f"{route} {status} {seconds * 1000:.2f} ms {size} bytes\n{request_id}")

    def _flush_access(self) -> None:
        lines, self._access = self._access, []
        for line in lines:
            text, _, request_id = line.partition("\n")
            level = "error" if text.split()[1][0] == "5" else "info"
            self._tell(event="log", level=level, text=text, request=request_id)

    # The supervisor and the workers

    def _tell(self, **message: Any) -> None:
        """To the supervisor, in order. While it is busy, events wait; log lines that become too many do not."""
        if self._untold:
            if message["event"] != "log" or len(self._untold) < MOST_UNTOLD:
                self._untold.append(message)
            return
        try:
            self._channel.send(message)
        except BlockingIOError:
            self._untold.append(message)
            self._loop.add_writer(self._channel.fileno(), self._tell_rest)
        except channels.ChannelClosedError:
            return

    def _tell_rest(self) -> None:
        try:
            while self._untold:
                self._channel.send(self._untold[0])
                self._untold.popleft()
        except BlockingIOError:
            return
        except channels.ChannelClosedError:
            self._untold.clear()
        self._loop.remove_writer(self._channel.fileno())

    def joined(self, link: dispatch.Link, about: dict[str, Any]) -> None:
        """A worker has connected and said what it holds."""
        self.routes.describe(about["description"])
        self.dispatcher.join(link)
        notes = [channels.clipped(note, 4000) for note in about["description"]["notes"][:16]]
        self._tell(event="joined", pid=link.pid, generation=about["generation"], notes=notes)

    def hear(self) -> None:
        """Orders from the supervisor; its end ends us."""
        try:
            while (message := self._channel.receive()) is not None:
                order = message.get("do")
                if order == "ping":
                    self.memory, self.restarts = message["memory"], message["restarts"]
                    self._tell(event="pong")
                elif order == "retire":
                    self.dispatcher.retire(message["pid"])
                elif order == "drain":
                    self._loop.create_task(self._drain())
        except channels.ChannelClosedError:
            self._loop.stop()

    async def _drain(self) -> None:
        self.stopping = True
        self.doors[0].close()
        while self.dispatcher.queued or self.dispatcher.running:
            self._close_idle()
            await asyncio.sleep(SWEEP_S)
        self._close_idle()
        # Answers are written; give the kernel's buffers to slow readers, within the supervisor's patience.
        while any(connection.is_writing for connection in self.connections):
            await asyncio.sleep(SWEEP_S)
        for pid in self.dispatcher.pids():
            self.dispatcher.retire(pid)
        self._flush_access()
        self._tell(event="drained")

    def _close_idle(self) -> None:
        for connection in list(self.connections):
            connection.close_if_idle()

    def check_patience(self) -> None:
        """Let go of clients that have stopped in the middle."""
        now = self.now()
        for connection in list(self.connections):
            connection.check_patience(now)
        self._loop.call_later(PATIENCE_S, self.check_patience)


async def serve(gateway: Gateway, listener: socket.socket, workers: socket.socket) -> list[asyncio.Server]:
    """Open both doors: the callers' and the workers'. They close when nobody holds them."""
    loop = asyncio.get_running_loop()
    return [
        await loop.create_server(lambda: Connection(gateway), sock=listener, backlog=4096),
        await loop.create_unix_server(lambda: links.WorkerConnection(gateway), sock=workers, backlog=4096),
    ]


def main(argv: list[str]) -> NoReturn:
    """``gateway LISTENER_FD WORKERS_FD CHANNEL_FD``; the first message on the channel is the launch."""
    listener, workers, channel_fd = map(int, argv[1:4])
    for number in (signal.SIGINT, signal.SIGTERM):
        # Shutdown is the supervisor's to order; a signal to the whole group must not cut requests.
        signal.signal(number, signal.SIG_IGN)
    processes.raise_descriptor_limit()
    channel = channels.Channel.from_fd(channel_fd)
    launch = Launch.from_json((channel.receive() or {})["launch"])
    channel.set_blocking(False)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    gateway = Gateway(launch, channel, loop)
    gateway.doors = loop.run_until_complete(
        serve(gateway, socket.socket(fileno=listener), socket.socket(fileno=workers))
    )
    loop.add_reader(channel.fileno(), gateway.hear)
    loop.call_later(PATIENCE_S, gateway.check_patience)
    # What is here now stays; the collector need not look at it again, and looks less often at the rest.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    loop.run_forever()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv)
