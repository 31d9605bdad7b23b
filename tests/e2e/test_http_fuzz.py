"""Garbage, cut and changed requests over many connections: afterwards the same gateway answers, right and
no larger. The seed is fixed; PENSTOCK_FUZZ_SEED and PENSTOCK_FUZZ_ROUNDS look further."""

from __future__ import annotations

import itertools
import os
import random
import select
import socket
from collections.abc import Iterator

import pytest

from support.load import Load
from support.servers import Server, serving
from support.waiting import until
from support.wire import chunked, get, post

pytestmark = pytest.mark.slow

SCRIPT = """
import json
def init(): pass
def run(raw_data):
    try:
        return {"n": json.loads(raw_data)["n"]}
    except Exception:
        return "?"
"""

SEED = int(os.environ.get("PENSTOCK_FUZZ_SEED", "20261121"))
ROUNDS = int(os.environ.get("PENSTOCK_FUZZ_ROUNDS", "60"))
AT_ONCE = 50
MB = 1 << 20

SEEDS = [
    post(b'{"n": 1}'),
    post(b'{"n": 22}', fields="X-A: b\r\nAccept: application/json\r\n"),
    chunked(b'{"n":', b"3}", end=b"0\r\nX-T: u\r\n\r\n"),
    post(b'{"n": 4}', fields="Expect: 100-continue\r\n"),
    post(b'{"n": 5}', fields="Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    post(b'{"n": 6}', version="1.0", fields="Connection: keep-alive\r\n"),
    post(b'{"n": 7}', target="http://x/score?a=%20"),
    get(),
    get("/metrics", method="HEAD"),
    get("/swagger.json?version=3"),
    get("/docs"),
    get("/score", method="OPTIONS", fields="Origin: http://x\r\n"),
    post(b"{}", target="/v2/models/score/infer"),
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
]
PIECES = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b":",
    b"\xff",
    b"\r\n\r\n",
    b"Content-Length: 1\r\n",
    b"0",
    b"HTTP/1.1",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("code")
    (folder / "score.py").write_text(SCRIPT)
    with serving("--code", str(folder), "--script", "score.py", "--cors-origins", "*") as server:
        yield server


def _stream(rng: random.Random) -> bytes:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 300))
    stream = bytearray(b"".join(rng.choices(SEEDS, k=rng.randrange(1, 6))))
    if kind == 1:
        return bytes(stream[: rng.randrange(len(stream))])
    for _ in range(rng.randrange(4) if kind > 2 else 1):
        place = rng.randrange(len(stream))
        end = place + rng.choice([0, 0, 1, 2, 20])
        stream[place:end] = rng.choice([*PIECES, rng.randbytes(3), stream[:30], b""])
        if not stream:
            break
    return bytes(stream)


def _assail(port: int, rng: random.Random) -> None:
    """A bundle of connections, each with its own stream, in packets that mingle; half part without a word."""
    talks = []
    for _ in range(AT_ONCE):
        wire = socket.create_connection(("127.0.0.1", port), timeout=5)
        stream = _stream(rng)
        places = sorted({0, len(stream), *(rng.randrange(len(stream) + 1) for _ in range(rng.randrange(4)))})
        talks.append((wire, [stream[a:b] for a, b in itertools.pairwise(places)]))
    waiting = [talk for talk in talks if talk[1]]
    while waiting:
        talk = rng.choice(waiting)
        try:
            talk[0].sendall(talk[1].pop(0))
        except ConnectionError:
            talk[1].clear()
        if not talk[1]:
            waiting.remove(talk)
    for wire, _ in talks[::2]:
        if select.select([wire], [], [], 0.01)[0]:
            try:
                said = wire.recv(1 << 16)
            except ConnectionError:
                continue
            assert not said or said.startswith(b"HTTP/1.1 "), said
    for number, (wire, _) in enumerate(talks):
        if number % 3 == 0:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.close()


def test_garbage_changes_nothing(server: Server) -> None:
    rng = random.Random(SEED)
    [gateway] = server.processes("gateway")
    workers = {process.pid for process in server.processes("worker")}
    _assail(server.port, rng)
    before = gateway.memory_info().rss
    with Load(server.port, callers=2) as load:
        for _ in range(ROUNDS):
            _assail(server.port, rng)
    assert set(load.tally.statuses) == {200}, "others were disturbed"
    assert not load.tally.wrong
    assert not load.tally.cut
    until(lambda: _connections(server) <= 1, "the last connections to be forgotten", timeout_s=10)
    assert [process.pid for process in server.processes("gateway")] == [gateway.pid]
    assert {process.pid for process in server.processes("worker")} == workers
    assert gateway.memory_info().rss - before < 16 * MB
    assert server.score({"n": 42}).json() == {"n": 42}
    assert "Traceback" not in server.log


def _connections(server: Server) -> float:
    page = server.request("GET", "/metrics").body.decode()
    [line] = [s for s in page.splitlines() if s.startswith("penstock_connections_open{")]
    return float(line.split()[-1])
