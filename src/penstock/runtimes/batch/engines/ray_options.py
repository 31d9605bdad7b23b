"""What can be said about a Ray cluster with ``--engine-option NAME=VALUE``, checked before any Ray is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from penstock.errors import JobError


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """One field an option. An agent is one of Ray's actors; it runs workers, and asks for a CPU for each."""

    address: str = ""
    """``host:port`` of the head. Empty: what ``RAY_ADDRESS`` says, else the cluster that runs on this machine."""
    cpus_per_agent: int = 0
    """Workers of one agent, which share the loaded model's memory. 0: as many as the smallest node has CPUs; one
    where no node is there yet, as with a cluster that grows from nothing."""
    gpus_per_agent: float = 0.0
    """GPUs that an agent's workers share."""
    max_agents: int = 0
    """Most agents at a time; 0: as many as the job's workers need."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """Further resources that each agent asks for, as JSON: ``{"fast_disk": 1}``."""
    runtime_env: Mapping[str, Any] = field(default_factory=dict)
    """Ray's runtime environment of the agents, as JSON. Not the environment of the workers, which is the
    deployment's own."""
    wait_s: float = 900.0
    """How long to wait for the first agent to come up, a new node's start included."""
    head_timeout_s: float = 40.0
    """The job ends, to be resumed, when Ray's head has not answered for so long. At most 50, for Ray ends whoever
    has waited a minute."""
    silence_s: float = 30.0
    """An agent that has heard nothing from the job for so long ends itself and its workers."""


def parse(raw: Mapping[str, str]) -> RayOptions:
    """The options that `raw` says. Raises JobError naming the option that is wrong."""
    kinds = {each.name: type(getattr(_DEFAULTS, each.name)) for each in fields(RayOptions)}
    values: dict[str, Any] = {}
    for name, text in raw.items():
        if name not in kinds:
            raise JobError(
                f"--engine-option {name}={text}: Ray's engine has no option {name!r}",
                hint=f"it has {', '.join(sorted(kinds))}",
            )
        try:
            values[name] = _value(kinds[name], text)
        except ValueError:
            raise JobError(
                f"--engine-option {name}={text}: {text!r} is not {_EXPECTED[kinds[name]]}"
            ) from None
    if values.get("head_timeout_s", 0) > _LONGEST_HEAD_TIMEOUT_S:
        raise JobError(f"--engine-option head_timeout_s={raw['head_timeout_s']}: at most 50 is possible")
    return RayOptions(**values)


def _value(kind: type, text: str) -> Any:
    if kind is str:
        return text
    value = json.loads(text) if kind is dict else kind(text)
    if (kind is dict and not isinstance(value, dict)) or (kind is not dict and not value >= 0):
        raise ValueError(text)
    return value


_LONGEST_HEAD_TIMEOUT_S = 50.0
_DEFAULTS = RayOptions()

_EXPECTED = {int: "a whole number from 0 up", float: "a number from 0 up", dict: "a JSON object"}
