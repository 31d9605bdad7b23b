"""How the server behaves on the wire: what it accepts, what it refuses and how it parts from clients, by raw
bytes over real sockets. What packets' edges do is in tests/unit/runtimes/realtime/test_connections.py."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import random
import resource
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from penstock.bundle.launch import Launch, Patience
from penstock.bundle.manifest import Code, Manifest, Settings
from support.load import Load
from support.servers import Reply, Server, serving
from support.waiting import until
from support.wire import HungUpError, Wire, chunked, get, post, send_slowly

pytestmark = pytest.mark.slow

ECHO = """
import hashlib, json, os
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

@rawhttp
def run(request):
    body = request.get_data()
    do = request.args.get("do")
    if do == "back":
        return AMLResponse(body, 200, {"Content-Type": "application/octet-stream"})
    if do == "large":
        return AMLResponse(os.urandom(1024) * int(request.args["kb"]), 200)
    if do == "status":
        return AMLResponse("text", int(request.args["code"]), {"Transfer-Encoding": "chunked"})
    if request.method == "POST" and body[:5] == b'{"n":':
        return {"n": json.loads(body)["n"]}
    return {"method": request.method, "path": request.path, "query": request.query_string.decode("latin-1"),
            "size": len(body), "sha": hashlib.sha1(body).hexdigest()}
"""

MB = 1 << 20
SMUGGLED = get("/score?smuggled")
HEAD = b"POST /score HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    (folder / "score.py").write_text(ECHO)
    return folder


@pytest.fixture(scope="module")
def server(code: Path) -> Iterator[Server]:
    with serving("--code", str(code), "--script", "score.py") as server:
        yield server


@pytest.fixture(scope="module")
def brisk(code: Path) -> Iterator[Server]:
    """A server of little patience and small limits."""
    launch = Launch(
        manifest=Manifest(
            name="echo", code=Code(str(code), "score.py"), settings=Settings(max_body_bytes=2 * MB)
        ),
        python=sys.executable,
        port=0,
        log_format="json",
        patience=Patience(head_s=0.5, body_s=2.0, idle_s=1.5, write_s=2.0, linger_s=2.0, linger_most_s=3.0),
    )
    with serving(launch=launch) as server:
        yield server


def _is_well(server: Server) -> bool:
    return server.request("POST", "/score", b'{"n": 7}').json() == {"n": 7}


def _gateway(server: Server) -> psutil.Process:
    [process] = server.processes("gateway")
    return process


def _ask(server: Server, data: bytes) -> Reply:
    with Wire(server.port) as wire:
        wire.send(data)
        return wire.answer()


# What is understood


def test_a_connection_is_kept_until_somebody_says_otherwise(server: Server) -> None:
    with Wire(server.port) as wire:
        for n in range(3):
            wire.send(post(b'{"n": %d}' % n))
            reply = wire.answer()
            assert reply.json() == {"n": n}
            assert "connection" not in reply.headers
        wire.send(post(b'{"n": 3}', fields="Connection: close\r\n"))
        reply = wire.answer()
        assert (reply.json(), reply.headers["connection"]) == ({"n": 3}, "close")
        assert wire.is_hung_up()


def test_http_1_0(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(b"GET /score HTTP/1.0\r\n\r\n")
        assert wire.answer().headers["connection"] == "close"
        assert wire.is_hung_up()
    with Wire(server.port) as wire:
        for n in range(2):
            wire.send(post(b'{"n": %d}' % n, version="1.0", fields="Connection: Keep-Alive\r\n"))
            reply = wire.answer()
            assert (reply.json(), reply.headers["connection"]) == ({"n": n}, "keep-alive")


def test_hundreds_of_pipelined_requests_are_answered_in_order(server: Server) -> None:
    rng = random.Random(1)
    sent, expected = [], []
    for n in range(600):
        kind = rng.randrange(5)
        if kind == 0:
            sent.append(get())
            expected.append(b"Healthy")
        elif kind == 1:
            sent.append(chunked(b'{"n":', b"%d}" % n))
            expected.append(b'{"n": %d}' % n)
        elif kind == 2:
            sent.append(get("/nowhere"))
            expected.append(b"nothing at /nowhere")
        else:
            sent.append(post(b'{"n":%d}' % n, fields="X-A: b\r\n" * (kind == 3)))
            expected.append(b'{"n": %d}' % n)
    with Wire(server.port) as wire:
        thread = threading.Thread(target=wire.send, args=(b"".join(sent),))
        thread.start()
        for wanted in expected:
            assert wanted in wire.answer().body
        thread.join()
        wire.send(post(b'{"n":1}'))
        assert wire.answer().json() == {"n": 1}


def test_a_request_that_comes_byte_by_byte(server: Server) -> None:
    data = post(b'{"n": 1}') + chunked(b'{"n":', b" 2}")
    with Wire(server.port) as wire:
        for place in range(len(data)):
            wire.send(data[place : place + 1])
        assert [wire.answer().json() for _ in range(2)] == [{"n": 1}, {"n": 2}]


def test_chunked_bodies(server: Server) -> None:
    parts = [b"a", b"b" * 5000, b"\0\xff" * 10]
    with Wire(server.port) as wire:
        for end in (b"0\r\n\r\n", b"0;last\r\nX-Trailer: yes\r\nHost: z\r\n\r\n", b'00;a="b"\r\n\r\n'):
            wire.send(chunked(*parts, end=end))
            assert wire.answer().json()["sha"] == hashlib.sha1(b"".join(parts)).hexdigest()
        wire.send(HEAD + b"Transfer-Encoding: Chunked\r\n\r\nA;x=y;z\r\n0123456789\r\n0\r\n\r\n")
        assert wire.answer().json()["size"] == 10


def test_expect_continue(server: Server) -> None:
    body = b'{"n": 1}'
    expecting = post(body, fields="Expect: 100-continue\r\n")
    with Wire(server.port) as wire:
        for _ in range(2):
            wire.send(expecting[: -len(body)])
            assert wire.answer().status == 100
            wire.send(body)
            assert wire.answer().json() == {"n": 1}
    for fields, status in (
        ("Expect: 100-continue\r\nContent-Length: 99999999999\r\n", 413),
        ("Content-Length: 99999999999\r\nExpect: 100-continue\r\n", 413),
        ("Expect: a miracle\r\nContent-Length: 2\r\n", 417),
    ):
        with Wire(server.port) as wire:
            wire.send(HEAD + fields.encode() + b"\r\n")
            assert wire.answer().status == status
            assert wire.is_hung_up()
    with Wire(server.port) as wire:
        wire.send(post(body, version="1.0", fields="Expect: 100-continue\r\n"))
        assert wire.answer().json() == {"n": 1}, "HTTP/1.0 knows no interim answers"


def test_head_has_the_head_of_get_and_no_body(server: Server) -> None:
    with Wire(server.port) as wire:
        for target in ("/", "/nowhere", "/swagger.json", "/metrics", "/score"):
            wire.send(get(target, method="HEAD") + get(target))
            bare, whole = wire.answer(to_head=True), wire.answer()
            assert bare.status == whole.status
            assert bare.headers["content-type"] == whole.headers["content-type"]
            assert int(bare.headers["content-length"]) > 0
        wire.send(post(b'{"n": 1}'))
        assert wire.answer().json() == {"n": 1}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "PURGE"])
def test_methods_that_nothing_serves(server: Server, method: str) -> None:
    with Wire(server.port) as wire:
        for target, allowed in (("/", "GET, HEAD"), ("/score", "GET, HEAD, POST, OPTIONS")):
            wire.send(get(target, method=method))
            reply = wire.answer()
            assert (reply.status, reply.headers["allow"]) == (405, allowed)


def test_methods_that_nobody_knows_or_that_make_proxies(server: Server) -> None:
    for data, status in (
        (get(method="BREW"), 400),
        (get(method="get"), 400),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 405),
    ):
        with Wire(server.port) as wire:
            wire.send(data)
            assert wire.answer().status == status
            assert wire.is_hung_up()


def test_targets(server: Server) -> None:
    def seen(target: str) -> tuple[int, str, str]:
        reply = _ask(server, get(target))
        return reply.status, reply.json().get("path", ""), reply.json().get("query", "")

    assert seen("/score?a=%C3%A9&b=/?") == (200, "/score", "a=%C3%A9&b=/?")
    assert seen("http://other:99/score?a=1") == (200, "/score", "a=1")
    assert seen("HTTPS://other/score") == (200, "/score", "")
    assert _ask(server, get("http://other")).body == b"Healthy"
    assert _ask(server, get("http://other?x")).body == b"Healthy"
    for target in ("//score", "/score/", "/./score", "/SCORE", "/%73core", "/score%00", "/v2/../score"):
        assert seen(target)[0] == 404, target
    assert _ask(server, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").status == 404


def test_long_heads_are_bounded(server: Server) -> None:
    for data in (
        get("/score?" + "q" * 50_000),
        get("/score", fields="X-Long: " + "v" * 50_000 + "\r\n"),
        get("/score", fields="".join(f"X-{n}: {n}\r\n" for n in range(3000))),
    ):
        assert _ask(server, data).status == 200
    for data in (
        get("/score?" + "q" * 70_000),
        get("/score", fields="X-Long: " + "v" * 70_000 + "\r\n"),
        get("/score", fields="X-" + "n" * 70_000 + ": v\r\n"),
        get("/score", fields="".join(f"X-{n}: {n}\r\n" for n in range(8000))),
        b"GET /" + b"q" * (8 * MB),
        b"Q" * (8 * MB),
        get("/")[:-2] + b"X-Endless: x\r\n" * 600_000,
    ):
        with Wire(server.port) as wire:
            sender = threading.Thread(target=send_slowly, args=(wire, data), kwargs={"until_s": 10})
            sender.start()
            assert wire.answer().status == (400 if data[:1] == b"Q" else 431)
            sender.join()
    assert _is_well(server)


# What is refused: after any of these nothing on the connection can be trusted

REFUSED = {
    "length and chunks": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "length twice": (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "list of lengths": (HEAD + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    "negative length": (HEAD + b"Content-Length: -2\r\n\r\n{}", 400),
    "plus length": (HEAD + b"Content-Length: +2\r\n\r\n{}", 400),
    "hexadecimal length": (HEAD + b"Content-Length: 0x2\r\n\r\n{}", 400),
    "underscored length": (HEAD + b"Content-Length: 1_0\r\n\r\n{}", 400),
    "no length": (HEAD + b"Content-Length:\r\n\r\n", 400),
    "huge length": (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n{}", 400),
    "long length": (HEAD + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\n{}", 400),
    "great length": (HEAD + b"Content-Length: 9999999999\r\n\r\n{}", 413),
    "xchunked": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "identity": (HEAD + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    "chunked, identity": (HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "gzip, chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "vertical tab": (HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "parameter": (HEAD + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
    "no coding": (HEAD + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    "chunks in 1.0": (b"POST /score HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunk size overflow": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n", 400),
    "great chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n{}", -1),
    "chunk size of letters": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n", 400),
    "negative chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
    "0x chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n", 400),
    "space after chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n", 400),
    "chunk with LF": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n", 400),
    "chunk too long": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX\r\n0\r\n\r\n", 400),
    "space before colon": (HEAD + b"Content-Length : 2\r\n\r\n{}", 400),
    "folded header": (HEAD + b"X-A: a\r\n b\r\n\r\n", 400),
    "folded first header": (b"GET /score HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    "no host": (b"GET /score HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /score HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "two hosts in 1.0": (b"GET /score HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "version 1.2": (b"GET /score HTTP/1.2\r\nHost: x\r\n\r\n", 400),
    "version 2.0": (b"GET /score HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "version 0.9": (b"GET /score HTTP/0.9\r\nHost: x\r\n\r\n", 505),
    "version 1.10": (b"GET /score HTTP/1.10\r\nHost: x\r\n\r\n", 400),
    "no version": (b"GET /score\r\n\r\n", 505),
    "http/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "LF line ends": (b"GET /score HTTP/1.1\nHost: x\n\n", 400),
    "one LF line end": (b"GET /score HTTP/1.1\r\nHost: x\nX-B: 1\r\n\r\n", 400),
    "CR line ends": (b"GET /score HTTP/1.1\rHost: x\r\r", 400),
    "CR in value": (HEAD + b"X: a\rb\r\n\r\n", 400),
    "NUL in value": (HEAD + b"X: a\0b\r\n\r\n", 400),
    "control in value": (HEAD + b"X: a\x01b\r\n\r\n", 400),
    "DEL in value": (HEAD + b"X: a\x7fb\r\n\r\n", 400),
    "NUL in name": (HEAD + b"X\0: a\r\n\r\n", 400),
    "NUL in target": (b"GET /sc\0ore HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "control in target": (b"GET /sc\x01ore HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "bytes beyond ASCII in target": (b"GET /sc\xffore HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "nameless header": (HEAD + b": a\r\n\r\n", 400),
    "header without colon": (HEAD + b"abc\r\n\r\n", 400),
    "tabs in the request line": (b"GET\t/score\tHTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "relative target": (b"GET score HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100f5010000f10303") + bytes(range(200)), 400),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", 400),
    "length in a trailer": (chunked(b"{}", end=b"0\r\nContent-Length: 5\r\n\r\n"), 400),
    "empty line of NULs": (b"\0" * 50, 400),
}


@pytest.mark.parametrize("name", [name for name, (_, status) in REFUSED.items() if status > 0])
def test_what_cannot_be_trusted_is_refused_and_hung_up_on(server: Server, name: str) -> None:
    data, status = REFUSED[name]
    with Wire(server.port) as wire:
        wire.send(data + SMUGGLED)
        replies = wire.answers()
    assert [reply.status for reply in replies] == [status]
    assert replies[0].headers["connection"] == "close"
    assert replies[0].json()["message"]


def test_a_good_request_before_a_bad_one_is_answered_first(server: Server) -> None:
    with Wire(server.port) as wire:
        wire.send(post(b'{"n": 1}') + REFUSED["length and chunks"][0] + SMUGGLED)
        assert [(r.status, r.json().get("n")) for r in wire.answers()] == [(200, 1), (400, None)]


def test_what_is_refused_leaves_no_trace(server: Server) -> None:
    assert _is_well(server)
    assert "Traceback" not in server.log
    assert len(server.processes("gateway")) == 1


# Bodies


def test_a_body_over_the_limit_is_refused_and_the_refusal_can_be_read(brisk: Server) -> None:
    body = bytes(40 * MB)
    declared = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    undeclared = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body)
    for head in (declared, undeclared):
        # As clients that send all before they read.
        with Wire(brisk.port) as wire:
            wire.send(head)
            assert send_slowly(wire, body, until_s=10) == len(body)
            reply = wire.answer()
            assert (reply.status, reply.headers["connection"]) == (413, "close")
            assert "2097152 bytes" in reply.json()["message"]
            assert wire.is_hung_up()
        # As clients that look while they send.
        with Wire(brisk.port) as wire:
            wire.send(head + body[: 3 * MB])
            assert wire.answer().status == 413
    assert _ask(brisk, post(bytes(2 * MB))).json()["size"] == 2 * MB
    assert _ask(brisk, post(bytes(2 * MB + 1))).status == 413


def test_a_refused_client_that_goes_on_sending_is_let_go(brisk: Server) -> None:
    with Wire(brisk.port) as wire:
        wire.send(HEAD + b"Content-Length: 999999999\r\n\r\n")
        assert wire.answer().status == 413
        began = time.monotonic()
        while time.monotonic() < began + 15:
            try:
                wire.socket.send(b"x")
            except ConnectionError:
                break
            select.select([], [], [], 0.1)
        assert 1 < time.monotonic() - began < 10


def test_large_binary_bodies_come_back_as_they_went(server: Server) -> None:
    body = random.Random(2).randbytes(50 * MB)
    with Wire(server.port, timeout_s=60) as wire:
        for data in (post(body, target="/score?do=back"), chunked(body, target="/score?do=back")):
            wire.send(data)
            reply = wire.answer()
            assert reply.headers["content-type"] == "application/octet-stream"
            assert reply.body == body


def test_empty_bodies(server: Server) -> None:
    for data in (post(), chunked(), get("/score"), HEAD + b"\r\n"):
        assert _ask(server, data).json()["size"] == 0


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.0", "a, b"])
def test_an_upgrade_is_declined_by_a_plain_answer(server: Server, protocol: str) -> None:
    fields = (
        f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    with Wire(server.port) as wire:
        wire.send(post(b'{"n": 1}', fields=fields))
        assert wire.answer().json() == {"n": 1}
        wire.send(chunked(b'{"n"', b":2}", fields=fields) + post(b'{"n": 3}') + get("/score", fields=fields))
        assert [wire.answer().json().get("n") for _ in range(3)] == [2, 3, None]
        wire.send(post(b'{"n": 4}', fields=fields + "Expect: 100-continue\r\n"))
        assert wire.answer().status == 100
        assert wire.answer().json() == {"n": 4}


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(server: Server, status: int) -> None:
    with Wire(server.port) as wire:
        wire.send(get(f"/score?do=status&code={status}") + post(b'{"n": 1}'))
        reply = wire.answer()
        assert (reply.status, reply.body) == (status, b"")
        assert "transfer-encoding" not in reply.headers
        assert wire.answer().json() == {"n": 1}


@pytest.mark.parametrize("status", [0, 1, 100, 101, 199, 1000, 70_000, -5])
def test_a_script_cannot_answer_with_what_is_no_answer(server: Server, status: int) -> None:
    with Wire(server.port) as wire:
        wire.send(get(f"/score?do=status&code={status}") + post(b'{"n": 1}'))
        assert wire.answer().status == 500
        assert wire.answer().json() == {"n": 1}


# Patience


def test_a_head_that_stops_is_answered_408(brisk: Server) -> None:
    for data in (b"G", post(b"{}")[:30], get() + get()[:20]):
        with Wire(brisk.port) as wire:
            wire.send(data)
            replies = wire.answers()
            assert replies[-1].status == 408
            assert replies[-1].headers["connection"] == "close"
    with Wire(brisk.port) as wire:
        # A byte now and then is no head either.
        began = time.monotonic()
        while time.monotonic() < began + 10 and not select.select([wire.socket], [], [], 0.2)[0]:
            wire.send(b"G" if time.monotonic() - began < 0.1 else b"E")
        assert wire.answer().status in (400, 408)


def test_a_body_that_stops_is_answered_408_and_one_that_is_slow_is_not(brisk: Server) -> None:
    body = b'{"n": 123456789}'
    with Wire(brisk.port) as wire:
        wire.send(post(body)[:-1])
        assert [reply.status for reply in wire.answers()] == [408]
    with Wire(brisk.port) as wire:
        data = post(body)
        wire.send(data[: -len(body)])
        for place in range(len(body)):
            assert wire.is_silent(0.15)
            wire.send(body[place : place + 1])
        assert wire.answer().json() == {"n": 123456789}


def test_an_idle_connection_is_closed_and_one_in_use_is_not(brisk: Server) -> None:
    with Wire(brisk.port) as idle, Wire(brisk.port) as silent, Wire(brisk.port) as used:
        idle.send(get())
        assert idle.answer().body == b"Healthy"
        began = time.monotonic()
        while time.monotonic() < began + 4:
            used.send(get())
            assert used.answer().body == b"Healthy"
            select.select([], [], [], 0.3)
        assert idle.is_hung_up()
        assert silent.is_hung_up()


def test_a_client_that_does_not_read_is_let_go_and_costs_nobody(brisk: Server) -> None:
    gateway = _gateway(brisk)
    before = gateway.memory_info().rss
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(brisk.port, receive_buffer=4096)) for _ in range(4)]
        for wire in wires:
            wire.send(get("/score?do=large&kb=8192") * 4)
        until(lambda: gateway.memory_info().rss > before + 16 * MB, "answers to wait for their readers")
        for n in range(50):
            began = time.monotonic()
            assert _ask(brisk, post(b'{"n": %d}' % n)).json() == {"n": n}
            assert time.monotonic() - began < 1.9, "as long as a client has to take its answer"
        # One answer a client at most: the next is not made before the first is taken.
        assert gateway.memory_info().rss < before + 100 * MB
        until(lambda: _open(brisk) <= 1, "them to be let go", timeout_s=10)
        with pytest.raises(HungUpError):
            wires[0].answer()


def test_a_client_that_reads_slowly_gets_everything(brisk: Server) -> None:
    size = 32 * MB
    with Wire(brisk.port, receive_buffer=65536) as wire:
        wire.send(get("/score?do=large&kb=32768", fields="Connection: close\r\n"))
        began = time.monotonic()
        got = 0
        while time.monotonic() < began + 4:
            got += len(wire.socket.recv(65536))
            select.select([], [], [], 0.01)
        assert got < size, "so slow that it would have been let go, had it not read"
        while data := wire.socket.recv(MB):
            got += len(data)
        assert got > size


def test_a_client_that_reads_nothing_of_its_last_answer_is_let_go(brisk: Server) -> None:
    with Wire(brisk.port, receive_buffer=4096) as wire:
        wire.send(get("/score?do=large&kb=8192", fields="Connection: close\r\n"))
        until(lambda: _open(brisk) <= 1, "it to be let go", timeout_s=10)


def test_clients_that_vanish_leave_nothing_behind(server: Server) -> None:
    body = post(bytes(MB), target="/score?do=back")
    for place in (1, 20, len(body) - MB + 5, len(body) - 1, len(body)):
        for _ in range(10):
            with Wire(server.port) as wire:
                wire.send(body[:place])
                # A reset, not a goodbye.
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    until(lambda: _open(server) <= 1, "connections to be forgotten", timeout_s=10)
    assert _is_well(server)


def _open(server: Server) -> float:
    page = server.request("GET", "/metrics").body.decode()
    [line] = [s for s in page.splitlines() if s.startswith("penstock_connections_open{")]
    return float(line.split()[-1])


# Crowds


@contextlib.contextmanager
def _descriptors(soft: int) -> Iterator[None]:
    """The limit of open files for us and for what we start meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_crowd_of_idle_and_slow_clients_disturbs_nobody(code: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 6000:
        pytest.skip("the system does not allow 6,000 open files")
    with contextlib.ExitStack() as stack:
        with _descriptors(512):
            server = stack.enter_context(serving("--code", str(code), "--script", "score.py"))
        gateway = _gateway(server)
        assert gateway.rlimit(psutil.RLIMIT_NOFILE)[0] == hard, "the soft limit is raised"
        stack.enter_context(_descriptors(hard))
        before = gateway.memory_info().rss
        crowd = [stack.enter_context(Wire(server.port)) for _ in range(2500)]
        for wire in crowd[:500]:
            wire.send(post(b'{"n": 1}')[:40])
        until(lambda: _open(server) > 2500, "the crowd to be there")
        with Load(server.port, callers=32) as load:
            for wire in crowd[:500] * 2:
                wire.send(b"")
            until(lambda: load.tally.succeeded > 1000, "load to flow")
        assert set(load.tally.statuses) == {200}
        assert not load.tally.wrong
        assert not load.tally.cut
        assert gateway.memory_info().rss - before < 30 * MB
        for wire in crowd[:500:50]:
            wire.send(post(b'{"n": 1}')[40:])
            assert wire.answer().json() == {"n": 1}


def test_when_descriptors_run_out_the_gateway_neither_dies_nor_spins(code: Path) -> None:
    with serving("--code", str(code), "--script", "score.py") as server, contextlib.ExitStack() as stack:
        gateway = _gateway(server)
        kept = stack.enter_context(Wire(server.port))
        kept.send(get())
        assert kept.answer().body == b"Healthy"
        gateway.rlimit(
            psutil.RLIMIT_NOFILE, (gateway.num_fds() + 20, gateway.rlimit(psutil.RLIMIT_NOFILE)[1])
        )
        wires = [stack.enter_context(Wire(server.port, timeout_s=2)) for _ in range(60)]
        for n in range(20):
            kept.send(post(b'{"n": %d}' % n))
            assert kept.answer().json() == {"n": n}
        used = sum(gateway.cpu_times()[:2])
        select.select([], [], [], 1.0)
        assert sum(gateway.cpu_times()[:2]) - used < 0.3
        for wire in wires:
            wire.socket.close()
        until(lambda: _answers(server), "new callers to be answered", timeout_s=10)
        assert _gateway(server).pid == gateway.pid


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/", timeout_s=1).status == 200
    except OSError:
        return False


# Bombs


OBJECT_SCRIPT = """
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
def init(): pass
@input_schema("data", StandardPythonParameterType([1]))
def run(data): return data
"""
TEXT_SCRIPT = "import json\ndef init(): pass\ndef run(d): return json.loads(d)\n"


@pytest.mark.parametrize(("script", "status"), [(TEXT_SCRIPT, 500), (OBJECT_SCRIPT, 400)])
def test_deeply_nested_json_costs_a_script_only_the_request(tmp_path: Path, script: str, status: int) -> None:
    (tmp_path / "score.py").write_text(script)
    with serving("--code", str(tmp_path), "--script", "score.py") as server:
        workers = {process.pid for process in server.processes("worker")}
        for opening in (b"[", b'{"data": [', b'{"a":'):
            for depth in (1_100, 100_000, 2_000_000):
                fields = {"Content-Type": "application/json"}
                reply = server.request("POST", "/score", opening * depth, fields)
                assert reply.status == status, (opening, depth, reply)
        assert {process.pid for process in server.processes("worker")} == workers, "a worker died"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import joblib
    import numpy as np
    from sklearn.linear_model import LinearRegression

    path = tmp_path_factory.mktemp("model") / "model.joblib"
    joblib.dump(LinearRegression().fit(np.eye(4), np.arange(4.0)), path)
    return path


def test_bombs_on_a_model(model: Path) -> None:
    with serving(str(model)) as server:
        workers = {process.pid: process for process in server.processes("worker")}
        for target in ("/score", "/v2/models/model/infer"):
            for opening, closing in ((b"[", b"]"), (b'{"data": ', b"}"), (b'{"inputs": [', b"]}")):
                for depth in (1_100, 100_000):
                    for body in (opening * depth, opening * depth + b"1" + closing * depth):
                        reply = server.request("POST", target, body, {"Content-Type": "application/json"})
                        assert 400 <= reply.status < 500, (target, opening, depth, reply)
        for text in (b'{"data": [[1e999, 1, 1, 1]]}', b'{"data": [[' + b"9" * 100_000 + b", 1, 1, 1]]}"):
            assert 400 <= server.request("POST", "/score", text).status < 500
        bomb = gzip.compress(bytes(300 * MB), 1)
        fields = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        for target in ("/score", "/v2/models/model/infer"):
            assert 400 <= server.request("POST", target, bomb, fields).status < 500
        for process in workers.values():
            assert process.memory_info().rss < 700 * MB
        assert {process.pid for process in server.processes("worker")} == set(workers), "a worker died"
        assert server.score({"data": [[1, 0, 0, 0]]}).status == 200
