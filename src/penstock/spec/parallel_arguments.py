"""``program_arguments`` of a parallel step: what is for the step itself, and what is for its script. Pure.

The step's own arguments are taken out, so that a script that parses strictly does not meet them. Whatever is
not known is the script's: a published sample misspells one, and runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_NUMBERS = {
    "error_threshold": ("error_threshold", -1),
    "allowed_failed_percent": ("allowed_failed_percent", 0),
    "first_task_creation_timeout": ("start_timeout_s", 1),
    "resource_monitor_interval": ("monitor_interval_s", 0),
}
"""What each is among the settings of a job, and the least that it may be."""

_WITHOUT_EFFECT = (
    "task_overhead_timeout",
    "progress_update_timeout",
    "copy_logs_to_parent",
    "metrics_name_prefix",
    "push_metrics_to_parent",
)

_HEADER = "append_row_dataframe_header"
"""Whether the file of ``append_row_to`` begins with the column names of the script's DataFrames."""

_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class WrongArgument(ValueError):
    """One of the step's own arguments has a value that cannot be meant."""


@dataclass(frozen=True)
class Taken:
    """`batch`: fields of `penstock.bundle.batch.BatchSettings`; `output`: of
    `penstock.bundle.batch.Output`; `rest`: what the script gets; `ignored`: the step's own arguments that mean
    nothing on one machine."""

    batch: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    rest: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def take(arguments: Sequence[str]) -> Taken:
    """Sort `arguments`, which may be ``--name value`` or ``--name=value``. Raises WrongArgument."""
    batch: dict[str, Any] = {}
    output: dict[str, Any] = {}
    rest: list[str] = []
    ignored: list[str] = []
    at = 0
    while at < len(arguments):
        word = arguments[at]
        at += 1
        name, equals, value = word.partition("=")
        plain = name[2:].replace("-", "_") if name.startswith("--") else ""
        if plain not in _NUMBERS and plain not in _WITHOUT_EFFECT and plain != _HEADER:
            rest.append(word)
            continue
        if not equals:
            if at == len(arguments) or arguments[at].startswith("--"):
                raise WrongArgument(f"{name} has no value")
            value = arguments[at]
            at += 1
        if plain == _HEADER:
            if value.lower() not in _TRUTHS:
                raise WrongArgument(f"{name} must be True or False, found {value!r}")
            output["header"] = _TRUTHS[value.lower()]
        elif plain in _NUMBERS:
            setting, least = _NUMBERS[plain]
            batch[setting] = _number(name, value, least, whole=setting == "error_threshold")
        else:
            ignored.append(name)
    return Taken(batch=batch, output=output, rest=tuple(rest), ignored=tuple(ignored))


def _number(name: str, text: str, least: int, *, whole: bool) -> float:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= least) or (name.endswith("percent") and number > 100):
        kind = "a whole number" if whole else "a number"
        raise WrongArgument(f"{name} must be {kind} of at least {least}, found {text!r}")
    return number
