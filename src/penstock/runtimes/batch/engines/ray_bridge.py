"""The bridge: the one process of a job that speaks to Ray. Starts agents, replaces those that die, hands on what
crosses between the driver and them, and ends them with the driver.

An agent whose poll fails is gone, whatever Ray may think of it: what it had to say is lost, so its workers are too,
and the driver leases their mini-batches to others. Should it live on, it does no harm: the first outcome of a
mini-batch in the ledger wins, and soon nobody has polled it and it ends.

Ray ends a process that has lost its head for a minute, without a word; before that the bridge tells the driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import penstock
from penstock.kit import frames
from penstock.runtimes.batch.engines import ray_agent, ray_api, ray_fleet, ray_link
from penstock.runtimes.batch.engines.ray_api import Failed
from penstock.runtimes.batch.engines.ray_options import RayOptions

POLL_S = 5.0
TURN_S = 0.25
LOOK_S = 2.0
END_S = 12.0
SAY_S = 30.0


@dataclass(eq=False)
class _Agent:
    """An agent from our side. `handle` is Ray's actor; `beginning` and `polling` are the calls whose ends we wait
    for. It is up when either has come back."""

    number: int
    workers: int
    handle: Any
    beginning: Any
    polling: Any
    names: set[str] = field(default_factory=set)
    spared: set[str] = field(default_factory=set)
    is_up: bool = False
    was_useful: bool = False


class Bridge:
    """State of the process: the socket to the driver, its order, and the agents."""

    def __init__(self, link: frames.FrameSocket, order: Mapping[str, Any]) -> None:
        self._link = link
        self._options = RayOptions(**order["options"])
        self._agent_order = order["agent"]
        self._name: str = order["name"]
        self._desired: int = order["workers"]
        self._lock = threading.RLock()
        self._agents: dict[int, _Agent] = {}
        self._by_worker: dict[str, _Agent] = {}
        self._news: list[ray_agent.News] = []
        self._numbered = 0
        self._failures = 0
        self._is_short_of_work = False
        self._is_ending = threading.Event()
        self._head_seen = time.monotonic()
        self._began = time.monotonic()
        self._said = time.monotonic()
        self._ever_up = False

    def run(self) -> None:
        """Connect, start agents, hand on until the driver is through or gone. Raises Failed."""
        threading.Thread(target=self._listen, daemon=True).start()
        ray_api.connect(self._options)
        self._head_seen = time.monotonic()
        threading.Thread(target=self._watch_head, daemon=True).start()
        # Agents of a run of this same job whose driver died without a word: the CPUs are ours to use.
        ray_api.kill_named(self._name)
        sizes = ray_fleet.sizes(
            self._desired, self._options.cpus_per_agent, self._options.max_agents, ray_api.node_cpus()
        )
        self._log("info", f"asking Ray for {len(sizes)} agents with {sum(sizes)} workers in all")
        for workers in sizes:
            self._start_agent(workers)
        while not self._is_ending.is_set():
            self._turn()

    def end(self) -> None:
        """End all agents, and wait a little for them."""
        with self._lock:
            agents, self._agents = list(self._agents.values()), {}
        ending = []
        for agent in agents:
            if agent.is_up:
                agent.handle.hush.remote()
                ending.append(agent.handle.end.remote())
        ray_api.wait_for_all(ending, END_S)
        if self._is_head_lost():
            return
        for agent in agents:
            ray_api.kill(agent.handle)

    # Agents

    def _start_agent(self, workers: int) -> None:
        self._numbered += 1
        number = self._numbered
        # A name may not be free at once when its agent is killed.
        name = f"{self._name}-{number}.{secrets.token_hex(4)}"
        handle = ray_api.start_agent(name, workers, self._options)
        agent = _Agent(
            number=number,
            workers=workers,
            handle=handle,
            beginning=handle.begin.remote(self._agent_order, workers, f"{number}."),
            polling=handle.poll.remote(POLL_S),
        )
        self._agents[number] = agent

    def _turn(self) -> None:
        with self._lock:
            waiting: dict[Any, _Agent] = {}
            for agent in self._agents.values():
                waiting[agent.polling] = agent
                if agent.beginning is not None:
                    waiting[agent.beginning] = agent
        ready = ray_api.wait(list(waiting), TURN_S)
        if not waiting:
            self._is_ending.wait(TURN_S)
        with self._lock:
            for reference in ready:
                agent = waiting[reference]
                if agent.number in self._agents:
                    self._take(agent, reference)
        self._look()
        self._send_news()

    def _take(self, agent: _Agent, reference: Any) -> None:
        try:
            result = ray_api.result(reference)
        except ray_api.UNUSABLE as error:
            raise Failed(
                "Ray cannot start an agent", detail=str(error), hint="see --engine-option"
            ) from error
        except ray_api.LostError as error:
            self._lost(agent, error)
            return
        if not agent.is_up:
            agent.is_up = self._ever_up = True
        if reference == agent.beginning:
            agent.beginning = None
            _check_version(result)
            return
        agent.polling = agent.handle.poll.remote(POLL_S)
        for kind, worker, content in result:
            if kind == "ready":
                agent.names.add(worker)
                self._by_worker[worker] = agent
            elif kind == "gone":
                agent.names.discard(worker)
                agent.spared.discard(worker)
                self._by_worker.pop(worker, None)
            elif kind == "done":
                agent.was_useful = True
                self._failures = 0
            self._news.append((kind, worker, content))

    def _lost(self, agent: _Agent, error: BaseException) -> None:
        """What an agent had to say is lost: its workers are gone, and another takes its place."""
        text = str(error)
        if "No module named 'penstock" in text:
            raise Failed(
                "a node of the Ray cluster has no Penstock",
                detail=text,
                hint="install penstock[ray] in the Python that runs Ray on every node, as on the driver's",
            )
        self._drop(agent, "its node or its agent on Ray was lost")
        ray_api.kill(agent.handle)
        first_line = next(iter(text.splitlines()), "")
        self._log("warning", f"agent {agent.number} was lost; asking Ray for another: {first_line}")
        if not agent.was_useful:
            self._failures += 1
        if self._failures >= ray_fleet.MOST_FAILURES:
            raise Failed(
                f"{self._failures} agents on Ray were lost, one after another, before they had done anything",
                detail=text,
            )
        self._start_agent(agent.workers)

    def _drop(self, agent: _Agent, how: str) -> None:
        del self._agents[agent.number]
        for name in sorted(agent.names):
            self._by_worker.pop(name, None)
            self._news.append(("gone", name, {"how": how}))

    def _spare(self, worker: str) -> None:
        """Agents none of whose workers has anything to do end, and with them those that are not up yet."""
        agent = self._by_worker.get(worker)
        if agent is None:
            return
        self._is_short_of_work = True
        agent.spared.add(worker)
        idle = [agent] if agent.spared >= agent.names and len(agent.names) == agent.workers else []
        for each in [*idle, *(other for other in self._agents.values() if not other.is_up)]:
            self._drop(each, "nothing was left for it to do")
            if each.is_up:
                each.handle.hush.remote()
                each.handle.end.remote()
                # Actors take calls of a group in order, so this comes after the end.
                each.handle.leave.remote()
            else:
                ray_api.kill(each.handle)

    # Looking around

    def _look(self) -> None:
        now = time.monotonic()
        if self._is_head_lost():
            raise Failed(
                f"Ray's head has not answered for {self._options.head_timeout_s:g} s",
                hint="resume the job when the cluster is back; what was scored is kept",
            )
        if self._ever_up:
            return
        if now - self._began > self._options.wait_s:
            raise Failed(
                f"no agent came up on Ray within {self._options.wait_s:g} s: {self._room()}",
                hint="add nodes, ask for less with --engine-option cpus_per_agent=1, "
                "or wait longer with --engine-option wait_s=...",
            )
        if now - self._said > SAY_S:
            self._said = now
            self._log("info", f"waiting for room on Ray: {self._room()}")

    def _is_head_lost(self) -> bool:
        return time.monotonic() - self._head_seen > self._options.head_timeout_s

    def _room(self) -> str:
        free = ray_api.free()
        wanted = max((agent.workers for agent in self._agents.values()), default=0)
        more = "".join(
            f" and {amount:g} {name}"
            for name, amount in [("GPUs", self._options.gpus_per_agent), *self._options.resources.items()]
            if amount
        )
        return f"an agent needs {wanted} CPUs{more} on one node; the cluster has {free.get('CPU', 0):g} CPUs free"

    def _watch_head(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                ray_api.node_cpus()
                self._head_seen = time.monotonic()
            time.sleep(LOOK_S)

    # The driver

    def _listen(self) -> None:
        """A thread: what the driver says. Its end is ours."""
        try:
            while True:
                kind, payload = self._link.receive()
                if kind == ray_link.END:
                    break
                self._obey(kind, payload)
        except (EOFError, OSError):
            pass
        finally:
            self._is_ending.set()

    def _obey(self, kind: int, payload: bytes) -> None:
        with self._lock:
            if kind == ray_link.ORDER:
                worker, order = ray_link.opened(payload)
                agent = self._by_worker.get(worker)
                if agent is not None:
                    agent.spared.discard(worker)
                    agent.handle.order.remote(worker, order)
            elif kind == ray_link.REPLACE:
                worker, kill = json.loads(payload)
                agent = self._by_worker.get(worker)
                if agent is not None:
                    agent.handle.replace.remote(worker, kill)
            elif kind == ray_link.SPARE:
                self._spare(json.loads(payload))

    def _log(self, level: str, text: str) -> None:
        self._news.append(("log", "", {"level": level, "text": text, "stream": ""}))

    def _send_news(self) -> None:
        with self._lock:
            news, self._news = self._news, []
        if news:
            with contextlib.suppress(OSError):
                self._link.send(frames.frame(ray_link.EVENTS, json.dumps(news).encode()))


def _check_version(about: Mapping[str, str]) -> None:
    if about["version"] != penstock.__version__:
        raise Failed(
            f"node {about['host']} has Penstock {about['version']}, here it is {penstock.__version__}",
            hint="install the same version on every node",
        )


def main(argv: list[str]) -> NoReturn:
    """``ray_bridge SOCKET_FD``; the first frame is the order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=int(argv[1]))
    link = frames.FrameSocket(sock)
    kind, payload = 0, b""
    with contextlib.suppress(EOFError, OSError):
        kind, payload = link.receive()
    if kind != ray_link.BEGIN:
        # The job has ended before it began: its plan could not be made.
        sys.exit(0)
    bridge = Bridge(link, json.loads(payload))
    code = 0
    try:
        try:
            bridge.run()
        except Failed as failed:
            code = 1
            with contextlib.suppress(OSError):
                link.send(frames.frame(ray_link.FAILED, json.dumps(failed.content).encode()))
        bridge.end()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Ray's own end waits for a head that may not be there.
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv)
