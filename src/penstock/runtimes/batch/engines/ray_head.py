"""The head of a Ray cluster that grows and shrinks on one's own hardware: its file, its process, its end.

``up`` writes the cluster's file, starts the head with Ray's autoscaler, and stays; a signal ends the head and then
the nodes. ``down`` ends the nodes that an ``up`` which was killed has left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from penstock.bundle import environments
from penstock.errors import JobError, PenstockError
from penstock.runtimes.batch.engines import ray_node_processes

HEAD = "head"
"""The head's identity in the autoscaler, and its node type."""

WORKER = "worker"
SECOND_VERSION = "RAY_enable_autoscaler_v2"
AUTH_MODE = "RAY_AUTH_MODE"
_PROVIDER = "penstock.runtimes.batch.engines.ray_nodes.ProcessNodeProvider"
_UNUSED_LISTS = (
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "initialization_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
    "cluster_synced_files",
)
_START_S = 120.0
_STOP_S = 20.0


def ray_command() -> str:
    """The ``ray`` beside this Python: the version must be the head's."""
    return str(Path(sys.executable).parent / "ray")


def auth_mode(variables: Mapping[str, str]) -> str:
    """Ray's ``RAY_AUTH_MODE``. Where it is not set: ``token``, for whoever reaches a cluster without one can run
    code there. Ray makes the token, in ``~/.ray/auth_token``; hosts that do not share that folder need a copy."""
    return variables.get(AUTH_MODE) or "token"


def node_command(
    ray: str,
    address: str,
    resources: Mapping[str, float],
    labels: Mapping[str, str],
    arguments: Sequence[str],
) -> list[str]:
    """The command line of a node that joins the head at `address`. `resources` as in Ray's cluster file: ``CPU``,
    ``GPU``, ``memory`` and ``object_store_memory`` (bytes), and names of one's own; what is left out Ray
    finds by itself."""
    named = {"CPU": "num-cpus", "GPU": "num-gpus", "memory": "memory"}
    named["object_store_memory"] = "object-store-memory"
    command = [ray, "start", f"--address={address}", "--block", "--disable-usage-stats"]
    command += [f"--{flag}={int(resources[name])}" for name, flag in named.items() if name in resources]
    rest = {name: value for name, value in resources.items() if name not in named}
    if rest:
        command.append(f"--resources={json.dumps(rest)}")
    if labels:
        command.append("--labels=" + ",".join(f"{key}={value}" for key, value in labels.items()))
    return [*command, *arguments]


def cluster_file(options: argparse.Namespace, address: str) -> dict[str, Any]:
    """Ray's cluster file for the command line's `options`."""
    resources: dict[str, float] = {"CPU": options.cpus_per_node}
    if options.gpus_per_node:
        resources["GPU"] = options.gpus_per_node
    if options.object_store_mb:
        resources["object_store_memory"] = options.object_store_mb << 20
    names = options.host or ["local"]
    provider = {
        "type": "external",
        "module": _PROVIDER,
        # The provider's own command starts Ray; nothing is installed over ssh by Ray itself.
        "disable_node_updaters": True,
        "head_address": address,
        "state_directory": str(_nodes_folder(options)),
        "hosts": [_host(name, options) for name in names],
        "start_arguments": options.start_argument,
        "variables": {AUTH_MODE: auth_mode(os.environ)},
    }
    if options.ray:
        provider["ray"] = options.ray
    return {
        "cluster_name": "penstock",
        "max_workers": options.max,
        "idle_timeout_minutes": options.idle_timeout / 60,
        "provider": provider,
        "head_node_type": HEAD,
        # Ray reads these whether or not it uses them.
        **{name: [] for name in _UNUSED_LISTS},
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        "available_node_types": {
            HEAD: {"resources": {"CPU": 0}, "node_config": {}, "min_workers": 0, "max_workers": 0},
            WORKER: {
                "resources": resources,
                "node_config": {},
                "min_workers": options.min,
                "max_workers": options.max,
            },
        },
    }


def _host(text: str, options: argparse.Namespace) -> dict[str, Any]:
    """``NAME`` or ``NAME=MOST`` as the provider's setting. ``local`` is this machine."""
    name, _, most = text.partition("=")
    if most and not most.isdecimal():
        raise JobError(f"--host {text}: {most!r} is no number of nodes", hint="write --host NAME=2")
    template = shlex.join(ray_node_processes.LOCAL) if name == "local" else options.reach
    reach = [word.replace("{host}", name) for word in shlex.split(template)]
    return {"name": name, "reach": reach, "nodes": int(most) if most else options.max}


def up(options: argparse.Namespace) -> int:
    """Run the head until a signal comes; the exit code."""
    if not 0 <= options.min <= options.max:
        raise JobError(f"--min {options.min} and --max {options.max} do not fit: 0 <= min <= max is needed")
    if not Path(ray_command()).exists():
        raise JobError("Ray is not installed beside this Python", hint="pip install 'penstock[ray]'")
    folder = Path(options.state)
    nodes = ray_node_processes.NodeProcesses(_nodes_folder(options))
    if nodes.alive():
        raise JobError(
            f"{folder} holds {len(nodes.alive())} Ray nodes that still run",
            hint="end them with the command 'down' and the same --state, or use another --state",
        )
    port = options.port or _free_port()
    address = f"{options.address}:{port}"
    configuration = folder / "cluster.yaml"
    # JSON is YAML.
    configuration.write_text(json.dumps(cluster_file(options, address), indent=2) + "\n")
    command = [ray_command(), "start", "--head", "--block", "--num-cpus=0", "--disable-usage-stats"]
    command += [f"--port={port}", f"--node-ip-address={options.address}", "--include-dashboard=false"]
    command += [f"--autoscaling-config={configuration}", "--object-store-memory", str(80 << 20)]
    variables = {
        SECOND_VERSION: "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD,
        "RAY_NODE_TYPE_NAME": HEAD,
        "AUTOSCALER_UPDATE_INTERVAL_S": str(options.interval),
        AUTH_MODE: auth_mode(os.environ),
    }
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    with (folder / "head.log").open("wb") as log:
        head = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    try:
        return _watch(head, received, address, port, folder)
    finally:
        _end(head)
        nodes = ray_node_processes.NodeProcesses(_nodes_folder(options))
        nodes.end_all()


def _watch(head: subprocess.Popen[bytes], received: list[int], address: str, port: int, folder: Path) -> int:
    """Until the head ends, or a signal comes."""
    said = False
    deadline = time.monotonic() + _START_S
    while not received and head.poll() is None:
        if not said and _answers(address, port):
            sys.stdout.write(f"Ray's head is at {address}; its files are in {folder}\n")
            sys.stdout.flush()
            said = True
        if not said and time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if received:
        return 0
    raise JobError(
        "Ray's head has ended by itself" if said else "Ray's head did not start",
        hint=f"see {folder / 'head.log'}",
    )


def down(options: argparse.Namespace) -> int:
    """End the nodes that are recorded; the exit code."""
    nodes = ray_node_processes.NodeProcesses(_nodes_folder(options))
    nodes.end_all()
    left = len(nodes.alive())
    if left:
        raise JobError(f"{left} Ray nodes do not end", hint=f"see {_nodes_folder(options)}")
    return 0


def _end(head: subprocess.Popen[bytes]) -> None:
    head.terminate()
    try:
        head.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        head.kill()
        head.wait()


def _nodes_folder(options: argparse.Namespace) -> Path:
    return Path(options.state) / "nodes"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address.rpartition(":")[0], port), 1):
        return True
    return False


def _own_address() -> str:
    """The address by which other machines reach this one; no packet is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m penstock.runtimes.batch.engines.ray_nodes",
        description="A Ray cluster on your own machines that grows with the work and shrinks when idle.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    state = str(Path(environments.cache_directory(os.environ), "ray"))
    start = commands.add_parser("up", help="run the head, until a signal ends it and its nodes")
    start.add_argument("--min", type=int, default=0, help="nodes that always run (%(default)s)")
    start.add_argument("--max", type=int, default=1, help="most nodes (%(default)s)")
    start.add_argument(
        "--idle-timeout", type=float, default=120, help="seconds after which an idle node ends (%(default)s)"
    )
    start.add_argument("--cpus-per-node", type=int, default=1)
    start.add_argument("--gpus-per-node", type=int, default=0)
    start.add_argument("--object-store-mb", type=int, default=80, help="0: Ray's own choice (%(default)s)")
    start.add_argument(
        "--host",
        action="append",
        metavar="NAME[=MOST]",
        help="where nodes may run, and how many; several times; local: this machine (local)",
    )
    start.add_argument(
        "--reach",
        default="ssh -o BatchMode=yes -o ServerAliveInterval=15 {host}",
        help="the command that runs a shell's line on a host (%(default)s)",
    )
    start.add_argument("--ray", default="", help="the ray command on the hosts (the one beside this Python)")
    start.add_argument(
        "--start-argument", action="append", default=[], help="a further argument of ray start on the nodes"
    )
    start.add_argument("--address", default=_own_address(), help="this machine's address (%(default)s)")
    start.add_argument("--port", type=int, default=6379, help="the head's port; 0: a free one (%(default)s)")
    start.add_argument(
        "--interval", type=int, default=1, help="seconds between the autoscaler's decisions (%(default)s)"
    )
    end = commands.add_parser("down", help="end the nodes that an 'up' which was killed has left")
    for command in (start, end):
        command.add_argument("--state", default=state, help="folder for files and logs (%(default)s)")
    return parser


def main(arguments: Sequence[str]) -> int:
    """The command line; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return up(options) if options.command == "up" else down(options)
    except PenstockError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"  {error.hint}\n" if error.hint else ""))
        return 1
