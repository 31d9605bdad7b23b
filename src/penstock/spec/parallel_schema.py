"""An Azure ML parallel step as people write it: a component of its own, or a step of a pipeline job.

Keys, types and enumerations are those of the CLI's reference pages and published schema; what they mean on one
machine is `penstock.spec.parallel_steps`' business.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from penstock.spec import validation
from penstock.spec.batch_deployment_schema import JobResources, Level, RetrySettings, Threshold
from penstock.spec.deployment_schema import Count, InlineEnvironment, Pairs, Variable, Version, form_of, lower

_UNITS = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_SIZE = re.compile(r"(\d+)\s*([kmg]?b)?", re.IGNORECASE)


def _size(value: object) -> object:
    """``5`` and ``"5"`` count; ``10kb`` and ``1 MB`` are bytes, said as a pair of number and unit."""
    match = _SIZE.fullmatch(str(value).strip()) if isinstance(value, (int, str)) else None
    if match is None or isinstance(value, bool) or int(match[1]) < 1:
        raise ValueError("must be a number of files, or a size such as 10kb or 1 MB")
    unit = (match[2] or "").lower()
    return int(match[1]) * _UNITS[unit], "bytes" if unit else ""


Size = Annotated[tuple[int, str], BeforeValidator(_size)]
Value = str | int | float | bool | None


class Port(validation.Section):
    """One of ``inputs`` or ``outputs`` as a mapping: what a component declares, and what a job binds."""

    type: Annotated[str | None, BeforeValidator(lower)] = None
    path: str | None = None
    mode: str | None = None
    description: str | None = None
    optional: bool | None = None
    default: Value = None
    min: Value = None
    max: Value = None
    enum: list[Value] | None = None
    name: str | None = None
    version: Version | None = None
    early_available: bool | None = None
    intellectual_property: Any = None
    path_on_compute: str | None = None


def _port_form(value: object) -> str:
    return "section" if isinstance(value, dict) else "literal"


PortOrValue = Annotated[
    Annotated[Value, Tag("literal")] | Annotated[Port, Tag("section")], Discriminator(_port_form)
]


class Task(validation.Section):
    """``task``."""

    older_keys: ClassVar[dict[str, str]] = {
        "scoring_script": "here it is called entry_script",
        "mini_batch_size": "it stands beside task, not in it",
        "error_threshold": "it stands beside task, not in it",
        "retry_settings": "it stands beside task, not in it",
    }

    type: Annotated[Literal["run_function", "function", "model"], BeforeValidator(lower)] = "run_function"
    code: str | None = None
    entry_script: str | None = None
    program_arguments: str | None = None
    args: str | None = None
    """What the first previews called `program_arguments`."""
    append_row_to: str | None = None
    model: str | None = None
    environment: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[InlineEnvironment, Tag("section")], Discriminator(form_of)
        ]
        | None
    ) = None


class ParallelStep(validation.Section):
    """The whole component, or the whole step."""

    older_keys: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("code", "entry_script", "environment", "program_arguments"), "it stands in task"),
        "append_row_to": "it stands in task",
        "scoring_script": "it stands in task, as entry_script",
        "max_retries": "it stands in retry_settings",
        "timeout": "it stands in retry_settings",
        "output_action": "a parallel step says task.append_row_to instead",
        "output_file_name": "a parallel step names the file as the path of an output",
    }

    schema_: str | None = Field(None, alias="$schema")
    type: Annotated[Literal["parallel"] | None, BeforeValidator(lower)] = None
    name: str | None = None
    version: Version | None = None
    display_name: str | None = None
    description: str | None = None
    experiment_name: str | None = None
    tags: Pairs | None = None
    properties: Pairs | None = None
    is_deterministic: bool | None = None
    component: str | dict[str, Any] | None = None
    inputs: dict[str, PortOrValue] | None = None
    outputs: dict[str, PortOrValue] | None = None
    compute: str | None = None
    resources: JobResources | None = None
    instance_count: Count | None = None
    identity: Any = None
    services: Any = None
    queue_settings: Any = None
    limits: Any = None
    settings: Any = None
    comment: str | None = None
    id: str | None = None
    creation_context: Pairs | None = None
    input_data: str | None = None
    mini_batch_size: Size | None = None
    partition_keys: list[str] | None = None
    mini_batch_error_threshold: Threshold | None = None
    error_threshold: Threshold | None = None
    retry_settings: RetrySettings | None = None
    max_concurrency_per_instance: Count | None = None
    logging_level: Level | None = None
    environment_variables: dict[str, Variable] | None = None
    task: Task | None = None
