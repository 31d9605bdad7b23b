"""Real Ray clusters for tests, on this machine, apart from any other Ray that runs here: a folder and a token of
their own. Whatever happens, every process of theirs is gone afterwards.

`Cluster` drives Ray's own `cluster_utils.Cluster` in a process of its own, which is this module run as a program.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from support.waiting import until

_MARK = "PENSTOCK_TEST_RAY"
_OBJECT_STORE = 80 << 20


@contextlib.contextmanager
def apart() -> Iterator[dict[str, str]]:
    """Environment variables under which a Ray cluster and its users live; ends all of them in the end."""
    # Sockets of Ray lie deep in its folder, and their names must be short.
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    mark = secrets.token_hex(8)
    try:
        yield {
            _MARK: mark,
            "RAY_TMPDIR": folder,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    finally:
        end_marked(mark)
        shutil.rmtree(folder, ignore_errors=True)


def end_marked(mark: str) -> None:
    """Kill every process that was born with `mark` in its environment, until there is none."""

    def left() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return found

    until(lambda: not left(), "the Ray processes of this test to be gone", 20)


class Cluster:
    """A Ray cluster with a head that runs nothing. `variables` are those of `apart`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.ray_cluster"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **variables, "PYTHONPATH": str(Path(__file__).parents[1])},
            start_new_session=True,
        )
        self.address: str = self._ask(do="address")

    def add_node(self, cpus: int = 1) -> None:
        """Add a node."""
        self._ask(do="add", cpus=cpus)

    def kill_node(self, raylet: int) -> None:
        """SIGKILL to the processes of the node whose raylet has that pid."""
        assert self._ask(do="kill", raylet=raylet), f"no node has the raylet {raylet}"

    def kill_head(self) -> None:
        """SIGKILL to the head's processes."""
        self._ask(do="kill-head")

    def end(self) -> None:
        """End the process that holds the cluster; `apart` ends what is left."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def _ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            # Ray writes to the same stream.
            if line.startswith(b"answer "):
                return json.loads(line[7:])
        raise AssertionError(f"the cluster's process ended with {self._process.wait(5)}")


@contextlib.contextmanager
def cluster(nodes: int = 2, cpus: int = 1) -> Iterator[tuple[Cluster, dict[str, str]]]:
    """A running cluster, and the variables of its users."""
    with apart() as variables:
        made = Cluster(variables)
        try:
            for _ in range(nodes):
                made.add_node(cpus)
            yield made, variables
        finally:
            made.end()


@contextlib.contextmanager
def growing(folder: Path, *arguments: str) -> Iterator[tuple[str, dict[str, str], subprocess.Popen[str]]]:
    """A head whose nodes come and go: its address, its users' variables, its process."""
    module = "penstock.runtimes.batch.engines.ray_nodes"
    command = [sys.executable, "-m", module, "up", "--port", "0", "--address", "127.0.0.1"]
    with apart() as variables:
        process = subprocess.Popen(
            [*command, "--state", str(folder), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert said.startswith("Ray's head is at "), (folder / "head.log").read_text()
            yield said.split()[4].rstrip(";"), variables, process
        finally:
            process.stdout.close()
            process.kill()
            process.wait(10)


def _serve() -> None:
    from ray.cluster_utils import Cluster as RayCluster

    arguments = {"object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    made = RayCluster(initialize_head=True, head_node_args={"num_cpus": 0, **arguments})

    def processes(node: Any) -> list[int]:
        return [info.process.pid for group in node.all_processes.values() for info in group]

    for line in sys.stdin:
        question = json.loads(line)
        answer: Any = made.address
        if question["do"] == "add":
            made.add_node(num_cpus=question["cpus"], **arguments)
        elif question["do"] != "address":
            raylet = question.get("raylet")
            nodes = [made.head_node] if raylet is None else made.worker_nodes
            victims = [
                pid
                for node in nodes
                if raylet is None or raylet in processes(node)
                for pid in processes(node)
            ]
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            answer = len(victims)
        sys.stdout.write(f"\nanswer {json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
