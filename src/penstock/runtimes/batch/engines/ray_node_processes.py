"""Ray nodes as processes: `ray start --block`, on this machine or behind a command such as ssh.

A host is reached by a command that takes a line for a shell as its last argument (``sh -c``, ``ssh host``). That
command stays for as long as the node does, so a node is alive when its command is. A record of each lies in a
folder, so that whoever comes after a crash finds the nodes that are there. Knows nothing of Ray's Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from penstock.errors import JobError

LOCAL = ("sh", "-c")
"""Reaches this machine."""

TERM_S = 20.0
"""How long a node may take to end when asked; then it is killed."""

GIVE_UP_S = 60.0
"""When a host has not answered for so long, its node is forgotten: Ray ends what has lost its head."""

_REACH_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine that may hold up to `nodes` nodes; `reach` is the command that runs a shell's line there."""

    name: str
    reach: tuple[str, ...] = LOCAL
    nodes: int = 1


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node that was started. `process` and `began` are the pid of the command that reaches it, here, and its
    start in the kernel's ticks, which together are no other process's."""

    identity: str
    host: str
    reach: tuple[str, ...]
    process: int
    began: int
    tags: Mapping[str, str] = field(default_factory=dict)
    ending_since: float = 0.0
    """Seconds of the wall clock; 0: nobody has asked it to end."""
    killed: bool = False


class NodeProcesses:
    """The nodes of one cluster, recorded in `folder`. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.RLock()
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._nodes: dict[str, Node] = {}
        for path in sorted(folder.glob("*.json")):
            with contextlib.suppress(ValueError, TypeError, KeyError):
                raw = json.loads(path.read_text())
                node = Node(**{**raw, "reach": tuple(raw["reach"])})
                self._nodes[node.identity] = node

    def alive(self) -> dict[str, Node]:
        """The nodes whose processes exist, by identity. Presses those that were asked to end and have not."""
        with self._lock:
            for identity, node in list(self._nodes.items()):
                if not self._exists(node):
                    self._forget(node)
                elif node.ending_since:
                    self._press(identity, node)
            return dict(self._nodes)

    def start(
        self, host: Host, command: Sequence[str], variables: Mapping[str, str], tags: Mapping[str, str]
    ) -> str:
        """Start `command` on `host` with `variables` in its environment, and with ``{node}`` in the values of
        these replaced by the new node's identity, which is returned. Whether it comes up, `alive` tells."""
        identity = f"node-{uuid.uuid4().hex[:12]}"
        settings = [f"{name}={value.replace('{node}', identity)}" for name, value in variables.items()]
        line = _script(identity, shlex.join(["env", *settings, *command]))
        with self._lock, (self._folder / f"{identity}.log").open("ab") as log:
            # Open for writing too, so it never ends while the command lives; when ssh's connection is lost,
            # the far end sees its input end, and ends the node.
            os.mkfifo(self._folder / f"{identity}.in", 0o600)
            descriptor = os.open(self._folder / f"{identity}.in", os.O_RDWR | os.O_CLOEXEC)
            try:
                process = subprocess.Popen(
                    [*host.reach, line],
                    stdin=descriptor,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                (self._folder / f"{identity}.in").unlink()
                raise JobError(
                    f"host {host.name}: cannot run {host.reach[0]}: {error.strerror}",
                    hint="name a command by which a shell's line can be run there",
                ) from error
            finally:
                os.close(descriptor)
            self._children[process.pid] = process
            node = Node(
                identity=identity,
                host=host.name,
                reach=host.reach,
                process=process.pid,
                began=_began(process.pid),
                tags=dict(tags),
            )
            self._keep(node)
        return identity

    def tag(self, identity: str, tags: Mapping[str, str]) -> None:
        """Add `tags` to a node's; nothing when it is gone."""
        with self._lock:
            node = self._nodes.get(identity)
            if node is not None:
                self._keep(replace(node, tags={**node.tags, **tags}))

    def end(self, identity: str) -> None:
        """Ask a node to end; `alive` kills it when it does not. One that is gone is fine."""
        with self._lock:
            node = self._nodes.get(identity)
            if node is None or node.ending_since:
                return
            self._keep(replace(node, ending_since=time.time()))
        _signal(node, "TERM")

    def end_all(self, timeout_s: float = GIVE_UP_S + _REACH_S) -> None:
        """End every node, and wait until they are gone."""
        for identity in self.alive():
            self.end(identity)
        deadline = time.monotonic() + timeout_s
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _press(self, identity: str, node: Node) -> None:
        age = time.time() - node.ending_since
        if age > GIVE_UP_S:
            with contextlib.suppress(OSError):
                os.killpg(node.process, signal.SIGKILL)
        elif age > TERM_S and not node.killed:
            # Ray's own reaper ends the rest of a node whose `ray start` was killed.
            self._keep(replace(self._nodes[identity], killed=True))
            _signal(node, "KILL")

    def _exists(self, node: Node) -> bool:
        child = self._children.get(node.process)
        if child is not None and child.poll() is not None:
            del self._children[node.process]
            return False
        return _began(node.process) == node.began != 0

    def _keep(self, node: Node) -> None:
        self._nodes[node.identity] = node
        path = self._folder / f"{node.identity}.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(node)))
        path.with_suffix(".new").replace(path)

    def _forget(self, node: Node) -> None:
        """The record goes; the log stays, for it says why a node did not come up."""
        self._nodes.pop(node.identity, None)
        for suffix in (".json", ".in"):
            with contextlib.suppress(FileNotFoundError):
                (self._folder / f"{node.identity}{suffix}").unlink()


def _pid_file(identity: str) -> str:
    return f'"${{TMPDIR:-/tmp}}/penstock-ray-{identity}.pid"'


def _script(identity: str, command: str) -> str:
    """A shell's line that runs `command`, keeps its pid where `_signal` finds it, and ends it when the line's own
    input ends."""
    pid_file = _pid_file(identity)
    lines = [
        "umask 077",
        "exec 3<&0",
        f"{command} </dev/null 3<&- & node=$!",
        f"echo $node >{pid_file}",
        "(read -r _ <&3; kill -TERM $node) & watch=$!",
        "wait $node; status=$?",
        "kill $watch",
        f"rm -f {pid_file}",
        "exit $status",
    ]
    return "exec sh -c " + shlex.quote("\n".join(lines))


def _signal(node: Node, name: str) -> None:
    """Send a signal to the node. A host that does not answer is left to `alive`."""
    pid_file = _pid_file(node.identity)
    # It may be a moment before the pid stands there.
    waiting = f"n=0; while [ ! -s {pid_file} ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done"
    line = "sh -c " + shlex.quote(f'{waiting}; kill -{name} "$(cat {pid_file})"')
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(
            [*node.reach, line], stdin=subprocess.DEVNULL, capture_output=True, timeout=_REACH_S, check=False
        )


def _began(pid: int) -> int:
    """When a process began, in ticks since the machine's start; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == b"Z" else int(fields[19])
