"""Workers on this machine: a nursery in the deployment's environment forks them, and they connect to a socket of
ours. A worker that dies is replaced in milliseconds where the loaded model survives a fork.

Serves the driver, and on each node of a cluster the agent there. One thread calls `events`; `order`, `replace`
and `stop` may come from another.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import penstock
from penstock.bundle import launch as launching
from penstock.kit import channels, frames, private_folders, processes
from penstock.runtimes import children
from penstock.runtimes.batch import messages
from penstock.runtimes.batch.engines.interface import Event

USAGE_EVERY_S = 0.5
END_S = 5.0
"""How long workers that were told to retire may take for it, a script's ``shutdown()`` included."""
YOUNG_S, YOUNG_DEATHS = 5.0, 5
"""Nurseries that end this young, this many times in a row, cannot run here; nor can workers that never load."""
REFUSED_S = 5.0
"""How long we wait where the system has refused us another process."""
MESSAGES = 256
"""Of a nursery that are taken in one go: workers that print without end must not keep us from the others."""


class _Worker:
    """One connection: a worker's name, process, and the bytes on their way to and from it."""

    def __init__(self, name: str, sock: socket.socket) -> None:
        self.name = name
        self.sock = sock
        self.reader = frames.FrameReader()
        self.unsent = bytearray()
        self.pid = 0
        self.is_retiring = False
        self.is_closed = False
        """Its socket is; how it ended, its nursery will say."""
        self.stopped_before = False

    def send(self, data: bytes = b"") -> None:
        """Send `data` after what was not sent before, as far as it goes: a worker that calls does not read."""
        self.unsent += data
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]


class LocalEngine:
    """See `penstock.runtimes.batch.engines.interface.Engine`.

    `job_file` holds a `messages.Job`; `python` is the workers' interpreter, `variables` their environment,
    `preload` and `start_timeout_s` as in `BatchSettings`. `prefix` goes before the names of workers.
    `model_format` is a hint at what will have to be imported.
    """

    def __init__(
        self,
        *,
        job_file: str,
        python: str,
        variables: Mapping[str, str],
        preload: str,
        log_level: str,
        prefix: str = "",
        model_format: str = "",
        start_timeout_s: float = 600.0,
    ) -> None:
        self._start_timeout_s = start_timeout_s
        self._model_format = model_format
        self._job_file = job_file
        self._python = python
        self._variables = dict(variables)
        self._preload = preload != "never"
        self._log_level = log_level
        self._prefix = prefix
        self._selector = selectors.DefaultSelector()
        self._lock = threading.RLock()
        self._waiting: list[Event] = []
        self._nursery: children.Child | None = None
        self._nursery_ready = False
        self._young_deaths = 0
        self._unborn = 0
        self._desired = 0
        self._is_stopped = False
        self._asked = 0
        self._spawn_from = 0.0
        self._load_until = math.inf
        self._nursery_stopped = False
        # Of the nursery's workers, until it says how they ended. What it says and what they say may cross.
        self._nursed: dict[int, float] = {}
        self._greeted: set[int] = set()
        self._ended: dict[int, str] = {}
        self._workers: dict[str, _Worker] = {}
        self._named = 0
        self._next_look = 0.0
        # Unix sockets have short names: the job's own folder may lie too deep.
        self._folder = private_folders.make()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / "engine"))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def prepare(self) -> None:
        """See `Engine.prepare`: the nursery imports what models of this format need, while the driver plans."""
        self._raise_nursery()

    def start(self, workers: int) -> None:
        """See `Engine.start`."""
        self._desired = workers
        self._start_nursery()

    def events(self, timeout_s: float) -> Sequence[Event]:
        """See `Engine.events`."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:
                found, self._waiting = self._waiting, []
            if found:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return ()
            for key, _ in self._selector.select(min(left, USAGE_EVERY_S)):
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            self._look()

    def order(self, worker: str, order: messages.Order) -> None:
        """See `Engine.order`."""
        found = self._workers.get(worker)
        if found is not None:
            self._send(found, order.to_frame())

    def replace(self, worker: str, *, kill: bool) -> None:
        """See `Engine.replace`."""
        found = self._workers.get(worker)
        if found is None:
            return
        if kill:
            self._kill(found)
            return
        found.is_retiring = True
        self._send(found, frames.frame(messages.RETIRE))

    def spare(self, worker: str) -> None:
        """See `Engine.spare`: an idle process here costs nothing."""

    def stop(self) -> None:
        """See `Engine.stop`. Workers retire first, so that a script's ``shutdown()`` is called."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._desired = 0
        for name in list(self._workers):
            self.replace(name, kill=False)
        deadline = time.monotonic() + END_S
        while self._workers and time.monotonic() < deadline:
            for key, _ in self._selector.select(0.1):
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
        for found in self._workers.values():
            self._kill(found)
        if self._nursery is not None:
            self._on_nursery(self._nursery)  # whom it has started meanwhile
        for pid in self._loading():
            processes.kill_group(pid)
        if self._nursery is not None:
            self._forget_nursery()
        for found in self._workers.values():
            found.sock.close()
        self._workers.clear()
        self._selector.close()
        self._listener.close()
        private_folders.remove(self._folder)

    # The nursery

    def _start_nursery(self) -> None:
        if self._nursery is None:
            self._raise_nursery()
        if self._nursery is not None:
            self._load_until = time.monotonic() + self._start_timeout_s if self._preload else math.inf
            self._nursery.tell(
                job=self._job_file,
                engine=str(self._folder / "engine"),
                generation=0,
                preload=self._preload,
                log_level=self._log_level,
            )

    def _raise_nursery(self) -> None:
        argv = launching.worker_argv(
            self._python,
            str(Path(penstock.__file__).parent),
            "penstock.runtimes.batch.nursery",
            self._model_format,
        )
        try:
            child = children.Child(argv, variables=self._variables)
        except OSError as error:
            failure = {"stage": "environment", "message": f"cannot start {self._python}: {error.strerror}"}
            self._tell("load-failed", "", failure={"detail": "", "hint": "", **failure})
            return
        self._nursery = child
        self._nursery_ready = self._nursery_stopped = False
        self._asked = 0
        self._selector.register(child.channel.fileno(), selectors.EVENT_READ, lambda: self._on_nursery(child))
        for pipe, stream in child.pipes:
            os.set_blocking(pipe.fileno(), False)
            lines = children.Lines(pipe, lambda text, stream=stream: self._on_output(text, stream))  # type: ignore[misc]
            self._selector.register(
                pipe, selectors.EVENT_READ, lambda pipe=pipe, lines=lines: self._read_pipe(pipe, lines)
            )

    def _read_pipe(self, pipe: Any, lines: children.Lines) -> None:
        if not lines.read():
            self._selector.unregister(pipe)
            pipe.close()

    def _on_output(self, text: str, stream: str) -> None:
        self._tell("log", "", level="info", text=text, stream=stream)

    def _on_nursery(self, child: children.Child) -> None:
        for _ in range(MESSAGES):
            if child.is_forgotten:
                return
            try:
                message = child.channel.receive()
            except channels.ChannelClosedError:
                self._nursery_ended(child)
                return
            if message is None:
                return
            self._on_nursery_event(message)

    def _on_nursery_event(self, message: dict[str, Any]) -> None:
        event = message.get("event")
        if event == "log":
            self._tell("log", self._name_of(message.get("pid", 0)), **message)
        elif event == "ready":
            self._nursery_ready = True
            self._load_until = math.inf
            self._young_deaths = 0
            self._spawn()
        elif event == "unshareable":
            self._preload = False
            self._forget_nursery()
            self._start_nursery()
        elif event == "spawned":
            self._asked = max(self._asked - 1, 0)
            self._ended.pop(message["pid"], None)  # another process that had the number
            self._nursed[message["pid"]] = time.monotonic()
        elif event == "not-spawned":
            self._asked = max(self._asked - 1, 0)
            if time.monotonic() >= self._spawn_from:
                self._tell("log", "", level="warning", text=f"no worker can be started: {message['reason']}")
            self._spawn_from = time.monotonic() + REFUSED_S
        elif event == "exited":
            self._on_exit(message["pid"], children.how_it_ended(os.waitstatus_to_exitcode(message["status"])))
        elif event == "load-failed":
            self._tell("load-failed", "", failure=message["failure"])

    def _spawn(self) -> None:
        if self._nursery is None or not self._nursery_ready or time.monotonic() < self._spawn_from:
            return
        working = sum(1 for found in self._workers.values() if not found.is_retiring)
        missing = self._desired - working - len(self._loading()) - self._asked
        for _ in range(missing):
            self._nursery.tell(do="spawn")
            self._asked += 1

    def _loading(self) -> list[int]:
        """Workers that the nursery has started and that have not said that they are ready."""
        return [pid for pid in self._nursed if pid not in self._greeted]

    def _nursery_ended(self, child: children.Child) -> None:
        if self._nursery is not child:
            return
        young = time.monotonic() - child.since < YOUNG_S
        code = child.process.poll()
        # Those that work go on: what they hold is not to blame. Those that load would not be missed if they died.
        for pid in self._loading():
            processes.kill_group(pid)
        self._nursed.clear()
        self._greeted.clear()
        self._forget_nursery()
        for found in list(self._workers.values()):
            if found.is_closed:
                self._gone(found, "its nursery ended")
        if not self._desired:
            return
        self._young_deaths = self._young_deaths + 1 if young else 1
        how = children.how_it_ended(code)
        if self._young_deaths >= YOUNG_DEATHS:
            self._fail_to_load(f"the process that loads the model ends at once: {how}")
            return
        self._tell("log", "", level="warning", text=f"the nursery ended ({how}); starting another")
        self._start_nursery()

    def _fail_to_load(self, message: str) -> None:
        failure = {"stage": "model", "message": message, "detail": "", "hint": "the log has what it wrote"}
        self._tell("load-failed", "", failure=failure)

    def _forget_nursery(self) -> None:
        child, self._nursery = self._nursery, None
        assert child is not None
        self._nursery_ready = False
        self._selector.unregister(child.channel.fileno())
        child.end()
        for pipe, _ in child.pipes:
            if not pipe.closed and pipe in self._selector.get_map():
                self._selector.get_key(pipe).data()
                if not pipe.closed:
                    self._selector.unregister(pipe)
                    pipe.close()

    # Workers

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            self._named += 1
            found = _Worker(f"{self._prefix}{self._named}", sock)
            self._selector.register(sock, selectors.EVENT_READ, lambda: self._on_worker(found))

    def _on_worker(self, found: _Worker) -> None:
        if found.unsent:
            self._send(found)
        try:
            data = found.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._closed(found)
            return
        for kind, payload in found.reader.feed(data):
            content = json.loads(payload)
            if kind == messages.HELLO:
                self._on_hello(found, **content)
            elif kind == messages.AT:
                number, phase, start, stop = content
                self._tell("at", found.name, number=number, phase=phase, start=start, stop=stop)
            elif kind == messages.DONE:
                self._tell("done", found.name, **content)

    def _on_hello(self, found: _Worker, *, pid: int, **description: Any) -> None:
        found.pid = pid
        if pid not in self._ended:
            self._greeted.add(pid)
        self._workers[found.name] = found
        self._unborn = 0
        resident = processes.resident_bytes(pid)
        self._tell("ready", found.name, pid=pid, resident=resident, is_born_with=self._preload, **description)

    def _send(self, found: _Worker, data: bytes = b"") -> None:
        """Send, now or when there is room. Where the worker is gone, its closed socket says so."""
        with self._lock, contextlib.suppress(OSError, KeyError, ValueError):
            found.send(data)
            waits = selectors.EVENT_WRITE if found.unsent else 0
            key = self._selector.get_key(found.sock)
            self._selector.modify(found.sock, selectors.EVENT_READ | waits, key.data)

    def _closed(self, found: _Worker) -> None:
        """Its socket is closed: it has ended, or is about to."""
        with self._lock:
            self._selector.unregister(found.sock)
            found.sock.close()
        if self._workers.get(found.name) is not found:
            return
        found.is_closed = True
        how = self._ended.pop(found.pid, "")
        if how or found.is_retiring:
            self._gone(found, how)
            return
        processes.kill_group(found.pid)
        if found.pid not in self._nursed and self._nursery is not None:
            self._on_nursery(self._nursery)  # which may have said of it what nobody has read yet
        if found.pid not in self._nursed and self._workers.get(found.name) is found:
            self._gone(found, "it ended, and so had its nursery")

    def _kill(self, found: _Worker) -> None:
        if found.pid not in self._ended:
            processes.kill_group(found.pid)

    def _on_exit(self, pid: int, how: str) -> None:
        self._nursed.pop(pid, None)
        if pid not in self._greeted:
            # Perhaps its greeting is still on the way.
            self._ended[pid] = how
            self._unborn += 1
            if self._unborn >= YOUNG_DEATHS:
                self._fail_to_load(f"every worker ends before it has loaded: {how}")
            else:
                self._spawn()
            return
        self._greeted.discard(pid)
        for found in list(self._workers.values()):
            if found.pid == pid:
                if found.is_closed:
                    self._gone(found, how)
                else:
                    self._ended[pid] = how

    def _gone(self, found: _Worker, how: str) -> None:
        del self._workers[found.name]
        self._tell("gone", found.name, how=how)
        self._spawn()

    def _look(self) -> None:
        """Whether anybody has ended, was suspended, or loads without end; memory of the workers."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + USAGE_EVERY_S
        self._look_at_nursery(now)
        for found in list(self._workers.values()):
            if found.is_closed:
                continue
            is_stopped = processes.is_stopped(found.pid)
            if is_stopped and found.stopped_before:
                self._kill(found)
            found.stopped_before = is_stopped
            self._tell("usage", found.name, resident=processes.resident_bytes(found.pid))
        self._spawn()

    def _look_at_nursery(self, now: float) -> None:
        child = self._nursery
        if child is None:
            return
        if child.process.poll() is not None:
            # Its workers hold its end of the channel open.
            self._nursery_ended(child)
            return
        is_stopped = processes.is_stopped(child.process.pid)
        if is_stopped and self._nursery_stopped:
            processes.kill_group(child.process.pid)
        self._nursery_stopped = is_stopped
        since = min((self._nursed[pid] for pid in self._loading()), default=math.inf)
        if self._desired and now > min(self._load_until, since + self._start_timeout_s):
            self._fail_to_load(f"loading has taken longer than {self._start_timeout_s:g} s")

    def _name_of(self, pid: int) -> str:
        return next((found.name for found in self._workers.values() if found.pid == pid), "")

    def _tell(self, kind: str, worker: str, **content: Any) -> None:
        with self._lock:
            self._waiting.append(Event(kind=kind, worker=worker, content=content))
