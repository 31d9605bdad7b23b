"""The same bytes, in the same packets, to a connection of ours and to uvicorn's httptools protocol: the same
requests are seen, and the same are refused, but for the differences that `KNOWN` and `_compare` name."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.launch import Patience
from penstock.runtimes.realtime import dispatch, metrics
from penstock.runtimes.realtime.connections import STATUS_LINES, Connection, Incoming
from support.desk import Pipe

config = pytest.importorskip("uvicorn.config")
httptools_impl = pytest.importorskip("uvicorn.protocols.http.httptools_impl")
server = pytest.importorskip("uvicorn.server")

Seen = tuple[bytes, bytes, bytes]
"""Method, path with query, body."""

KNOWN = {
    b"exactly one Host header": "RFC 9112, 3.2: none or several are a 400; uvicorn leaves it to the application",
    b"only expectation": "RFC 9110, 10.1.1: 417; uvicorn ignores other expectations",
    b"HTTP/1.0 has no transfer": "RFC 9112, 6.1: faulty framing; uvicorn reads the chunks",
    b"only transfer encoding": "RFC 9112, 6.1: 501; uvicorn hands compressed chunks on as if they were the body",
    b"are spoken here": "RFC 9110, 15.6.6: 505; uvicorn answers HTTP/0.9 and 2.0 as 1.1",
    b"This is no proxy": "RFC 9110, 9.3.6: uvicorn answers a CONNECT and then takes the tunnel for requests",
    b"larger than": "our limit of bodies; uvicorn has none",
    b"too many digits": "a length of more digits than any body needs",
}


PARTIAL = re.compile(rb" [a-z]+://(/|[^/ ]*[? ])")
"""A target in absolute form, its host or its path left out: ``http:///p``, ``http://h?q``."""


class Recorder:
    """A `connections.Service` that keeps what it is asked and answers at once."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.max_body_bytes = 100_000
        self.patience = Patience()
        self.stopping = False
        self.seen: list[Seen] = []
        self.counts = metrics.Metrics("x").score

    def handle(self, connection: Connection, request: Incoming) -> None:
        self.seen.append((request.method, request.target, request.body))
        connection.remember(request, request.method + b" " + request.target, self.counts)
        self._answer(connection)

    def repeat(self, connection: Connection, body: bytes) -> None:
        assert connection.memo is not None
        method, target = connection.memo[0].split(b" ", 1)
        self.seen.append((method, target, body))
        self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        connection.write(200, b"", b"", b"seen")

    def answered(self, entry: dispatch.Entry, status: int, size: int) -> None:
        raise AssertionError

    def failed(self, error: BaseException) -> None:
        raise error

    def now(self) -> float:
        return 0.0

    def common_head(self, status: int) -> bytes:
        return STATUS_LINES[status]

    def fresh_ids(self) -> bytes:
        return b""

    def refusal_body(self, message: str, counts: metrics.Route | None) -> bytes:
        return message.encode()


class Forgiving(Pipe):
    """uvicorn writes to connections that it has closed, as asyncio allows."""

    def write(self, data: bytes) -> None:
        if not self.is_closed:
            super().write(data)


class Uvicorn:
    """uvicorn's protocol with an application that keeps what it is asked."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.seen: list[Seen] = []
        self.before_upgrade = -1
        self.settings = config.Config(
            self._application, http="httptools", interface="asgi3", lifespan="off", log_level="critical"
        )
        self.settings.load()

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        fields = scope["headers"]
        asks = any(name == b"upgrade" for name, _ in fields) and any(
            name == b"connection" and b"upgrade" in value.lower() for name, value in fields
        )
        if asks and self.before_upgrade < 0:
            self.before_upgrade = len(self.seen)
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        self.seen.append((scope["method"].encode(), scope["raw_path"] + query, body))
        head = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"seen"})

    def talk(self, packets: list[bytes]) -> Pipe:
        self.seen.clear()
        self.before_upgrade = -1
        pipe = Forgiving()
        protocol = httptools_impl.HttpToolsProtocol(
            config=self.settings, server_state=server.ServerState(), app_state={}, _loop=self._loop
        )
        pipe.attach(protocol)
        for packet in packets:
            pipe.deliver(packet)
            self._loop.run_until_complete(self._idle(pipe))
        is_closed = pipe.is_closed
        protocol.connection_lost(None)
        self._loop.run_until_complete(self._idle(pipe))
        pipe.is_closed = is_closed
        return pipe

    async def _idle(self, pipe: Pipe) -> None:
        for _ in range(12):
            await asyncio.sleep(0)
            pipe.settle()


METHODS = st.sampled_from([*["GET", "POST"] * 4, "HEAD", "OPTIONS", "PUT", "BREW", "post", "CONNECT", "PRI"])
TARGETS = st.sampled_from(
    [*["/score", "/", "/a?b=c"] * 3, "/%41?%42", "http://h/p?q", "//x", "*", "x", "/a b", "/\xe9", "/?"]
)
VERSIONS = st.sampled_from(
    [*["HTTP/1.1"] * 12, "HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/1.1 ", ""]
)
HOSTS = st.sampled_from([*["Host: x"] * 10, "Host: x\r\nHost: y", "host:", ""])
FIELDS = st.lists(
    st.sampled_from(
        [
            *["X-A: b", "content-type: application/json", "Accept: */*"] * 3,
            *["Connection: close", "Connection: keep-alive", "Connection: x, close"],
            *[
                "Expect: 100-continue",
                "Expect: x",
                "Upgrade: h2c",
                "Connection: Upgrade\r\nUpgrade: websocket",
            ],
            *[
                "X-A:b\r\n c",
                "X A: b",
                "X-A : b",
                ": b",
                "X-A",
                "X-A: \0",
                "X-A:\t b \t",
                "X-\xe9: \xe9",
                "X:",
            ],
            *[
                "Content-Length: 2",
                "Content-Length: +2",
                "Transfer-Encoding: chunked",
                "Transfer-Encoding: x",
            ],
        ]
    ),
    max_size=3,
)
CODINGS = st.sampled_from(["chunked"] * 8 + ["Chunked", "xchunked", "chunked, identity", "gzip, chunked"])
CONTENTS = st.sampled_from(["", "{}", '{"n": 1}', "\r\n", "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n", "x" * 70])
CHUNK_ENDS = st.sampled_from(
    ["0\r\n\r\n"] * 6 + ["0;a=b\r\n\r\n", "0\r\nX-T: t\r\n\r\n", "00\r\n\r\n", "0\n\n", "0\r\n"]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request, more often right than not."""
    lines = [f"{draw(METHODS)} {draw(TARGETS)} {draw(VERSIONS)}", draw(HOSTS), *draw(FIELDS)]
    content = draw(CONTENTS)
    framing = draw(st.sampled_from(["length", "length", "chunked", "none", "wrong"]))
    body = content
    if framing == "length":
        lines.append(f"Content-Length: {len(content)}")
    elif framing == "wrong":
        lines.append(
            f"Content-Length: {draw(st.sampled_from([len(content) + 1, '', '0x1', '1,1', -1, '9' * 30]))}"
        )
    elif framing == "chunked":
        coding = draw(CODINGS)
        lines.append(f"Transfer-Encoding: {coding}")
        body = (f"{len(content):x}\r\n{content}\r\n" if content else "") + draw(CHUNK_ENDS)
    end = draw(st.sampled_from(["\r\n"] * 20 + ["\n", "\r"]))
    return (end.join(line for line in lines if line) + end * 2).encode("latin-1") + body.encode("latin-1")


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """A few requests, some bytes changed, cut into packets."""
    drawn = draw(st.lists(requests(), min_size=1, max_size=4))
    stream = bytearray(b"".join(drawn * draw(st.integers(1, 2))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(stream)))
        stream[place : place + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"\xff", b"0", b"A"])
        )
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=4))
    if draw(st.booleans()):
        cuts = [sum(map(len, drawn[:n])) for n in range(len(drawn))]
    places = sorted({0, len(stream), *cuts})
    return [bytes(stream[a:b]) for a, b in itertools.pairwise(places)]


def _compare(packets: list[bytes], theirs: Uvicorn, kinds: Counter[str]) -> None:
    ours = Recorder()
    pipe = Pipe()
    pipe.attach(Connection(ours))
    for packet in packets:
        pipe.deliver(packet)
    their_pipe = theirs.talk(packets)
    refusal = pipe.written.rpartition(b"\r\n\r\n")[2]
    is_refused = (
        pipe.is_closed and refusal != b"seen" and b"HTTP/1.1 200" not in pipe.written[-len(refusal) - 90 :]
    )
    # A fragment has no place in a target; uvicorn cuts it off. ASGI cannot tell an empty query from none.
    seen = [
        (method, target.partition(b"#")[0].removesuffix(b"?"), body) for method, target, body in ours.seen
    ]
    is_known = is_refused and any(words in refusal for words in KNOWN)
    if is_known or theirs.before_upgrade >= 0:
        # uvicorn answers an upgrade before the body, which it then takes for requests.
        kinds["known"] += 1
        ends = [len(seen)] * is_known + [theirs.before_upgrade] * (theirs.before_upgrade >= 0)
        assert seen[: min(ends)] == theirs.seen[: min(ends)]
    elif b"HTTP/1.0" in b"".join(packets) or PARTIAL.search(b"".join(packets)):
        # uvicorn always closes after HTTP/1.0, we do as the client asks. And it fails on a URL without a path,
        # which RFC 9112, 3.2.2 allows, or without a host; it sees nothing from there on.
        kinds["old"] += 1
        assert theirs.seen == seen[: len(theirs.seen)]
    else:
        kinds["alike"] += 1
        # uvicorn hangs up at once on what is broken; we answer what came before it.
        assert theirs.seen == (seen[: len(theirs.seen)] if is_refused else seen)
        assert is_refused == (b"Invalid HTTP request" in their_pipe.written)
        assert pipe.is_closed == their_pipe.is_closed


@pytest.mark.slow
def test_the_same_bytes_mean_the_same() -> None:
    loop = asyncio.new_event_loop()
    theirs = Uvicorn(loop)
    kinds: Counter[str] = Counter()

    @given(packets=streams())
    @settings(max_examples=1500, deadline=None)
    def compare(packets: list[bytes]) -> None:
        _compare(packets, theirs, kinds)

    try:
        compare()
    finally:
        loop.close()
    assert kinds["alike"] > 0.3 * kinds.total(), kinds
