"""The local engine against nurseries that do what they rarely do: messages that cross, deaths, refusals, silence.

The engine and its sockets are real; the nursery is a process of ours that follows a script, so that every order
of events can be had at will.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from penstock.runtimes.batch import messages
from penstock.runtimes.batch.engines import local
from penstock.runtimes.batch.engines.interface import Event
from penstock.runtimes.batch.plan import Cut, Piece, SourceFile
from support.processes import are_gone
from support.waiting import until

NURSERY = """#!{python}
import json, os, signal, socket, struct, subprocess, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=int(sys.argv[-1]))
lives = os.path.join({folder!r}, "lives")
open(lives, "a").write("x")
life = os.path.getsize(lives)

def told():
    return json.loads(channel.recv(1 << 17))

def tell(event, **content):
    channel.send(json.dumps(dict(content, event=event, generation=0)).encode())

def worker(then="sock.recv(1)"):
    'A process with a group of its own that greets, then does what is said.'
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(order["engine"])
        payload = json.dumps(dict(pid=os.getpid())).encode()
        sock.sendall(struct.pack("<IB", len(payload), 1) + payload)
        os.write(write, b"x")
        exec(then)
        os._exit(0)
    os.read(read, 1)
    return pid

def mark(name):
    open(os.path.join({folder!r}, name), "w").close()

def wait():
    channel.recv(1 << 17) or os._exit(0)

order = told()
{body}
"""


class World:
    """An engine whose nursery does `body`; what it has told so far."""

    def __init__(self, folder: Path, body: str, **options: object) -> None:
        self.folder = folder
        python = folder / "nursery"
        python.write_text(NURSERY.format(python=sys.executable, folder=str(folder), body=body))
        python.chmod(0o755)
        self.engine = local.LocalEngine(
            job_file="",
            python=str(python),
            variables=dict(os.environ),
            preload="auto",
            log_level="info",
            **options,  # type: ignore[arg-type]
        )
        self.told: list[Event] = []

    def start(self, workers: int = 1, *, mark: str = "") -> None:
        """Start; then leave the engine alone until the nursery has set `mark`."""
        self.engine.start(workers)
        if mark:
            until((self.folder / mark).exists, mark)

    def events(self, kind: str) -> list[Event]:
        return [event for event in self.told if event.kind == kind]

    def wait(self, condition: Callable[[], object], what: str) -> None:
        def turn() -> object:
            self.told += self.engine.events(0.05)
            return condition()

        until(turn, what, timeout_s=20)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def world(body: str, **options: object) -> World:
        made.append(World(tmp_path, body, **options))
        return made[-1]

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield world
    for one in made:
        one.engine.stop()
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not left, "processes are left"


def test_a_worker_that_greets_before_it_is_announced(make: Callable[..., World]) -> None:
    world = make(
        "tell('ready'); told(); pid = worker('sock.recv(1)'); mark('greeted')\n"
        "told(); tell('spawned', pid=pid); os.kill(pid, 9); os.waitpid(pid, 0); tell('exited', pid=pid, status=9)\n"
        "while True: wait()"
    )
    world.start(1, mark="lives")
    world.wait(lambda: world.events("ready"), "the greeting")
    world.engine._nursery.tell(do="go on")  # type: ignore[union-attr]
    world.wait(lambda: world.events("gone"), "the death")
    assert "SIGKILL" in world.events("gone")[0].content["how"]


def test_a_worker_whose_death_is_told_before_its_greeting_is_read(make: Callable[..., World]) -> None:
    world = make(
        "tell('ready'); told(); pid = worker('pass'); os.waitpid(pid, 0)\n"
        "tell('spawned', pid=pid); tell('exited', pid=pid, status=0); mark('over'); told(); mark('again')\n"
        "while True: wait()"
    )
    world.start(1)
    world.wait((world.folder / "over").exists, "its life")
    world.wait(lambda: world.events("gone"), "the death")
    world.wait((world.folder / "again").exists, "another worker being asked for")


def test_workers_outlive_their_nursery_and_their_own_deaths_are_noticed(make: Callable[..., World]) -> None:
    world = make(
        "tell('ready'); told(); pid = worker(); tell('spawned', pid=pid)\n"
        "if life == 1: os._exit(7)\n"
        "told()\nwhile True: wait()"
    )
    world.start(1)
    world.wait(lambda: world.events("ready"), "a worker")
    first = world.events("ready")[0].content["pid"]
    world.wait(lambda: (world.folder / "lives").stat().st_size == 2, "another nursery")
    assert psutil.pid_exists(first), "it is not to blame"
    assert not world.events("gone")
    os.kill(first, 9)
    world.wait(lambda: world.events("gone"), "its death")
    world.wait(lambda: len(world.events("ready")) == 2, "another worker")


def test_a_suspended_nursery_is_replaced(make: Callable[..., World]) -> None:
    world = make(
        "if life == 1: os.kill(os.getpid(), signal.SIGSTOP)\n"
        "tell('ready'); told(); tell('spawned', pid=worker())\nwhile True: wait()"
    )
    world.start(1)
    world.wait(lambda: world.events("ready"), "a worker")


def test_a_refused_fork_is_tried_again(make: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "REFUSED_S", 0.2)
    world = make(
        "tell('ready')\nfor _ in range(4): told(); tell('not-spawned', reason='Cannot allocate memory')\n"
        "told(); tell('spawned', pid=worker())\nwhile True: wait()"
    )
    world.start(2)
    world.wait(lambda: world.events("ready"), "a worker")
    assert any("Cannot allocate memory" in event.content["text"] for event in world.events("log"))


IN_WORKERS = (
    "tell('ready'); told(); pid = os.fork()\nif not pid: os.setpgid(0, 0); time.sleep(1000)\n"
    "tell('spawned', pid=pid)\nwhile True: wait()"
)


@pytest.mark.parametrize("body", ["time.sleep(1000)", IN_WORKERS])
def test_loading_without_end_is_told(make: Callable[..., World], body: str) -> None:
    world = make(body, start_timeout_s=0.3)
    world.start(1)
    world.wait(lambda: world.events("load-failed"), "the end of patience")
    assert "0.3 s" in world.events("load-failed")[0].content["failure"]["message"]


def test_a_long_order_to_a_worker_that_does_not_read_keeps_nobody_waiting(make: Callable[..., World]) -> None:
    size = 3_000
    world = make(
        "tell('ready'); told()\n"
        "tell('spawned', pid=worker('''\n"
        "while not os.path.exists(lives + '-read'): time.sleep(0.01)\n"
        "need = 5 + struct.unpack('<I', sock.recv(4, socket.MSG_PEEK))[0]\n"
        "while need: need -= len(sock.recv(need))\n"
        "payload = b'[7, \"reading\", 0, 0]'\n"
        "sock.sendall(struct.pack('<IB', len(payload), 4) + payload)\n"
        "sock.recv(1)'''))\nwhile True: wait()"
    )
    world.start(1)
    world.wait(lambda: world.events("ready"), "a worker")
    piece = Piece(SourceFile("/" + "x" * 250, 1, "1", "csv", {}), Cut(0, -1, 1))
    order = messages.Order(number=7, attempt=1, pieces=(piece,) * size)
    assert len(order.to_frame()) > 500_000
    sender = threading.Thread(
        target=world.engine.order, args=(world.events("ready")[0].worker, order), daemon=True
    )
    sender.start()
    sender.join(10)
    assert not sender.is_alive(), "the driver waits for a worker"
    (world.folder / "lives-read").touch()
    world.wait(lambda: world.events("at"), "the order's arrival")


def test_the_end_takes_those_that_load_along(make: Callable[..., World]) -> None:
    world = make(
        "tell('ready'); told(); process = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "tell('spawned', pid=process.pid)\nopen(lives + '-pid', 'w').write(str(process.pid)); mark('spawned')\n"
        "while True: wait()"
    )
    world.start(1)
    world.wait((world.folder / "spawned").exists, "a worker that loads")
    world.engine.stop()
    pid = int((world.folder / "lives-pid").read_text())
    until(lambda: are_gone([pid]), "its end")
    assert not Path(world.engine._folder).exists()


def test_no_python_is_told(tmp_path: Path) -> None:
    engine = local.LocalEngine(
        job_file="", python=str(tmp_path / "none"), variables={}, preload="auto", log_level="info"
    )
    try:
        engine.start(1)
        [event] = engine.events(1)[:1]
        assert event.kind == "load-failed"
        assert "none" in event.content["failure"]["message"]
    finally:
        engine.stop()


@pytest.mark.slow
def test_the_end_may_come_twice_also_with_a_worker_that_does_not_heed_it(make: Callable[..., World]) -> None:
    world = make("tell('ready'); told(); tell('spawned', pid=worker('time.sleep(1000)'))\nwhile True: wait()")
    world.start(1)
    world.wait(lambda: world.events("ready"), "a worker")
    world.engine.stop()
    world.engine.stop()
    assert not Path(world.engine._folder).exists()
