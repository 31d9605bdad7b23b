"""What the bridge asks of Ray, in our words: joining a cluster, agents as detached actors, nodes.

The one place that knows Ray's driver side.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from penstock.runtimes.batch.engines import ray_agent
from penstock.runtimes.batch.engines.ray_options import RayOptions

# Ray's annotations do not know all that it has.
_ray: Any = ray

NAMESPACE = "penstock"

KNOCK_S, CONNECT_S = 3.0, 60.0

LostError: type[Exception] = ray.exceptions.RayError
"""A call of an agent that failed: the agent, its node, or the way there."""

UNUSABLE: tuple[type[Exception], ...] = (
    ray.exceptions.RuntimeEnvSetupError,
    ray.exceptions.ActorUnschedulableError,
)
"""Those of them that another agent would meet too."""


class Failed(Exception):
    """The job cannot go on here; `content` is what the driver makes a JobError of."""

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.content = {"message": message, "detail": detail, "hint": hint}


def connect(options: RayOptions) -> None:
    """Join the cluster as a driver. Raises Failed."""
    if "RAY_AUTH_MODE" not in os.environ and _has_token():
        # Ray itself does so only where it finds the cluster by itself.
        os.environ["RAY_AUTH_MODE"] = "token"
    address = options.address or os.environ.get("RAY_ADDRESS") or "auto"
    _knock(address)
    problems: list[BaseException | None] = []

    def join() -> None:
        try:
            _ray.init(
                address=address,
                namespace=NAMESPACE,
                runtime_env=dict(options.runtime_env) or None,
                log_to_driver=False,
            )
            problems.append(None)
        except BaseException as error:  # noqa: BLE001 - to the other thread
            problems.append(error)

    # Ray waits for minutes, and repeats, where nobody answers or its token is not known.
    thread = threading.Thread(target=join, daemon=True)
    thread.start()
    thread.join(CONNECT_S)
    if not problems or problems[0] is not None:
        raise _shut_out(
            address, str(problems[0]) if problems else f"it did not let us in within {CONNECT_S:g} s"
        )


def _knock(address: str) -> None:
    """Raise Failed where nobody listens: Ray would try for a minute."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return
    deadline = time.monotonic() + KNOCK_S
    while True:
        try:
            socket.create_connection((host, int(port)), KNOCK_S).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise _shut_out(address, error.strerror or str(error)) from error
            time.sleep(0.2)
        else:
            return


def _shut_out(address: str, why: str) -> Failed:
    return Failed(
        f"cannot join the Ray cluster at {address}: {why}",
        hint="name the running head with --address HOST:PORT; a cluster with a token wants the same "
        "RAY_AUTH_MODE and token here",
    )


def _has_token() -> bool:
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or Path("~/.ray/auth_token").expanduser().exists()


def start_agent(name: str, cpus: int, options: RayOptions) -> Any:
    """Ask for an agent; Ray, and its autoscaler, see to a node with room for it. Its handle."""
    actor = _ray.remote(
        num_cpus=cpus,
        num_gpus=options.gpus_per_agent,
        resources=dict(options.resources),
        concurrency_groups=ray_agent.GROUPS,
        max_restarts=0,
        max_task_retries=0,
    )(ray_agent.Agent)
    return actor.options(
        name=name,
        namespace=NAMESPACE,
        # It ends by itself when nobody polls, and scripts can shut down even when we have died.
        lifetime="detached",
        scheduling_strategy="SPREAD",
    ).remote(options.silence_s)


def kill(handle: Any) -> None:
    """End an agent at once; one that is gone is fine."""
    with contextlib.suppress(LostError, ValueError):
        _ray.kill(handle, no_restart=True)


def kill_named(prefix: str) -> None:
    """End the agents whose name is `prefix`, a hyphen and one more word."""
    for found in _ray.util.list_named_actors(all_namespaces=True):
        if found["namespace"] == NAMESPACE and found["name"].rpartition("-")[0] == prefix:
            with contextlib.suppress(LostError, ValueError):
                kill(_ray.get_actor(found["name"], namespace=NAMESPACE))


def wait(references: Sequence[Any], timeout_s: float) -> list[Any]:
    """Those of `references` that have a result or an error, waiting for the first of them."""
    if not references:
        return []
    ready, _ = _ray.wait(list(references), num_returns=1, timeout=timeout_s)
    if ready:
        ready, _ = _ray.wait(list(references), num_returns=len(references), timeout=0)
    return list(ready)


def wait_for_all(references: Sequence[Any], timeout_s: float) -> None:
    """Until all `references` have a result or an error."""
    if references:
        _ray.wait(list(references), num_returns=len(references), timeout=timeout_s)


def result(reference: Any) -> Any:
    """What came of a call. Raises LostError."""
    return _ray.get(reference)


def node_cpus() -> list[int]:
    """The CPUs of each node that is there. Asks the head; waits, or raises, when that does not answer."""
    return [int(node["Resources"].get("CPU", 0)) for node in _ray.nodes() if node["Alive"]]


def free() -> Mapping[str, float]:
    """What of the cluster's resources nobody has taken."""
    found: Mapping[str, float] = _ray.available_resources()
    return found
