"""An Azure ML batch deployment of a model as people write it: the YAML v2 schema, with ``type: model`` and without.

Keys, types and enumerations are those of the CLI's published schema and reference pages; what they mean on one
machine is `penstock.spec.batch_deployments`' business. Without ``type`` the settings stand at the root, with it
under `settings`; the CLI takes either at both.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from penstock.spec import durations, validation
from penstock.spec.deployment_schema import (
    CodeConfiguration,
    Count,
    InlineEnvironment,
    InlineModel,
    Pairs,
    Quantity,
    Variable,
    form_of,
    lower,
    no_bool,
)

Threshold = Annotated[int, BeforeValidator(no_bool), Field(ge=-1)]
Timeout = Annotated[float, BeforeValidator(durations.read), Field(gt=0, allow_inf_nan=False)]
"""Seconds, or an ISO 8601 duration, as ``show`` prints it (``PT30S``)."""


def _level(value: object) -> object:
    """`logging`'s names in any case, and the two that it has twice."""
    if not isinstance(value, str):
        return value
    return {"warn": "warning", "fatal": "critical"}.get(value.lower(), value.lower())


Level = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_level)]


class RetrySettings(validation.Section):
    """``retry_settings``."""

    max_retries: Annotated[int, BeforeValidator(no_bool), Field(ge=0)] | None = None
    timeout: Timeout | None = None


class JobResources(validation.Section):
    """``resources`` of a job or a batch deployment."""

    instance_count: Count | None = None
    instance_type: str | list[str] | None = None
    max_instance_count: Count | None = None
    shm_size: Quantity | None = None
    docker_args: str | list[str] | None = None
    locations: list[str] | None = None
    properties: Pairs | None = None


class Compute(validation.Section):
    """``compute`` as the first previews had it."""

    target: str | None = None
    instance_count: Count | None = None
    instance_type: str | None = None
    location: str | None = None


class BatchSettings(validation.Section):
    """What stands at the root without ``type``, and under `settings` with it."""

    mini_batch_size: Count | None = None
    max_concurrency_per_instance: Count | None = None
    error_threshold: Threshold | None = None
    logging_level: Level | None = None
    output_action: Annotated[Literal["append_row", "summary_only"] | None, BeforeValidator(lower)] = None
    output_file_name: str | None = None
    retry_settings: RetrySettings | None = None
    environment_variables: dict[str, Variable] | None = None


class NestedSettings(BatchSettings):
    """``settings``."""

    older_keys: ClassVar[dict[str, str]] = {
        "resources": "it stands beside settings, not in it",
        "compute": "it stands beside settings, not in it",
        "max_retries": "it stands in retry_settings",
        "timeout": "it stands in retry_settings",
        **dict.fromkeys(
            ("default_compute", "default_datastore", "continue_on_step_failure", "force_rerun"),
            "that is a setting of type: pipeline",
        ),
    }

    instance_count: Count | None = None


class ModelBatchDeployment(BatchSettings):
    """The whole file."""

    older_keys: ClassVar[dict[str, str]] = {
        "scoring_script": "it stands in code_configuration",
        "code": "it stands in code_configuration, with scoring_script",
        "conda_file": "it stands in environment",
        "image": "it stands in environment",
        "path": "the model's path stands in model",
        "instance_count": "it stands in resources",
        "instance_type": "it stands in resources",
        "max_retries": "it stands in retry_settings",
        "timeout": "it stands in retry_settings",
        "mini_batch_error_threshold": "only a parallel step has it; a batch deployment has error_threshold",
        **dict.fromkeys(("auth_mode", "defaults", "traffic"), "it stands in the endpoint's own YAML"),
        **dict.fromkeys(
            ("request_settings", "liveness_probe", "readiness_probe", "scale_settings"),
            "only online deployments have it",
        ),
    }

    schema_: str | None = Field(None, alias="$schema")
    name: str | None = None
    endpoint_name: str | None = None
    type: Annotated[Literal["model"] | None, BeforeValidator(lower)] = None
    description: str | None = None
    tags: Pairs | None = None
    properties: Pairs | None = None
    model: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[InlineModel, Tag("section")], Discriminator(form_of)
        ]
        | None
    ) = None
    code_configuration: CodeConfiguration | None = None
    environment: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[InlineEnvironment, Tag("section")], Discriminator(form_of)
        ]
        | None
    ) = None
    compute: (
        Annotated[Annotated[str, Tag("text")] | Annotated[Compute, Tag("section")], Discriminator(form_of)]
        | None
    ) = None
    resources: JobResources | None = None
    settings: NestedSettings | None = None
    partition_keys: list[str] | None = None
    id: str | None = None
    provisioning_state: str | None = None
    creation_context: Pairs | None = None
    app_insights_enabled: Any = None
