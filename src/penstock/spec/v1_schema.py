"""``inferenceconfig.json`` and ``deploymentconfig.json`` of Azure ML's v1 command line, as people write them.

Keys are those of the v1 reference, in its camelCase. Words are compared in any case, as v1 does.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic.alias_generators import to_camel

from penstock.spec import validation
from penstock.spec.deployment_schema import Count, Milliseconds, Quantity, Switch, Variable, Version


class Section(validation.Section):
    """Keys in camelCase."""

    model_config = pydantic.ConfigDict(alias_generator=to_camel)


def _form(value: object) -> str:
    return "text" if isinstance(value, str) else "section"


class Docker(Section):
    """``environment.docker``: what concerns the container, which there is not."""

    arguments: list[str] | None = None
    base_dockerfile: str | None = None
    base_image: str | None = None
    build_context: Any = None
    enabled: Switch | None = None
    shared_volumes: Switch | None = None
    shm_size: Quantity | None = None
    gpu_support: Switch | None = None
    platform: dict[str, Any] | None = None
    base_image_registry: dict[str, Any] | None = None


class Python(Section):
    """``environment.python``."""

    user_managed_dependencies: Switch | None = None
    interpreter_path: str | None = None
    conda_dependencies_file: str | None = None
    conda_dependencies: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[dict[str, Any], Tag("section")], Discriminator(_form)
        ]
        | None
    ) = None
    base_conda_environment: str | None = None


class Environment(Section):
    """``environment``; more keys than the reference has are those that an export writes."""

    name: str | None = None
    version: Version | None = None
    environment_variables: dict[str, Variable] | None = None
    docker: Docker | None = None
    python: Python | None = None
    inferencing_stack_version: Version | None = None
    spark: Any = None
    databricks: Any = None
    r: Any = None
    asset_id: str | None = None
    auto_rebuild: Switch | None = None


class InferenceConfig(Section):
    """``inferenceconfig.json``; the keys from `runtime` on are those of the first releases."""

    entry_script: str
    source_directory: str | None = None
    environment: Environment | None = None
    description: str | None = None
    runtime: str | None = None
    conda_file: str | None = None
    extra_docker_file_steps: str | None = Field(None, alias="extraDockerfileSteps")
    enable_gpu: Switch | None = None
    cuda_version: Version | None = None
    base_image: str | None = None
    base_image_registry: dict[str, Any] | str | None = None


class Resources(Section):
    """``containerResourceRequirements``."""

    cpu: Annotated[float, Field(gt=0)] | None = None
    cpu_limit: Annotated[float, Field(gt=0)] | None = None
    memory_in_gb: Annotated[float, Field(gt=0)] | None = Field(None, alias="memoryInGB")
    memory_in_gb_limit: Annotated[float, Field(gt=0)] | None = Field(None, alias="memoryInGBLimit")
    gpu: Count | None = None


class AutoScaler(Section):
    """``autoScaler``."""

    autoscale_enabled: Switch | None = None
    min_replicas: Count | None = None
    max_replicas: Count | None = None
    refresh_period_in_seconds: Count | None = None
    target_utilization: Annotated[int, Field(ge=1, le=100)] | None = None


class Keys(Section):
    """``keys``."""

    primary_key: str | None = None
    secondary_key: str | None = None


class LivenessProbe(Section):
    """``livenessProbeRequirements``; defaults are v1's."""

    period_seconds: Count = 10
    initial_delay_seconds: Count = 310
    timeout_seconds: Count = 2
    success_threshold: Count = 1
    failure_threshold: Count = 3


class DataCollection(Section):
    """``dataCollection``."""

    storage_enabled: Switch | None = None


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class LocalConfig(Section):
    """``computeType: local``."""

    compute_type: Annotated[Literal["local"], BeforeValidator(_lower)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None


class AciConfig(Section):
    """``computeType: aci``."""

    compute_type: Annotated[Literal["aci"], BeforeValidator(_lower)]
    container_resource_requirements: Resources | None = None
    location: str | None = None
    auth_enabled: Switch = False
    ssl_enabled: Switch | None = None
    ssl_certificate: str | None = None
    ssl_key: str | None = None
    cname: str | None = None
    dns_name_label: str | None = None
    app_insights_enabled: Switch | None = None
    keys: Keys | None = None
    tags: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    description: str | None = None
    vnet_name: str | None = None
    subnet_name: str | None = None


class AksConfig(Section):
    """``computeType: aks``."""

    older_keys: ClassVar[dict[str, str]] = {"memoryInGB": "it stands in containerResourceRequirements"}

    compute_type: Annotated[Literal["aks"], BeforeValidator(_lower)]
    container_resource_requirements: Resources | None = None
    auto_scaler: AutoScaler | None = None
    data_collection: DataCollection | None = None
    auth_enabled: Switch = True
    token_auth_enabled: Switch = False
    app_insights_enabled: Switch | None = None
    scoring_timeout_ms: Milliseconds = 60_000
    max_concurrent_requests_per_container: Count | None = None
    max_queue_wait_ms: Annotated[int, Field(ge=0)] = 500
    num_replicas: Count | None = None
    keys: Keys | None = None
    gpu_cores: Annotated[int, Field(ge=0)] | None = None
    liveness_probe_requirements: LivenessProbe | None = None
    namespace: str | None = None
    compute_target_name: str | None = None
    tags: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    description: str | None = None
