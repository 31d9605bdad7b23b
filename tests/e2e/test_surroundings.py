"""Signals, terminals, service managers, temporary folders, addresses, descriptors: what a server meets outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from penstock.runtimes.realtime.supervisor import WORKERS_END_S
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
    if data.get("sleep"): time.sleep(data["sleep"])
    while os.path.exists(data.get("hold", "")): time.sleep(0.005)
    if data.get("say"): print(data["say"] * 60_000)
    if data.get("orphan"):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0: time.sleep(0.2)
            os._exit(0)
    return {"n": data["n"], "by": os.getpid()}
"""


@pytest.fixture
def code(tmp_path: Path) -> list[str]:
    (tmp_path / "score.py").write_text(ECHO)
    return ["--code", str(tmp_path), "--script", "score.py"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_in_peace(code: list[str], tmp_path: Path, number: signal.Signals) -> None:
    """SIGHUP is what a terminal sends that is closed."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    hold = held_back(tmp_path)
    with serving(*code, variables={"TMPDIR": str(temporary)}) as server:
        replies: list[int] = []
        late = threading.Thread(
            target=lambda: replies.append(server.score({"n": 1, "hold": str(hold)}).status)
        )
        late.start()
        until(lambda: "1.0" in _metric(server, "penstock_requests_in_flight"), "it to run")
        server.process.send_signal(number)
        until(lambda: "stopping" in server.log, "it to stop")
        hold.unlink()
        assert server.process.wait(15) == 0
        late.join(10)
        assert replies == [200]
    assert not list(temporary.iterdir())


def _metric(server: Server, name: str) -> str:
    page = server.request("GET", "/metrics").body.decode()
    return next(line for line in page.splitlines() if line.startswith(name + "{"))


def test_quit_stops_at_once_and_leaves_nothing(code: list[str], tmp_path: Path) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    with serving(*code, variables={"TMPDIR": str(temporary)}) as server:
        tree = psutil.Process(server.process.pid).children(recursive=True)
        server.process.send_signal(signal.SIGQUIT)
        assert server.process.wait(15) == 128 + signal.SIGQUIT
        assert not psutil.wait_procs(tree, timeout=15)[1]
    assert not list(temporary.iterdir())


def test_nohup_is_heeded(code: list[str]) -> None:
    nohup = ["nohup", PENSTOCK, "serve", *code, "--port", "0", "--log-format", "json"]
    process = subprocess.Popen(nohup, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        until(lambda: '"url"' in process.stderr.readline(), "it to serve")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert process.stderr.read().count("stopping") == 1
    finally:
        process.kill()
        process.wait()


def test_a_service_managers_stop_reaches_every_process_and_cuts_no_request(
    code: list[str], tmp_path: Path
) -> None:
    """systemd, and whoever signals a whole container, sends SIGTERM to each process of the tree."""
    hold = held_back(tmp_path)
    with serving(*code, "--workers", "2") as server:
        replies: list[int] = []
        several = [
            threading.Thread(target=lambda: replies.append(server.score({"n": 1, "hold": str(hold)}).status))
            for _ in range(2)
        ]
        for thread in several:
            thread.start()
        until(lambda: "2.0" in _metric(server, "penstock_requests_in_flight"), "both to run")
        tree = [
            psutil.Process(server.process.pid),
            *psutil.Process(server.process.pid).children(recursive=True),
        ]
        for process in tree:
            process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.log, "it to stop")
        hold.unlink()
        assert server.process.wait(15) == 0
        for thread in several:
            thread.join(10)
        assert replies == [200, 200]


def test_stopping_while_the_model_loads_waits_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("import time\ndef init(): time.sleep(60)\ndef run(d): return d")
    server = Server(["--code", str(tmp_path), "--script", "score.py"])
    try:
        until(lambda: server.processes("worker"), "a worker that loads")
        server.port = server.listening_port()
        assert server.request("GET", "/", timeout_s=60).status == 503  # the gateway works, too
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < WORKERS_END_S
    finally:
        server.kill()


def test_requests_are_answered_though_workers_die_while_stopping(code: list[str], tmp_path: Path) -> None:
    hold = held_back(tmp_path)
    with serving(*code) as server:
        replies: list[int] = []
        several = [
            threading.Thread(target=lambda: replies.append(server.score({"n": 1, "hold": str(hold)}).status))
            for _ in range(4)
        ]
        for thread in several:
            thread.start()
        until(lambda: "4.0" in _metric(server, "penstock_requests_in_flight"), "all to be accepted")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.log, "it to stop")
        for process in [*server.processes("nursery"), *server.processes("worker")]:
            process.kill()
        hold.unlink()
        assert server.process.wait(20) == 0
        for thread in several:
            thread.join(10)
        assert sorted(replies) == [200, 200, 200, 502]


@pytest.mark.parametrize("place", ["long", "read-only"])
def test_a_temporary_folder_that_will_not_do_is_passed_over(
    code: list[str], tmp_path: Path, place: str
) -> None:
    if place == "long":
        folder = tmp_path / ("a" * 100) / ("b" * 100)
        folder.mkdir(parents=True)
    else:
        folder = Path("/proc/self")
    with serving(*code, variables={"TMPDIR": str(folder)}) as server:
        assert server.score({"n": 1}).status == 200


@pytest.mark.parametrize("host", ["::1", "localhost", "0.0.0.0", "::"])
def test_addresses(code: list[str], host: str) -> None:
    if ":" in host:
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            host_works = True
        if "host_works" not in locals():
            pytest.skip("no IPv6 here")
    with serving(*code, "--host", host, variables={"PENSTOCK_AUTH_KEYS": "a-long-key"}) as server:
        [url] = [record["url"] for record in server.records() if "url" in record]
        to = "::1" if ":" in host else "127.0.0.1"
        connection = http.client.HTTPConnection(to, server.port, timeout=10)
        connection.request("POST", "/score", '{"n": 1}', {"Authorization": "Bearer a-long-key"})
        assert connection.getresponse().status == 200
        connection.close()
        assert url in (
            f"http://localhost:{server.port}",
            f"http://0.0.0.0:{server.port}",
            f"http://[::]:{server.port}",
        )
        docs = server.request("GET", "/docs").body if to == "127.0.0.1" else b""
        assert b":0/" not in docs
        assert b":0<" not in docs


def test_a_log_that_nobody_reads_stops_no_request(code: list[str]) -> None:
    port = _free_port()
    read, write = os.pipe()
    argv = [PENSTOCK, "serve", *code, "--port", str(port), "--log-format", "json", "--access-log"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    try:

        def score(**payload: object) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("POST", "/score", json.dumps({"n": 1, **payload}))
                return connection.getresponse().status
            finally:
                connection.close()

        def serves() -> bool:
            with contextlib.suppress(OSError):
                return score() == 200
            return False

        until(serves, "it to serve")
        for _ in range(60):
            assert score(say="x") == 200
        # Whoever watches must still act: a killed worker is replaced.
        children = psutil.Process(process.pid).children(recursive=True)
        worker = max(children, key=lambda child: child.create_time())
        worker.kill()
        until(serves, "another worker", 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        os.close(read)
        process.kill()
        process.wait()


def test_a_suspended_supervisor_kills_nobody_when_it_wakes(code: list[str]) -> None:
    with serving(*code) as server:
        gateway = server.processes("gateway")[0]
        # Past the first ping and its answer, so that the last word heard is an old one.
        until(lambda: "penstock_workers" in server.request("GET", "/metrics").body.decode(), "it to serve")
        time.sleep(1.2)
        server.process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: server.score({"n": 1, "sleep": 5.5}).status == 200, "serving to go on")
        finally:
            server.process.send_signal(signal.SIGCONT)
        server.score({"n": 1, "sleep": 1})
        assert [process.pid for process in server.processes("gateway")] == [gateway.pid]


def test_orphans_of_scripts_are_reaped(code: list[str]) -> None:
    """The supervisor is the first process of a container: whoever loses its parent there becomes its child."""
    with serving(*code) as server:
        for n in range(5):
            assert server.score({"n": n, "orphan": True}).status == 200

        def zombies() -> list[psutil.Process]:
            children = psutil.Process(server.process.pid).children()
            return [child for child in children if child.status() == psutil.STATUS_ZOMBIE]

        until(
            lambda: len(psutil.Process(server.process.pid).children()) == 2, "the orphans to end and go", 10
        )
        assert not zombies()


def test_more_connections_than_the_soft_limit_of_descriptors(code: list[str]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("the hard limit is low too")
    script = f"ulimit -Sn 200; exec {PENSTOCK} serve {' '.join(code)} --port 0 --log-format json"
    process = subprocess.Popen(["bash", "-c", script], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = until(
            lambda: (found := process.stderr.readline()) and '"url"' in found and found, "it to serve"
        )
        port = int(json.loads(line)["url"].rpartition(":")[2])
        with contextlib.ExitStack() as stack:
            several = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(400)
            ]
            for connection in several:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        process.terminate()
        process.wait(15)


def test_short_deadlines_under_more_load_than_fits_kill_no_healthy_worker(code: list[str]) -> None:
    """A request that waited long has little time left; that its `run` then overstays is no sign of a hang."""
    with serving(*code, "--request-timeout", "2s") as server:
        workers = {process.pid for process in server.processes("worker")}
        with Load(server.port, callers=12, sleep=0.5) as load:
            until(lambda: load.tally.succeeded > 10, "load to flow")
        assert {process.pid for process in server.processes("worker")} == workers
        assert set(load.tally.statuses) <= {200, 504}
        assert not load.tally.wrong


def test_workers_import_nothing_of_ours_but_the_worker_side(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(
        "import sys\ndef init(): pass\n"
        "def run(d): return {n: getattr(m, '__file__', None) for n, m in list(sys.modules.items())}"
    )
    with serving("--code", str(tmp_path), "--script", "score.py") as server:
        modules = server.score({}).json()
    # What site-packages' own .pth files import at every start of this interpreter is none of our doing.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    ours = {name for name in modules if name.partition(".")[0] == "penstock"}
    allowed = ("errors", "kit", "bundle", "scoring", "runtimes")
    assert {name.split(".")[1] for name in ours if "." in name} <= set(allowed)
    runtimes = {name.rpartition(".")[2] for name in ours if name.startswith("penstock.runtimes.realtime.")}
    assert runtimes <= {"messages", "nursery", "outlet", "progress", "worker"}
    foreign = {
        name
        for name in modules
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "penstock", "entry_module"}
    }
    assert foreign - set(bare.stdout.split()) <= OPTIONAL, sorted(foreign)


OPTIONAL = {"orjson", "orjson.orjson"}
"""Used where the environment has it (docs/architecture.md)."""
