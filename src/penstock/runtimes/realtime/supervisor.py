"""The supervisor: root of a deployment's process tree. It owns the listening sockets, starts the gateway and
the nursery, and replaces whatever dies, hangs, grows or grows old.

It holds no request and imports no web or model library, so it has little to fail of. When it is gone, the
others end themselves. It asks `fleet` what to do and does it.

Order of shutdown: first the gateway, which takes no new request, answers what it has accepted and then tells
the workers to retire; only then the nursery. The other way round, accepted requests would find no worker.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import penstock
from penstock.bundle import launch as launching
from penstock.bundle.launch import Launch
from penstock.kit import channels, logs, processes
from penstock.runtimes.realtime import changes, fleet, reports

START_FAILED_EXIT = 3
TICK_S = 0.25
PING_EVERY_S = 1.0
GATEWAY_SILENT_S = 5.0
"""A gateway that answers no ping for so long is hung, and is replaced."""
SHORT_LIFE_S, SHORT_LIVES = 2.0, 5
"""A gateway that ends this young, this many times in a row, cannot run here."""
WORKERS_END_S = 3.0
"""How long retired workers may take to end once the gateway has drained."""
BACKLOG = 4096


class Child:
    """A process that we started, with its channel."""

    def __init__(self, argv: list[str], *, variables: dict[str, str], keep: tuple[int, ...] = ()) -> None:
        self.channel, theirs = channels.pair()
        self.channel.set_blocking(False)
        self.since = time.monotonic()
        self.is_forgotten = False
        # A session of its own: Ctrl-C at the terminal is for the supervisor alone to act upon.
        self.process = subprocess.Popen(
            [*argv, str(theirs.fileno())],
            env=variables,
            pass_fds=(theirs.fileno(), *keep),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()

    @property
    def pipes(self) -> list[tuple[Any, str]]:
        """What it writes past its channel."""
        return [(self.process.stdout, "stdout"), (self.process.stderr, "stderr")]

    def tell(self, **message: Any) -> None:
        """Send an order; a child that is gone needs none."""
        try:
            self.channel.send(message)
        except (channels.ChannelClosedError, BlockingIOError):
            return


class Supervisor:
    """Holds the processes; `run` returns the exit code."""

    def __init__(self, launch: Launch) -> None:
        settings = launch.manifest.settings
        self._launch = launch
        self._log = logs.Log(style=launch.log_format, level=launch.log_level)
        self._fleet = fleet.Fleet(
            desired=settings.workers,
            preload=_wants_preload(launch),
            start_timeout_s=settings.start_timeout_s,
            retire_timeout_s=settings.request_timeout_ms / 1000 + 5.0,
        )
        self._selector = selectors.DefaultSelector()
        self._nurseries: dict[int, Child] = {}
        self._gateway: Child | None = None
        self._heard = self._pinged = 0.0
        self._draining_until = 0.0
        self._exit: int | None = None
        self._announced = False
        self._stopped_once: set[int] = set()
        self._restarts: dict[str, int] = {}
        self._kill_reasons: dict[int, str] = {}
        self._partial: dict[Any, bytes] = {}
        self._short_lives = 0
        self._born_with: dict[int, int] = {}
        self._limit_is_hopeless = False

    def run(self) -> int:
        """Serve until told to stop or until nothing can be served; the exit code."""
        listener = self._listen()
        if listener is None:
            return 1
        with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
            self._socket_path = str(Path(folder, "gateway"))
            self._listener = listener
            self._workers_listener = socket.socket(socket.AF_UNIX)
            self._workers_listener.bind(self._socket_path)
            self._workers_listener.listen(BACKLOG)
            host, port = listener.getsockname()[:2]
            self._url = f"http://{'localhost' if host in ('127.0.0.1', '::1') else host}:{port}"
            self._take_signals()
            for note in self._launch.notes:
                self._log("info", note)
            watch = changes.Watch(self._launch.reload_paths) if self._launch.reload else None
            try:
                self._start_gateway()
                self._do(self._fleet.reconcile(time.monotonic()))
                next_tick = 0.0
                while self._exit is None:
                    self._attend_once()
                    now = time.monotonic()
                    if now >= next_tick:
                        next_tick = now + TICK_S
                        self._tick(now, watch)
            finally:
                self._end_everything()
        return self._exit

    def _attend_once(self) -> None:
        """Hear what has come, or wait a tick for it."""
        for key, _ in self._selector.select(TICK_S):
            # An earlier event of this round may have closed what this one came from, and a new process may
            # have been given the same descriptor.
            if self._selector.get_map().get(key.fd) is key:
                try:
                    key.data(key.fileobj)
                except Exception:  # noqa: BLE001 - the edge of the loop: a bug here must not end the service
                    self._log("critical", "the supervisor failed\n" + traceback.format_exc().rstrip())

    def _listen(self) -> socket.socket | None:
        host, port = self._launch.host, self._launch.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            self._log(
                "error", f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port"
            )
            return None
        return listener

    def _take_signals(self) -> None:
        read, write = socket.socketpair()
        read.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        self._signal_ends = (read, write)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._selector.register(read, selectors.EVENT_READ, self._on_signal)

    def _on_signal(self, read: socket.socket) -> None:
        for number in read.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                if self._draining_until:
                    self._log("warning", "stopping now")
                    self._exit = 128 + number
                else:
                    self._drain()
            elif number == signal.SIGCHLD:
                self._look_for_the_dead()

    # Processes

    def _look_for_the_dead(self) -> None:
        # A nursery's channel stays open while its workers live, so its death does not show there.
        for generation, child in list(self._nurseries.items()):
            if child.process.poll() is not None:
                self._on_nursery(generation, child)
                self._nursery_ended(generation, child)

    def _start_gateway(self) -> None:
        keep = (self._listener.fileno(), self._workers_listener.fileno())
        argv = [sys.executable, "-m", "penstock.runtimes.realtime.gateway", *map(str, keep)]
        child = self._gateway = Child(argv, variables=dict(os.environ), keep=keep)
        self._heard = time.monotonic()
        child.tell(launch=self._launch.to_json())
        self._attend(child, self._on_gateway, "gateway")

    def _start_nursery(self, generation: int, *, preload: bool) -> None:
        manifest = self._launch.manifest
        argv = launching.worker_argv(
            self._launch.python, str(Path(penstock.__file__).parent), "penstock.runtimes.realtime.nursery"
        )
        try:
            child = Child(argv, variables=launching.worker_variables(self._launch, dict(os.environ)))
        except OSError as error:
            self._do(
                self._fleet.load_failed(generation, _no_python(self._launch.python, error), time.monotonic())
            )
            return
        self._nurseries[generation] = child
        child.tell(
            manifest=manifest.to_json(),
            gateway=self._socket_path,
            generation=generation,
            preload=preload,
            log_level=self._launch.log_level,
        )
        self._attend(child, lambda _: self._on_nursery(generation, child), "worker")

    def _attend(self, child: Child, on_message: Any, name: str) -> None:
        self._selector.register(child.channel.fileno(), selectors.EVENT_READ, on_message)
        for pipe, stream in child.pipes:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(
                pipe, selectors.EVENT_READ, lambda p, stream=stream: self._on_output(p, name, stream)
            )

    def _forget(self, child: Child) -> None:
        if child.is_forgotten:
            return
        child.is_forgotten = True
        self._selector.unregister(child.channel.fileno())
        child.channel.close()
        for pipe, stream in child.pipes:
            if not pipe.closed and pipe in self._selector.get_map():
                self._on_output(pipe, "worker", stream)
        if child.process.poll() is None:
            child.process.kill()
        child.process.wait()

    # What children say

    def _on_output(self, pipe: Any, name: str, stream: str) -> None:
        try:
            data = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            return
        lines = (self._partial.pop(pipe, b"") + data).split(b"\n")
        if data:
            self._partial[pipe] = lines.pop()
        text = b"\n".join(lines).decode("utf-8", "replace").rstrip("\n")
        if text:
            self._log("info", text, source=name, stream=stream)
        if not data:
            self._selector.unregister(pipe)
            pipe.close()

    def _on_gateway(self, _: Any) -> None:
        child = self._gateway
        while child is not None:
            try:
                message = child.channel.receive()
            except channels.ChannelClosedError:
                self._gateway_ended(child)
                return
            if message is None:
                return
            self._heard = now = time.monotonic()
            event = message.get("event")
            if event == "log":
                self._relay(message)
            elif event == "joined":
                self._born_with.setdefault(message["pid"], processes.resident_bytes(message["pid"]))
                self._do(self._fleet.joined(message["pid"], now))
                self._announce(message)
            elif event == "overstayed":
                self._kill(message["pid"], "overstayed its deadline")
            elif event == "drained":
                self._gateway_drained()

    def _on_nursery(self, generation: int, child: Child) -> None:
        while not child.is_forgotten:
            try:
                message = child.channel.receive()
            except channels.ChannelClosedError:
                self._nursery_ended(generation, child)
                self._forget(child)
                return
            if message is None:
                return
            now = time.monotonic()
            event = message.get("event")
            if event == "log":
                self._relay(message)
            elif event == "ready":
                self._do(self._fleet.nursery_ready(generation, now))
            elif event == "unshareable":
                self._log("info", "the model may not be shared by forking; each worker loads for itself")
                self._nurseries.pop(generation, None)
                self._forget(child)
                self._do(self._fleet.nursery_unshareable(generation, now))
                return
            elif event == "spawned":
                self._do(self._fleet.spawned(generation, message["pid"], now))
            elif event == "exited":
                self._worker_exited(message["pid"], message["status"], now)
            elif event == "load-failed":
                self._do(self._fleet.load_failed(generation, message["failure"], now))

    def _nursery_ended(self, generation: int, child: Child) -> None:
        if self._nurseries.get(generation) is not child:
            return
        del self._nurseries[generation]
        if not self._draining_until:
            self._do(self._fleet.nursery_died(generation, time.monotonic()))

    def _relay(self, message: dict[str, Any]) -> None:
        self._log(
            message["level"],
            message["text"],
            worker=message.get("pid"),
            stream=message.get("stream") if message.get("stream") != "log" else "",
            logger=message.get("logger"),
            request=message.get("request"),
        )

    def _worker_exited(self, pid: int, status: int, now: float) -> None:
        state = self._fleet.workers.get(pid)
        reason = self._kill_reasons.pop(pid, "")
        self._born_with.pop(pid, None)
        if state is not None and state.phase != fleet.RETIRING and not self._draining_until:
            how = _how_it_ended(status)
            self._log("warning", f"worker {pid} ended: {reason or how}; replacing it", worker=pid)
            self._count_restart("killed" if reason else "crashed")
        self._do(self._fleet.exited(pid, now))

    def _gateway_ended(self, child: Child) -> None:
        self._forget(child)
        self._gateway = None
        if self._draining_until or self._exit is not None:
            self._gateway_drained()
            return
        how = _how_it_ended_code(child.process.returncode)
        self._short_lives = self._short_lives + 1 if time.monotonic() - child.since < SHORT_LIFE_S else 0
        if self._short_lives >= SHORT_LIVES:
            self._log("error", f"the gateway ended ({how}) again and again; giving up")
            self._exit = 1
            return
        self._log("error", f"the gateway ended ({how}); starting another")
        self._start_gateway()

    def _gateway_drained(self) -> None:
        deadline = time.monotonic() + WORKERS_END_S
        while self._fleet.workers and time.monotonic() < deadline and self._nurseries:
            self._attend_once()
        self._exit = 0

    # Time and deeds

    def _tick(self, now: float, watch: changes.Watch | None) -> None:
        if self._draining_until:
            if now > self._draining_until:
                self._log("warning", "requests were still in flight when the drain timeout passed; cut")
                self._exit = 0
            return
        if watch is not None:
            changed = watch.poll()
            if changed:
                more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
                self._log("info", f"{changed[0]}{more} changed; reloading")
                self._do(self._fleet.reload(now))
        self._watch_over_gateway(now)
        self._watch_over_workers(now)
        self._do(self._fleet.reconcile(now))

    def _watch_over_gateway(self, now: float) -> None:
        child = self._gateway
        if child is None:
            return
        if self._is_stuck(child.process.pid) or now - self._heard > GATEWAY_SILENT_S:
            self._log("error", "the gateway is stopped or hung; replacing it")
            child.process.kill()
        elif now - self._pinged >= PING_EVERY_S:
            self._pinged = now
            memory = {str(pid): processes.resident_bytes(pid) for pid in self._fleet.workers}
            child.tell(do="ping", memory=memory, restarts=self._restarts)

    def _watch_over_workers(self, now: float) -> None:
        for generation, child in list(self._nurseries.items()):
            if self._is_stuck(child.process.pid):
                self._log("warning", "the nursery was stopped; replacing it", generation=generation)
                child.process.kill()
        limit = self._launch.manifest.settings.memory_limit_mb * 2**20
        for pid, state in list(self._fleet.workers.items()):
            if self._is_stuck(pid):
                self._kill(pid, "was stopped")
            elif limit and state.phase == fleet.SERVING:
                self._hold_to_memory(pid, limit, now)

    def _hold_to_memory(self, pid: int, limit: int, now: float) -> None:
        used = processes.resident_bytes(pid)
        if used <= limit:
            return
        if self._born_with.get(pid, 0) <= limit:
            self._log(
                "warning",
                f"worker {pid} holds {used // 2**20} MB, over the limit of {limit // 2**20} MB; replacing it",
                worker=pid,
            )
            self._count_restart("memory")
            self._do(self._fleet.worn(pid, now))
        elif not self._limit_is_hopeless:
            # It was over the limit when it joined, and so would be every other: replacing it is no cure.
            self._limit_is_hopeless = True
            self._log(
                "warning",
                f"a worker that has only loaded holds {self._born_with[pid] // 2**20} MB: the memory limit of "
                f"{limit // 2**20} MB is too low to hold workers to",
            )

    def _is_stuck(self, pid: int) -> bool:
        """Suspended at two looks in a row: a debugger's brief stop is no reason to kill."""
        if not processes.is_stopped(pid):
            self._stopped_once.discard(pid)
            return False
        if pid in self._stopped_once:
            return True
        self._stopped_once.add(pid)
        return False

    def _do(self, actions: list[fleet.Action]) -> None:
        for action in actions:
            if action.do == "start-nursery":
                self._start_nursery(action.generation, preload=action.preload)
            elif action.do == "stop-nursery":
                self._stop_nursery(action.generation)
            elif action.do == "spawn" and action.generation in self._nurseries:
                self._nurseries[action.generation].tell(do="spawn")
            elif action.do == "retire" and self._gateway is not None:
                self._gateway.tell(do="retire", pid=action.pid)
            elif action.do == "kill":
                self._kill(action.pid, action.reason)
            elif action.do == "promoted":
                self._log("info", "the new generation serves", generation=action.generation)
            elif action.do == "report":
                self._report(action.failure)
            elif action.do == "give-up":
                self._report(action.failure)
                self._exit = START_FAILED_EXIT

    def _report(self, failure: dict[str, str]) -> None:
        if self._log.for_people:
            self._log.raw("\n" + reports.failure(self._launch, failure) + "\n")
        else:
            self._log(
                "error",
                f"{self._launch.manifest.name} cannot start: {failure['message']}",
                **{key: failure[key] for key in ("stage", "detail", "hint")},
            )

    def _announce(self, message: dict[str, Any]) -> None:
        if self._announced:
            return
        self._announced = True
        for note in message.get("notes", ()):
            self._log("warning", note)
        if self._log.for_people:
            self._log.raw(reports.greeting(self._launch, self._url))
        else:
            self._log("info", "serving", url=self._url, deployment=self._launch.manifest.name)

    def _kill(self, pid: int, reason: str) -> None:
        self._kill_reasons[pid] = reason
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            self._do(self._fleet.exited(pid, time.monotonic()))

    def _stop_nursery(self, generation: int) -> None:
        child = self._nurseries.pop(generation, None)
        if child is not None:
            child.tell(do="stop")
            self._forget(child)

    def _count_restart(self, reason: str) -> None:
        self._restarts[reason] = self._restarts.get(reason, 0) + 1

    def _drain(self) -> None:
        timeout = self._launch.manifest.settings.drain_timeout_s
        self._draining_until = time.monotonic() + timeout
        self._log("info", f"stopping: requests in flight have {timeout:g} s; again to stop now")
        self._listener.close()
        if self._gateway is None:
            self._exit = 0
        else:
            self._gateway.tell(do="drain")

    def _end_everything(self) -> None:
        for generation in list(self._nurseries):
            self._stop_nursery(generation)
        for pid in self._fleet.workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self._gateway is not None:
            self._forget(self._gateway)
        # Progress pages of killed workers stand in the folder; it goes with all it holds.
        shutil.rmtree(Path(self._socket_path).parent, ignore_errors=True)


def _wants_preload(launch: Launch) -> bool:
    """Whether to try loading before the fork: models that we load, unless told otherwise; scripts, if told."""
    preload = launch.manifest.settings.preload
    return preload == "always" or (preload == "auto" and launch.manifest.code is None)


def _no_python(python: str, error: OSError) -> dict[str, str]:
    return {
        "stage": "environment",
        "message": f"the interpreter {python} cannot be started: {error.strerror}",
        "detail": "",
        "hint": "--environment current uses the Python that runs Penstock",
    }


def _how_it_ended(status: int) -> str:
    return _how_it_ended_code(os.waitstatus_to_exitcode(status))


def _how_it_ended_code(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"exit code {code}"


def main(argv: list[str]) -> NoReturn:
    """``supervisor --launch-fd N``; the launch is read from the inherited descriptor."""
    with os.fdopen(int(argv[argv.index("--launch-fd") + 1]), "r") as file:
        launch = Launch.from_json(file.read())
    sys.exit(Supervisor(launch).run())


if __name__ == "__main__":
    main(sys.argv)
