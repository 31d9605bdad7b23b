"""The supervisor: root of a deployment's process tree. It owns the listening sockets, starts the gateway and
the nursery, and replaces whatever dies, hangs, grows or grows old.

It holds no request and imports no web or model library, so it has little to fail of. When it is gone, the
others end themselves. It asks `fleet` and `health` what to do and does it.

Order of shutdown: first the gateway, which takes no new request, answers what it has accepted and then tells
the workers to retire; only then the nursery. The other way round, accepted requests would find no worker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import penstock
from penstock.bundle import launch as launching
from penstock.bundle.launch import Launch
from penstock.kit import channels, logs, private_folders, processes
from penstock.runtimes import children
from penstock.runtimes.children import Child
from penstock.runtimes.realtime import changes, doors, fleet, health, reports

START_FAILED_EXIT = 3
TICK_S = 0.25
SHORT_LIFE_S, SHORT_LIVES = 2.0, 5
"""A gateway that ends this young, this many times in a row, cannot run here, unless one ever could."""
WORKERS_END_S = 3.0
"""How long retired workers may take to end once the gateway has drained."""
MESSAGES_A_TURN = 64
"""Messages taken from one child before the others are looked at: a worker may print without end."""


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
        self._pulse = health.Pulse()
        self._suspended = health.TwoLooks()
        self._gone = health.TwoLooks()
        self._memory = health.MemoryLimit(settings.memory_limit_mb * 2**20)
        self._draining_until = 0.0
        self._ending_until = 0.0
        self._exit: int | None = None
        self._announced = False
        self._hopeless_told = False
        self._restarts: dict[str, int] = {}
        self._kill_reasons: dict[int, str] = {}
        self._short_lives = 0
        self._gateway_works = False

    def run(self) -> int:
        """Serve until told to stop or until nothing can be served; the exit code."""
        try:
            return self._run()
        finally:
            self._log.finish()

    def _run(self) -> int:
        launch = self._launch
        try:
            self._listener = doors.listen(launch.host, launch.port)
        except OSError as error:
            where = f"{launch.host}:{launch.port}"
            self._log("error", f"cannot listen on {where}: {error.strerror or error}; choose another --port")
            return 1
        try:
            self._folder = private_folders.make()
        except OSError as error:
            self._log("error", str(error))
            return 1
        try:
            self._workers_listener = doors.listen_to_workers(self._folder)
            # From here on the port is a number, also where any free one was asked for.
            self._launch = dataclasses.replace(launch, port=self._listener.getsockname()[1])
            self._take_signals()
            for note in launch.notes:
                self._log("info", note)
            self._start_gateway()
            self._do(self._fleet.reconcile(time.monotonic()))
            processes.adopt_orphans()
            self._attend(changes.Watch(launch.reload_paths) if launch.reload else None)
        finally:
            self._end_everything()
        assert self._exit is not None
        return self._exit

    def _attend(self, watch: changes.Watch | None) -> None:
        next_tick = 0.0
        while self._exit is None:
            for key, _ in self._selector.select(TICK_S):
                # An earlier event of this round may have closed what this one came from, and a new process may
                # have been given the same descriptor.
                if self._selector.get_map().get(key.fd) is key:
                    self._guard(key.data)
            now = time.monotonic()
            if now >= next_tick:
                self._guard(lambda now=now: self._tick(now, watch))  # type: ignore[misc] # bound at once
                # Looking at the files of a large folder must not become all we do.
                next_tick = now + max(TICK_S, 5 * (time.monotonic() - now))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # noqa: BLE001 - the edge of the loop: a bug here must not end the service
            self._log("critical", "the supervisor failed\n" + traceback.format_exc().rstrip())

    # Signals

    def _take_signals(self) -> None:
        read, write = socket.socketpair()
        read.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        self._signal_ends = (read, write)
        taken = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD]
        # A terminal that is closed sends SIGHUP; under nohup nobody wants to hear of it.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            taken.append(signal.SIGHUP)
        for number in taken:
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._selector.register(read, selectors.EVENT_READ, lambda: self._on_signals(read.recv(64)))

    def _on_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGCHLD:
                self._look_for_the_dead()
            elif number == signal.SIGQUIT or self._draining_until:
                self._log("warning", "stopping now")
                self._exit = 128 + number
            elif number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                self._drain()

    def _look_for_the_dead(self) -> None:
        # A nursery's channel stays open while its workers live, so its death does not show there.
        for generation, child in list(self._nurseries.items()):
            if child.process.poll() is not None:
                self._on_nursery(generation, child)
                self._nursery_ended(generation, child)
        ours = {child.process.pid: child.process for child in self._nurseries.values()}
        if self._gateway is not None:
            ours[self._gateway.process.pid] = self._gateway.process
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                pid = found.si_pid
                if pid in ours:
                    # Remembered until its channel, or the next look, tells of its end.
                    ours[pid].poll()
                    continue
                _, status = os.waitpid(pid, 0)
                if pid in self._fleet.workers:
                    # A worker whose nursery has died.
                    processes.kill_group(pid)
                    self._worker_exited(pid, os.waitstatus_to_exitcode(status))

    # Processes

    def _start_gateway(self) -> None:
        keep = (self._listener.fileno(), self._workers_listener.fileno())
        argv = [sys.executable, "-P", "-m", "penstock.runtimes.realtime.gateway", *map(str, keep)]
        child = self._gateway = Child(argv, variables=dict(os.environ), keep=keep)
        self._pulse = health.Pulse()
        child.tell(launch=self._launch.to_json())
        self._hear(child, lambda: self._on_gateway(child), "gateway")

    def _start_nursery(self, generation: int, *, preload: bool) -> None:
        launch = self._launch
        argv = launching.worker_argv(
            launch.python, str(Path(penstock.__file__).parent), "penstock.runtimes.realtime.nursery"
        )
        try:
            variables = launching.worker_variables(
                launch.manifest, dict(os.environ), path_prefix=launch.path_prefix
            )
            if launch.reload:
                # Python tells a compiled file's age in seconds: what is saved twice in one would not be read.
                variables["PYTHONDONTWRITEBYTECODE"] = "1"
            child = Child(argv, variables=variables)
        except OSError as error:
            now = time.monotonic()
            self._do(self._fleet.load_failed(generation, _no_python(launch.python, error), now))
            self._do(self._fleet.nursery_died(generation, now))
            return
        self._nurseries[generation] = child
        child.tell(
            manifest=launch.manifest.to_json(),
            gateway=str(self._folder / doors.WORKERS_SOCKET),
            generation=generation,
            preload=preload,
            log_level=launch.log_level,
        )
        self._hear(child, lambda: self._on_nursery(generation, child), "worker")

    def _hear(self, child: Child, on_message: Callable[[], None], name: str) -> None:
        self._selector.register(child.channel.fileno(), selectors.EVENT_READ, on_message)
        for pipe, stream in child.pipes:
            os.set_blocking(pipe.fileno(), False)

            def take(text: str, stream: str = stream) -> None:
                self._log("info", text, source=name, stream=stream)

            lines = children.Lines(pipe, take)
            self._selector.register(
                pipe, selectors.EVENT_READ, lambda pipe=pipe, lines=lines: self._on_output(pipe, lines)
            )

    def _on_output(self, pipe: Any, lines: children.Lines) -> None:
        if not lines.read():
            self._selector.unregister(pipe)
            pipe.close()

    def _forget(self, child: Child) -> None:
        if child.is_forgotten:
            return
        self._selector.unregister(child.channel.fileno())
        child.end()
        # The last words. Not until the end of the pipe: a stranger may hold it open.
        for pipe, _ in child.pipes:
            if not pipe.closed and pipe in self._selector.get_map():
                self._selector.get_key(pipe).data()

    # What children say

    def _on_gateway(self, child: Child) -> None:
        for _ in range(MESSAGES_A_TURN):
            if child.is_forgotten:
                return
            try:
                message = child.channel.receive()
            except channels.ChannelClosedError:
                self._gateway_ended(child)
                return
            if message is None:
                return
            self._pulse.heard()
            self._gateway_works = True
            event = message.get("event")
            if event == "log":
                self._relay(message)
            elif event == "joined":
                pid = message["pid"]
                self._memory.born(pid, processes.resident_bytes(pid))
                self._do(self._fleet.joined(pid, message["generation"], time.monotonic()))
                self._announce(message)
            elif event == "overstayed":
                self._kill(message["pid"], "overstayed its deadline")
            elif event == "drained":
                self._let_workers_end()

    def _on_nursery(self, generation: int, child: Child) -> None:
        for _ in range(MESSAGES_A_TURN):
            if child.is_forgotten:
                return
            try:
                message = child.channel.receive()
            except channels.ChannelClosedError:
                self._forget(child)
                self._nursery_ended(generation, child)
                return
            if message is None:
                return
            self._on_nursery_event(generation, child, message)

    def _on_nursery_event(self, generation: int, child: Child, message: dict[str, Any]) -> None:
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
        elif event == "spawned":
            self._do(self._fleet.spawned(generation, message["pid"], now))
        elif event == "not-spawned":
            self._log("error", f"no worker can be started: {message['reason']}; trying again")
            self._do(self._fleet.not_spawned(generation, now))
        elif event == "exited":
            self._worker_exited(message["pid"], os.waitstatus_to_exitcode(message["status"]))
        elif event == "load-failed":
            self._do(self._fleet.load_failed(generation, message["failure"], now))

    def _relay(self, message: dict[str, Any]) -> None:
        self._log(
            message["level"],
            message["text"],
            worker=message.get("pid"),
            stream=message.get("stream") if message.get("stream") != "log" else "",
            logger=message.get("logger"),
            request=message.get("request"),
        )

    # Ends

    def _nursery_ended(self, generation: int, child: Child) -> None:
        if self._nurseries.get(generation) is not child:
            return
        del self._nurseries[generation]
        if not self._fleet.ended:
            how = children.how_it_ended(child.process.poll())
            self._log("error", f"the nursery ended ({how}); starting another", generation=generation)
            self._do(self._fleet.nursery_died(generation, time.monotonic()))

    def _worker_exited(self, pid: int, code: int | None) -> None:
        state = self._fleet.workers.get(pid)
        reason = self._kill_reasons.pop(pid, "")
        self._memory.ended(pid)
        if state is not None and state.phase != fleet.RETIRING and not self._fleet.ended:
            how = children.how_it_ended(code) if code is not None else "how is not known"
            self._log("warning", f"worker {pid} ended: {reason or how}; replacing it", worker=pid)
            self._count_restart("killed" if reason else "crashed")
        self._do(self._fleet.exited(pid, time.monotonic()))

    def _gateway_ended(self, child: Child) -> None:
        self._forget(child)
        self._gateway = None
        how = children.how_it_ended(child.process.returncode)
        if self._draining_until:
            if not self._ending_until:
                self._log("error", f"the gateway ended ({how}) while requests were in flight")
                self._let_workers_end()
            return
        self._short_lives = self._short_lives + 1 if time.monotonic() - child.since < SHORT_LIFE_S else 0
        if self._short_lives >= SHORT_LIVES and not self._gateway_works:
            self._log("error", f"the gateway ended ({how}) again and again; giving up")
            self._exit = 1
            return
        self._log("error", f"the gateway ended ({how}); starting another")
        if self._short_lives < SHORT_LIVES:
            # Otherwise at the next tick: somebody kills it again and again.
            self._start_gateway()

    # Time and deeds

    def _tick(self, now: float, watch: changes.Watch | None) -> None:
        if self._ending_until:
            if now > self._ending_until:
                self._exit = 0
            return
        if self._draining_until:
            if now > self._draining_until:
                self._log("warning", "requests were still in flight when the drain timeout passed; cut")
                self._exit = 0
                return
        elif watch is not None:
            self._reload(watch.poll(), now)
        self._watch_over_all(now)
        self._do(self._fleet.reconcile(now))

    def _reload(self, changed: list[str], now: float) -> None:
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            self._log("info", f"{changed[0]}{more} changed; reloading")
            self._do(self._fleet.reload(now))

    def _watch_over_all(self, now: float) -> None:
        gateway = self._gateway
        workers = list(self._fleet.workers)
        pids = [*workers, *(child.process.pid for child in self._nurseries.values())]
        if gateway is not None:
            pids.append(gateway.process.pid)
        suspended = self._suspended.look({pid for pid in pids if processes.is_stopped(pid)})
        gone = self._gone.look({pid for pid in workers if processes.is_gone(pid)})
        if gateway is not None:
            self._watch_over_gateway(gateway, now, is_suspended=gateway.process.pid in suspended)
        elif not self._draining_until:
            # The last attempt to start one has failed, or was put off.
            self._start_gateway()
        for generation, child in list(self._nurseries.items()):
            if child.process.pid in suspended:
                self._log("warning", "the nursery was stopped; replacing it", generation=generation)
                child.process.kill()
        for pid in workers:
            if pid in gone:
                # Nobody was left to say so.
                self._worker_exited(pid, None)
            elif pid in suspended:
                self._kill(pid, "was stopped")
        self._hold_to_memory(now)

    def _watch_over_gateway(self, gateway: Child, now: float, *, is_suspended: bool) -> None:
        if is_suspended or self._pulse.is_silent(now):
            self._log("error", "the gateway is stopped or hung; replacing it")
            gateway.process.kill()
        elif self._pulse.is_due(now):
            self._pulse.ping(now)
            memory = {str(pid): processes.resident_bytes(pid) for pid in self._fleet.workers}
            gateway.tell(do="ping", memory=memory, restarts=self._restarts)

    def _hold_to_memory(self, now: float) -> None:
        memory = self._memory
        if not memory.limit:
            return
        limit = f"{memory.limit // 2**20} MB"
        for pid, state in list(self._fleet.workers.items()):
            used = processes.resident_bytes(pid)
            if state.phase == fleet.SERVING and memory.has_outgrown(pid, used):
                text = f"worker {pid} holds {used // 2**20} MB, over the limit of {limit}; replacing it"
                self._log("warning", text, worker=pid)
                self._count_restart("memory")
                self._do(self._fleet.worn(pid, now))
        if memory.is_hopeless and not self._hopeless_told:
            self._hopeless_told = True
            least = min(memory.born_with.values()) // 2**20
            self._log(
                "warning",
                f"a worker that has only loaded holds {least} MB: the memory limit of {limit} is too low to hold "
                "workers to",
            )

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
        if self._ending_until and not self._fleet.workers:
            self._exit = 0

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
        for note in message["notes"]:
            self._log("warning", note)
        url = doors.url_of(self._listener)
        if self._log.for_people:
            self._log.raw(reports.greeting(self._launch, url))
        else:
            self._log("info", "serving", url=url, deployment=self._launch.manifest.name)

    def _kill(self, pid: int, reason: str) -> None:
        self._kill_reasons[pid] = reason
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            self._worker_exited(pid, None)

    def _stop_nursery(self, generation: int) -> None:
        child = self._nurseries.pop(generation, None)
        if child is not None:
            self._forget(child)

    def _count_restart(self, reason: str) -> None:
        self._restarts[reason] = self._restarts.get(reason, 0) + 1

    # The end

    def _drain(self) -> None:
        timeout = self._launch.manifest.settings.drain_timeout_s
        self._draining_until = time.monotonic() + timeout
        self._log("info", f"stopping: requests in flight have {timeout:g} s; again to stop now")
        self._listener.close()
        if self._gateway is None:
            self._exit = 0
        else:
            self._gateway.tell(do="drain")

    def _let_workers_end(self) -> None:
        """The last request is answered."""
        self._ending_until = time.monotonic() + WORKERS_END_S
        self._do(self._fleet.end())

    def _end_everything(self) -> None:
        for pid in self._fleet.workers:
            processes.kill_group(pid)
        for generation in list(self._nurseries):
            self._stop_nursery(generation)
        if self._gateway is not None:
            self._forget(self._gateway)
        private_folders.remove(self._folder)


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


def main(argv: list[str]) -> NoReturn:
    """``supervisor --launch-fd N``; the launch is read from the inherited descriptor."""
    with os.fdopen(int(argv[argv.index("--launch-fd") + 1]), "r") as file:
        launch = Launch.from_json(file.read())
    sys.exit(Supervisor(launch).run())


if __name__ == "__main__":
    main(sys.argv)
