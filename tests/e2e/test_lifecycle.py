"""How a deployment starts, fails to start, reloads, is bounded and stops."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.load import Load
from support.servers import PENSTOCK, Server, serving
from support.waiting import hold as held_back
from support.waiting import until

pytestmark = pytest.mark.slow

ECHO = """
import json, os, time
def init(): pass
def run(raw_data):
    data = json.loads(raw_data)
    while os.path.exists(data.get("hold", "")): time.sleep(0.005)
    return {"n": data["n"], "by": "VERSION"}
"""


def _code(folder: Path, text: str) -> list[str]:
    (folder / "score.py").write_text(text)
    return ["--code", str(folder), "--script", "score.py"]


def _fails(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PENSTOCK, "serve", *arguments, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import no_such_package\ndef init(): pass\ndef run(d): return d", ["imported", "no_such_package"]),
        ("def init(): pass", ["run"]),
        (
            "def init(): open('/no/such/weights.bin')\ndef run(d): return d",
            ["init()", "/no/such/weights.bin"],
        ),
        ("def init(): pass\ndef run(d) return d", ["imported", "line 2"]),
        ("import os\ndef init(): os._exit(9)\ndef run(d): return d", []),
    ],
    ids=["import", "function", "init", "syntax", "exit"],
)
def test_a_script_that_cannot_start_is_told_in_one_screen(
    tmp_path: Path, script: str, says: list[str]
) -> None:
    arguments = _code(tmp_path, script)
    if says:
        ended = _fails(*arguments)
        assert ended.returncode == 3
        assert len(ended.stderr.splitlines()) < 60
        for words in [*says, "score.py", "python"]:
            assert words in ended.stderr
        assert "penstock/" not in ended.stderr.replace("python", ""), (
            "our own frames are of no use to the user"
        )
        return
    # A process that dies without a word cannot be told apart from a crash: it is tried again, ever later.
    server = Server(arguments)
    try:
        until(lambda: server.log.count("exit code 9") >= 3, "the deaths to be told")
    finally:
        server.kill()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [PENSTOCK, "serve", *_code(tmp_path, ECHO), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_requests_that_come_before_the_model_are_answered_after_it(tmp_path: Path) -> None:
    hold = held_back(tmp_path)
    waiting = f"while os.path.exists({str(hold)!r}): time.sleep(0.005)"
    server = Server(_code(tmp_path, f"import os, time\ndef init():\n    {waiting}\ndef run(d): return 1"))
    try:
        until(lambda: server.processes("gateway"), "the gateway")
        server.port = server.listening_port()
        assert server.request("GET", "/").status == 503
        assert server.request("GET", "/v2/health/live").status == 200
        assert server.request("GET", "/v2/health/ready").status == 400
        early: list[bytes] = []
        asking = threading.Thread(target=lambda: early.append(server.score({}).body))
        asking.start()
        until(lambda: _in_flight(server) == 1, "a request to wait")
        hold.unlink()
        asking.join(60)
        assert early == [b"1"]
        assert server.request("GET", "/").status == 200
        assert server.request("GET", "/v2/health/ready").status == 200
    finally:
        server.kill()


def test_sigterm_answers_what_was_accepted_and_takes_no_more(tmp_path: Path) -> None:
    hold = str(held_back(tmp_path))
    with serving(*_code(tmp_path, ECHO), "--workers", "2") as server:
        replies = []
        threads = [
            threading.Thread(target=lambda: replies.append(server.score({"n": 1, "hold": hold})))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        until(lambda: "in_flight" in _metrics(server) and _in_flight(server) == 4, "four in flight")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.log, "it to stop")
        Path(hold).unlink()
        for thread in threads:
            thread.join(10)
        assert [reply.status for reply in replies] == [200] * 4
        assert all(reply.headers["connection"] == "close" for reply in replies)
        assert server.process.wait(10) == 0
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)


def _metrics(server: Server) -> str:
    return server.request("GET", "/metrics").body.decode()


def _in_flight(server: Server) -> float:
    [line] = [s for s in _metrics(server).splitlines() if s.startswith("penstock_requests_in_flight{")]
    return float(line.split()[-1])


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    hold = str(held_back(tmp_path))
    with serving(*_code(tmp_path, ECHO)) as server:
        thread = threading.Thread(target=lambda: _ignore(lambda: server.score({"n": 1, "hold": hold})))
        thread.start()
        until(lambda: _in_flight(server) == 1, "one in flight")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.log, "the first signal to be heard")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - began < 5
        thread.join(10)


def _ignore(call: Callable[[], object]) -> None:
    """Call for its effect on the server; that it is cut off is the point."""
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        call()


def test_reload_drops_no_request_and_a_broken_version_changes_nothing(tmp_path: Path) -> None:
    arguments = _code(tmp_path, ECHO.replace("VERSION", "one"))
    with serving(*arguments, "--workers", "2", "--reload") as server, Load(server.port, callers=4) as load:
        until(lambda: load.tally.bodies["one"] > 100, "version one")
        _code(tmp_path, ECHO.replace("VERSION", "two"))
        until(lambda: load.tally.bodies["two"] > 100, "version two")
        until(lambda: "the new generation serves" in server.log, "the promotion")
        until(lambda: len(server.processes("worker")) == 2, "the old workers to retire")
        _code(tmp_path, "def init(): pass\ndef run(d) return d")
        until(lambda: "cannot start" in server.log, "the failure to be told")
        before = load.tally.bodies["two"]
        until(lambda: load.tally.bodies["two"] > before + 100, "version two to serve on")
        _code(tmp_path, ECHO.replace("VERSION", "three"))
        until(lambda: load.tally.bodies["three"] > 100, "version three")
    assert set(load.tally.statuses) == {200}
    assert not load.tally.cut
    assert not load.tally.wrong


def test_a_worker_that_grows_is_replaced_without_loss(tmp_path: Path) -> None:
    leaky = """
import json, os
kept = []
def init(): pass
def run(raw_data):
    kept.append(bytearray(400_000))
    return {"n": json.loads(raw_data)["n"], "by": os.getpid()}
"""
    with (
        serving(*_code(tmp_path, leaky), "--memory-limit", "120MB") as server,
        Load(server.port, callers=2) as load,
    ):
        until(lambda: len(load.tally.bodies) >= 3, "two replacements", timeout_s=60)
    assert set(load.tally.statuses) == {200}
    assert not load.tally.cut
    assert "over the limit" in server.log


def test_a_limit_that_no_worker_can_keep_is_told_and_does_no_harm(tmp_path: Path) -> None:
    with serving(*_code(tmp_path, ECHO), "--memory-limit", "1MB") as server:
        until(lambda: "too low" in server.log, "the warning")
        [worker] = server.processes("worker")
        for n in range(20):
            assert server.score({"n": n}).status == 200
        assert [process.pid for process in server.processes("worker")] == [worker.pid]


def test_a_full_queue_is_told_at_once(tmp_path: Path) -> None:
    hold = held_back(tmp_path)
    with serving(*_code(tmp_path, ECHO), "--max-queue", "3") as server:
        threads = [
            threading.Thread(target=lambda: _ignore(lambda: server.score({"n": 1, "hold": str(hold)})))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        until(lambda: _in_flight(server) == 4, "one running and three waiting")
        began = time.monotonic()
        reply = server.score({"n": 2})
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert time.monotonic() - began < 10
        hold.unlink()
        for thread in threads:
            thread.join(20)


def test_requests_whose_callers_have_left_are_not_scored(tmp_path: Path) -> None:
    hold = held_back(tmp_path)
    counted = f"""
import json, os, time
def init(): pass
def run(raw_data):
    n = json.loads(raw_data)["n"]
    open({str(tmp_path / "ran")!r}, "a").write(f"{{n}} ")
    while n == 0 and os.path.exists({str(hold)!r}): time.sleep(0.005)
    return n
"""
    with serving(*_code(tmp_path, counted)) as server:
        first = threading.Thread(target=lambda: server.score({"n": 0}))
        first.start()
        until(lambda: (tmp_path / "ran").exists(), "the first to run")
        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            body = json.dumps({"n": 1}).encode()
            gone.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            until(lambda: _in_flight(server) == 2, "it to be accepted")
        until(lambda: _connections(server) == 2, "its leaving to be seen")
        hold.unlink()
        first.join(10)
        assert server.score({"n": 2}).body == b"2"
        assert (tmp_path / "ran").read_text().split() == ["0", "2"]


def _connections(server: Server) -> float:
    [line] = [s for s in _metrics(server).splitlines() if s.startswith("penstock_connections_open{")]
    return float(line.split()[-1])


def test_words_and_failures_are_in_the_log_with_their_request(tmp_path: Path) -> None:
    chatty = """
import logging, os, sys
def init(): print("loading")
def run(raw_data):
    print("said in run")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").warning("logged in run")
    os.write(2, b"past python\\n")
    return 1 / int(raw_data)
"""
    with serving(*_code(tmp_path, chatty)) as server:
        ids = [server.request("POST", "/score", text).headers["x-request-id"] for text in ("1", "0")]
        until(lambda: "ZeroDivisionError" in server.log and "past python" in server.log, "the log")
    records = server.records()

    def record(text: str, request: str) -> dict[str, object]:
        return next(r for r in records if text in r["message"] and r.get("request") == request)

    for request in ids:
        for text, stream in (("said in run", "stdout"), ("to stderr", "stderr")):
            assert record(text, request)["stream"] == stream
            assert record(text, request)["worker"]
        assert record("logged in run", request)["level"] == "warning"
    assert "score.py" in str(record("ZeroDivisionError", ids[1])["message"])
    assert any("loading" in r["message"] for r in records)


def test_keys_open_scoring_and_only_scoring_needs_them(tmp_path: Path) -> None:
    with serving(*_code(tmp_path, ECHO), variables={"PENSTOCK_AUTH_KEYS": "first-key,second-key"}) as server:
        for key in ("first-key", "second-key"):
            assert server.score({"n": 1}, Authorization=f"Bearer {key}").status == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "first-key"}):
            reply = server.score({"n": 1}, **headers)
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == "Bearer"
        assert server.request("GET", "/").status == 200
        assert server.request("GET", "/metrics").status == 401
        assert server.request("GET", "/swagger.json").status == 401
        assert "first-key" not in server.log
        for process in [
            *server.processes("gateway"),
            *server.processes("worker"),
            *server.processes("nursery"),
        ]:
            assert "first-key" not in " ".join(process.cmdline())
            assert "first-key" not in json.dumps(process.environ())


def test_metrics_are_right_with_several_workers(tmp_path: Path) -> None:
    with serving(*_code(tmp_path, ECHO), "--workers", "3") as server:
        for n in range(30):
            server.score({"n": n})
        for _ in range(4):
            server.score({})
        serving_all = 'penstock_workers{deployment="score",state="serving"} 3.0'
        until(lambda: serving_all in _metrics(server), "the last worker to serve, too")
        page = _metrics(server)
    assert 'penstock_requests_total{code="200",deployment="score",route="score"} 30.0' in page
    assert 'penstock_requests_total{code="500",deployment="score",route="score"} 4.0' in page
