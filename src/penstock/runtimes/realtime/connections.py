"""One HTTP/1.1 connection: bytes in, requests out; answers in, bytes out.

httptools parses; the manners are ours: one request at a time is being answered on a connection, pipelined ones
wait their turn; heads, bodies and patience are bounded; a slow reader stops being read from.

Most clients send the same head again and again. A head that this connection has sent before means what it
meant then, so a request that repeats it, to the byte but for the digits of its length, skips the parser and all
that follows from headers: per-connection work instead of per-request work.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from http import HTTPStatus
from typing import Any, Protocol

import httptools

from penstock.bundle.launch import Patience
from penstock.runtimes.realtime import dispatch, metrics

HEAD_BYTES = 64 * 1024
"""Request line and headers together; more is answered 431."""
FRAMING_BYTES, FRAMING_FACTOR = 64 * 1024, 16
"""A chunked body may spend so many bytes, and so many times its own, on chunk sizes, extensions and trailers;
more is answered 413."""
PIPELINED = 32
"""Complete requests that may wait on one connection before it is no longer read from."""
PIPELINED_BYTES = 1024 * 1024
"""A request of such a body that must wait is the last to be read for now, too."""

STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
_TOO_LONG_HEAD = f"The request's headers are larger than {HEAD_BYTES} bytes."
_LONGEST_LENGTH = 20
_NO_MEMO, _NO_REST = b"\0", b"\0\0"
"""Match nothing: what follows a remembered length begins with a line end."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(?=[0-9]+\r\n)", re.IGNORECASE)
LENGTH_DIGITS = 5
"""Bodies of up to so many digits of length are looked for behind a remembered head; larger ones take a while
anyway."""

# What goes before a body; the number is its length.
_KEEP = b"content-length: %d\r\n\r\n"
_KEEP_OLD = b"connection: keep-alive\r\n" + _KEEP
_CLOSE = b"connection: close\r\n" + _KEEP


class Incoming:
    """One complete request. `headers` as received; `fields` by lower-case name, the first of each."""

    __slots__ = ("body", "ending", "fields", "head", "headers", "method", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.ending = _CLOSE
        """What its answer says of the connection."""
        self.head = b""
        """The head as received, when the request may set the connection's memo; else empty."""


class Service(Protocol):
    """What a connection asks of the gateway."""

    connections: set[Connection]
    max_body_bytes: int
    patience: Patience
    stopping: bool

    def handle(self, connection: Connection, request: Incoming) -> None:
        """Answer `request`, now or later."""

    def repeat(self, connection: Connection, body: bytes) -> None:
        """Score `body`: the connection has sent the head of its memo again."""

    def answered(self, entry: dispatch.Entry, status: int, size: int) -> None:
        """For the counts: an accepted request was answered with a body of `size` bytes."""

    def failed(self, error: BaseException) -> None:
        """Log a failure of our own."""

    def now(self) -> float:
        """Monotonic seconds."""

    def common_head(self, status: int) -> bytes:
        """Status line and the headers that every answer has."""

    def fresh_ids(self) -> bytes:
        """Id headers for a request that brought none."""

    def refusal_body(self, message: str, counts: metrics.Route | None) -> bytes:
        """The body of an answer of our own, in the manner of the route that `counts` stands for."""


class Connection(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_advancing",
        "_body",
        "_body_bytes",
        "_body_size",
        "_ending",
        "_head_bytes",
        "_head_done",
        "_headers",
        "_linger_until",
        "_memo",
        "_memo_rest",
        "_parser",
        "_paused",
        "_pending",
        "_refusal",
        "_refused",
        "_service",
        "_target",
        "_transport",
        "_unsent",
        "_whole",
        "_write_blocked",
        "entry",
        "extra",
        "head_only",
        "memo",
        "progressed",
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        self._transport: Any = None
        self._parser: Any = None
        self.entry: dispatch.Entry | None = None
        self.progressed = 0.0
        self.memo: tuple[bytes, bytes, metrics.Route] | None = None
        self.head_only = False
        self.extra = b""
        self._memo = _NO_MEMO
        self._memo_rest = _NO_REST
        self._pending: deque[Incoming] | None = None
        self._paused = False
        self._write_blocked = False
        self._unsent = 0
        self._ending = _KEEP
        self._refused = False
        self._advancing = False
        self._refusal: tuple[int, str] | None = None
        self._linger_until = 0.0
        self._whole = b""
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_size = 0
        self._body_bytes = 0
        self._head_bytes = 0
        self._head_done = False

    # Bytes in

    def connection_made(self, transport: Any) -> None:
        """asyncio's."""
        self._transport = transport
        self.progressed = self._service.now()
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's. What nobody waits for is not scored. A client that only says that it will send no more
        (half a close) looks the same as one that has left, and counts as one; nginx holds it so too."""
        self._service.connections.discard(self)
        if self.entry is not None:
            self.entry.open = False
            self.entry = None
        self._pending = None

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        if data.startswith(self._memo) and self.entry is None and not self._head_bytes and not self._refused:
            start = len(self._memo)
            end = data.find(b"\r", start, start + LENGTH_DIGITS + 1)
            body = data[end + len(self._memo_rest) :]
            if data.startswith(self._memo_rest, end) and data[start:end] == b"%d" % len(body):
                self._service.repeat(self, body)
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self._refused:
            if self._linger_until:
                self.progressed = self._service.now()
            return
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        fresh = not self._head_bytes
        if fresh:
            self.progressed = self._service.now()
        if not self._head_done:
            self._head_bytes += len(data)
        else:
            self.progressed = self._service.now()
            self._body_bytes += len(data)
        self._whole = data if fresh else b""
        self._feed(data)
        if self._body_bytes > FRAMING_BYTES + FRAMING_FACTOR * self._body_size and not self._refused:
            self._refuse_now(413, "The body is nearly all chunk extensions or trailers.")

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                place = upgrade.args[0]
            except httptools.HttpParserError as error:
                self._refuse_broken(error)
                return
            data = self._declined() + data[place:]
            self._begin()
            self._whole = b""
            self._parser = httptools.HttpRequestParser(self)
        if self._head_bytes > HEAD_BYTES and not self._head_done:
            self._refuse_now(431, _TOO_LONG_HEAD)

    def _declined(self) -> bytes:
        """The head of a request that asks for another protocol, without the asking: it may have a body, which
        the parser takes for the other protocol's. Clients that would rather speak HTTP/2 ask so every time."""
        lines = [b"%s %s HTTP/1.1\r\n" % (self._parser.get_method(), self._target)]
        lines.extend(b"%s: %s\r\n" % field for field in self._headers if field[0].lower() != b"upgrade")
        return b"".join(lines) + b"\r\n"

    def _refuse_broken(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if not isinstance(error, httptools.HttpParserCallbackError) or cause is None:
            self._refuse_now(400, f"This is not a valid HTTP/1.1 request: {error}.")
        elif isinstance(cause, _RefusedError):
            self._refuse_now(cause.status, cause.message)
        else:
            self._service.failed(cause)
            self._refuse_now(500, "The gateway failed at this request. Check the logs for more info.")

    def on_message_begin(self) -> None:
        """httptools'. A request that begins behind another, in one packet with it, has begun all the same."""
        if not self._head_bytes:
            self._head_bytes = 1

    def on_url(self, url: bytes) -> None:
        """httptools'."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools'. What comes after the body (trailers) is nobody's: it was never checked as a header."""
        if not self._head_done:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """httptools'. Refuses early what would only be refused later."""
        self._head_done = True
        if self._parser.should_upgrade():
            if self._parser.get_method() == b"CONNECT":
                raise _RefusedError(405, "This is no proxy.")
            return
        version = self._parser.get_http_version()
        hosts = 0
        size = len(self._target)
        expects = False
        for name, value in self._headers:
            lowered = name.lower()
            size += len(name) + len(value) + 4
            hosts += lowered == b"host"
            if lowered == b"expect" and version != "1.0":
                if value.lower() != b"100-continue":
                    raise _RefusedError(417, "The only expectation that can be met is 100-continue.")
                expects = True
            elif lowered in (b"content-length", b"transfer-encoding"):
                self._check_framing(lowered, value, version)
        if size > HEAD_BYTES:
            raise _RefusedError(431, _TOO_LONG_HEAD)
        if version not in ("1.1", "1.0"):
            raise _RefusedError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if hosts > 1 or (not hosts and version == "1.1"):
            raise _RefusedError(400, "A request needs exactly one Host header.")
        if expects and self.entry is None and not self._pending:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_framing(self, name: bytes, value: bytes, version: str) -> None:
        """What the parser lets pass and we do not."""
        if name == b"content-length":
            if len(value) > _LONGEST_LENGTH:
                raise _RefusedError(400, "Content-Length has too many digits.")
            if int(value) > self._service.max_body_bytes:
                raise _RefusedError(413, self._too_large())
        elif version == "1.0":
            raise _RefusedError(400, "HTTP/1.0 has no transfer encodings.")
        elif b"," in value:
            raise _RefusedError(501, "The only transfer encoding that is read is chunked.")

    def on_body(self, body: bytes) -> None:
        """httptools'."""
        self._body_size += len(body)
        if self._body_size > self._service.max_body_bytes:
            raise _RefusedError(413, self._too_large())
        self._body.append(body)

    def on_message_complete(self) -> None:
        """httptools'. The request is whole: handle it, or let it wait for the one before."""
        if self._parser.should_upgrade():
            return
        request = Incoming()
        request.method = self._parser.get_method()
        request.target = self._target if self._target.startswith(b"/") else _origin_form(self._target)
        request.headers = self._headers
        fields: dict[bytes, bytes] = {}
        request.fields = fields
        for name, value in self._headers:
            fields.setdefault(name.lower(), value)
        body = self._body
        request.body = body[0] if len(body) == 1 else b"".join(body)
        if self._parser.should_keep_alive():
            request.ending = _KEEP if self._parser.get_http_version() == "1.1" else _KEEP_OLD
        whole = self._whole
        if request.ending is _KEEP and whole.endswith(request.body) and b"content-length" in fields:
            head = whole[: len(whole) - len(request.body)]
            # One head, one body, nothing else in the packet: it may be remembered.
            if head.find(b"\r\n\r\n") == len(head) - 4 and len(request.body) == int(
                fields[b"content-length"]
            ):
                request.head = head
        self._begin()
        if self.entry is None and not self._pending:
            self._take(request)
            return
        if self._pending is None:
            self._pending = deque()
        self._pending.append(request)
        if not self._paused and (len(self._pending) >= PIPELINED or len(request.body) > PIPELINED_BYTES):
            self._paused = True
            self._transport.pause_reading()

    def _take(self, request: Incoming) -> None:
        self._ending = request.ending
        self.head_only = request.method == b"HEAD"
        self.extra = b""
        self._service.handle(self, request)

    def remember(self, request: Incoming, meta: bytes, counts: metrics.Route) -> None:
        """Later requests with this very head may skip the parser; `meta` is what the worker is told of them."""
        head = request.head
        if not head:
            return
        start = _LENGTH.search(head)
        if (
            start is not None
            and not self.head_only
            and len(request.body) < 10**LENGTH_DIGITS <= self._service.max_body_bytes
        ):
            self._memo = head[: start.end()]
            self._memo_rest = head[head.index(b"\r", start.end()) :]
            self.memo = (meta, self.extra, counts)

    # Answers out

    def answer(self, entry: dispatch.Entry, status: int, head: bytes, body: bytes) -> None:
        """Write a worker's reply."""
        self.entry = None
        self._service.answered(entry, status, len(body))
        self.write(status, head, entry.ids, body)

    def refuse(self, entry: dispatch.Entry, status: int, message: str) -> None:
        """Write an answer of our own to an accepted request."""
        self.entry = None
        body = self._service.refusal_body(message, entry.counts)
        self._service.answered(entry, status, len(body))
        head = b"content-type: application/json\r\n"
        if status == 429:
            head += b"retry-after: 1\r\n"
        self.write(status, head, entry.ids, body)

    def write(self, status: int, head: bytes, ids: bytes, body: bytes) -> None:
        """Write an answer: `head` is its own header lines, `ids` those of the request, fresh ones if empty."""
        service = self._service
        transport = self._transport
        if service.stopping:
            self._ending = _CLOSE
        ending = self._ending
        parts = (
            service.common_head(status),
            head,
            ids or service.fresh_ids(),
            self.extra,
            ending % len(body),
            b"" if self.head_only else body,
        )
        transport.write(b"".join(parts))
        self.progressed = service.now()
        # A remembered head comes without a word on these two.
        self.head_only = False
        if ending is _CLOSE:
            self._refused = True
            self._pending = self._refusal = None
            if self._linger_until and not transport.is_closing():
                transport.write_eof()
            else:
                transport.close()
        elif self._pending or self._paused or self._refusal is not None:
            self._next()

    def _next(self) -> None:
        """Take up what waits. Not by recursion: a packet may hold thousands of small requests."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._pending and self.entry is None and not self._write_blocked:
                self._take(self._pending.popleft())
        finally:
            self._advancing = False
        if self._pending or self.entry is not None or self._write_blocked:
            return
        if self._refusal is not None:
            status, message = self._refusal
            self._refusal = None
            self._refuse_now(status, message)
        elif self._paused and not self._refused:
            self._paused = False
            self._transport.resume_reading()

    def _refuse_now(self, status: int, message: str) -> None:
        """Answer and hang up: what follows on this connection cannot be understood."""
        if self.entry is not None or self._pending:
            # Earlier requests are still being scored; their answers go first.
            self._refused = True
            self._refusal = (status, message)
            return
        if self._transport.is_closing():
            return
        self._ending = _CLOSE
        self.head_only = False
        self.extra = b""
        self._linger_until = self._service.now() + self._service.patience.linger_most_s
        body = self._service.refusal_body(message, None)
        self.write(status, b"content-type: application/json\r\n", b"", body)

    def pause_writing(self) -> None:
        """asyncio's: the client does not take what we send. Nothing more is read from it meanwhile."""
        self._write_blocked = True
        self.progressed = self._service.now()
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """asyncio's."""
        self._write_blocked = False
        self._next()

    def check_patience(self, now: float) -> None:
        """Called about once a second: let go of clients that have stopped in the middle."""
        patience = self._service.patience
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            # It takes its answer, if slowly.
            self._unsent = unsent
            self.progressed = now
        waited = now - self.progressed
        if self._linger_until:
            if waited > patience.linger_s or now > self._linger_until:
                self._transport.abort()
        elif unsent:
            if waited > patience.write_s:
                self._transport.abort()
        elif self.entry is not None:
            return
        elif self._head_bytes:
            if waited > (patience.body_s if self._head_done else patience.head_s):
                self._refuse_now(408, "The rest of the request did not come in time.")
        elif waited > patience.idle_s:
            self._transport.close()

    @property
    def is_writing(self) -> bool:
        """Whether part of an answer has not left yet."""
        return bool(self._transport.get_write_buffer_size())

    def close_if_idle(self) -> None:
        """For shutdown: nothing is being answered and nothing has begun."""
        if self._linger_until or self._transport.get_write_buffer_size():
            return
        if self.entry is None and not self._head_bytes and not self._pending:
            self._transport.close()

    def _too_large(self) -> str:
        return f"The body is larger than the {self._service.max_body_bytes} bytes that are accepted (--max-body)."


def _origin_form(target: bytes) -> bytes:
    """Path and query of a target that names the server too (``http://host/score``); others as they are."""
    _, mark, rest = target.partition(b"://")
    if not mark:
        return target
    authority = rest.split(b"?", 1)[0].split(b"/", 1)[0]
    origin = rest[len(authority) :]
    return origin if origin.startswith(b"/") else b"/" + origin


class _RefusedError(Exception):
    """Raised inside the parser's callbacks to stop it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
