"""An Azure ML online deployment as people write it: the YAML v2 schema, managed and Kubernetes.

Keys, types, enumerations and limits are those of the CLI's published schema and reference pages; what they
mean on one machine is `penstock.spec.deployments`' business. Keys that only Azure writes (`id`,
`provisioning_state`, `creation_context`) are accepted, as people serve what ``show`` printed.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, StrictBool, Tag

from penstock.spec.validation import Section

Pairs = dict[str, Any]
"""Tags and properties: free text that is kept for people."""


def no_bool(value: object) -> object:
    """YAML's true would pass as 1."""
    if isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


def lower(value: object) -> object:
    """Azure ML compares its enumerations in any case, with or without underscores (TargetUtilization)."""
    if not isinstance(value, str):
        return value
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value).lower()


def _text_of_number(value: object) -> object:
    """Versions, and quantities such as cpu, are often written without quotes."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _variable(value: object) -> object:
    """The text that Azure ML makes of a number or a truth value: Python's."""
    return str(value) if isinstance(value, (bool, int, float)) else value


def _switch(value: object) -> object:
    """``'True'`` and ``true`` alike."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return value


Count = Annotated[int, BeforeValidator(no_bool), Field(ge=1)]
Milliseconds = Annotated[int, BeforeValidator(no_bool), Field(ge=1)]
Seconds = Annotated[int, BeforeValidator(no_bool), Field(ge=1)]
Percentage = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=100)]
Share = Annotated[float, BeforeValidator(no_bool), Field(ge=0, le=1)]
Version = Annotated[str, BeforeValidator(_text_of_number)]
Quantity = Annotated[str, BeforeValidator(_text_of_number)]
Variable = Annotated[str, BeforeValidator(_variable)]
Switch = Annotated[StrictBool, BeforeValidator(_switch)]


def form_of(value: object) -> str:
    """The tag of a union of plain text and a mapping, so that a complaint is about the one that was written."""
    return "text" if isinstance(value, str) else "section"


class InlineModel(Section):
    """``model:`` as a mapping."""

    older_keys: ClassVar[dict[str, str]] = {
        "local_path": "since CLI v2 it is called path",
        "model_uri": "since CLI v2 it is called path",
        "uri": "since CLI v2 it is called path",
        "model_format": "since CLI v2 it is type, such as type: mlflow_model",
    }

    schema_: str | None = Field(None, alias="$schema")
    name: str | None = None
    version: Version | None = None
    path: str | None = None
    type: Annotated[
        Literal["custom_model", "mlflow_model", "triton_model"] | None, BeforeValidator(lower)
    ] = None
    description: str | None = None
    flavors: Pairs | None = None
    tags: Pairs | None = None
    properties: Pairs | None = None
    stage: str | None = None
    datastore: str | None = None
    id: str | None = None
    job_name: str | None = None
    latest_version: Version | None = None
    creation_context: Pairs | None = None
    utc_time_created: str | None = None
    system_metadata: Pairs | None = None
    intellectual_property: Pairs | None = None
    default_deployment_template: Any = None
    allowed_deployment_templates: Any = None


class Build(Section):
    """``environment.build``: a folder with a Dockerfile."""

    path: str | None = None
    dockerfile_path: str | None = None


class Route(Section):
    """A path and port inside the container."""

    path: str
    port: Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=65535)]


class InferenceConfig(Section):
    """``environment.inference_config``: the routes of an image that brings its own server."""

    liveness_route: Route | None = None
    readiness_route: Route | None = None
    scoring_route: Route | None = None


class InlineEnvironment(Section):
    """``environment:`` as a mapping."""

    older_keys: ClassVar[dict[str, str]] = {
        "docker": "since CLI v2 the image stands in image, and a Dockerfile in build",
        "path": "since CLI v2 a Dockerfile's folder stands in build.path",
        "channels": "this belongs into the conda file: write conda_file with its path",
        "dependencies": "this belongs into the conda file: write conda_file with its path",
    }

    schema_: str | None = Field(None, alias="$schema")
    name: str | None = None
    version: Version | None = None
    image: str | None = None
    build: Build | None = None
    conda_file: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[dict[str, Any], Tag("section")], Discriminator(form_of)
        ]
        | None
    ) = None
    inference_config: InferenceConfig | None = None
    os_type: Annotated[Literal["linux", "windows"] | None, BeforeValidator(lower)] = None
    description: str | None = None
    tags: Pairs | None = None
    properties: Pairs | None = None
    datastore: str | None = None
    id: str | None = None
    latest_version: Version | None = None
    creation_context: Pairs | None = None
    auto_delete_setting: Pairs | None = None
    intellectual_property: Pairs | None = None


class CodeConfiguration(Section):
    """``code_configuration``."""

    older_keys: ClassVar[dict[str, str]] = {
        "local_path": "since CLI v2 code is the path itself",
        "entry_script": "since CLI v2 it is called scoring_script",
        "source_directory": "since CLI v2 it is called code",
    }
    older_mappings: ClassVar[dict[str, str]] = {"code": "since CLI v2 the path itself stands here"}

    code: str | None = None
    scoring_script: str


class RequestSettings(Section):
    """``request_settings``; the longest timeout depends on the kind of deployment."""

    request_timeout_ms: Milliseconds | None = None
    max_concurrent_requests_per_instance: Count | None = None
    max_queue_wait_ms: Annotated[int, BeforeValidator(no_bool), Field(ge=0)] | None = None


class Probe(Section):
    """``liveness_probe`` and ``readiness_probe``; seconds, at least 1 each."""

    initial_delay: Seconds = 10
    period: Seconds = 10
    timeout: Seconds = 2
    success_threshold: Count = 1
    failure_threshold: Count = 30


class LivenessProbe(Probe):
    """As Kubernetes wants it: one success is enough."""

    success_threshold: Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=1)] = 1


class ScaleSettings(Section):
    """``scale_settings``; utilisation only on Kubernetes."""

    older_keys: ClassVar[dict[str, str]] = {
        "scale_type": "since CLI v2 it is called type",
        "instance_count": "since CLI v2 it stands in the deployment itself",
    }

    type: Annotated[Literal["default", "target_utilization"], BeforeValidator(lower)]
    min_instances: Annotated[int, BeforeValidator(no_bool), Field(ge=0)] | None = None
    max_instances: Count | None = None
    target_utilization_percentage: Percentage | None = None
    polling_interval: Seconds | None = None


class ResourceQuantities(Section):
    """``resources.requests`` and ``resources.limits``."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpu: Quantity | None = None
    nvidia_gpu: Quantity | None = Field(None, alias="nvidia.com/gpu")


class Resources(Section):
    """``resources`` of a Kubernetes deployment."""

    requests: ResourceQuantities | None = None
    limits: ResourceQuantities | None = None


class CollectedData(Section):
    """Where a collection goes."""

    name: str | None = None
    path: str | None = None
    version: Version | None = None
    data_id: str | None = None


class Collection(Section):
    """One of ``data_collector.collections``."""

    enabled: Switch
    data: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[CollectedData, Tag("section")], Discriminator(form_of)
        ]
        | None
    ) = None
    client_id: str | None = None


class RequestLogging(Section):
    """``data_collector.request_logging``."""

    capture_headers: list[str] | None = None


class DataCollector(Section):
    """``data_collector``."""

    collections: dict[str, Collection] | None = None
    sampling_rate: Share | None = None
    rolling_rate: Annotated[
        Literal["minute", "hour", "day", "month", "year"] | None, BeforeValidator(lower)
    ] = None
    request_logging: RequestLogging | None = None


class OnlineDeployment(Section):
    """What both kinds share."""

    older_keys: ClassVar[dict[str, str]] = {
        "scoring_script": "it stands in code_configuration",
        "code": "it stands in code_configuration, with scoring_script",
        "conda_file": "it stands in environment",
        "image": "it stands in environment",
        "path": "the model's path stands in model",
        "request_timeout_ms": "it stands in request_settings",
        "max_concurrent_requests_per_instance": "it stands in request_settings",
        **dict.fromkeys(
            ("auth_mode", "traffic", "mirror_traffic", "compute", "identity", "public_network_access"),
            "it stands in the endpoint's own YAML",
        ),
    }

    schema_: str | None = Field(None, alias="$schema")
    name: str | None = None
    endpoint_name: str | None = None
    description: str | None = None
    tags: Pairs | None = None
    properties: Pairs | None = None
    model: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[InlineModel, Tag("section")], Discriminator(form_of)
        ]
        | None
    ) = None
    model_mount_path: str | None = None
    code_configuration: CodeConfiguration | None = None
    environment: (
        Annotated[
            Annotated[str, Tag("text")] | Annotated[InlineEnvironment, Tag("section")], Discriminator(form_of)
        ]
        | None
    ) = None
    environment_variables: dict[str, Variable] | None = None
    instance_type: str | None = None
    instance_count: Count | None = None
    app_insights_enabled: Switch | None = None
    data_collector: DataCollector | None = None
    request_settings: RequestSettings | None = None
    liveness_probe: LivenessProbe | None = None
    readiness_probe: Probe | None = None
    scale_settings: ScaleSettings | None = None
    id: str | None = None
    provisioning_state: str | None = None
    creation_context: Pairs | None = None


class ManagedOnlineDeployment(OnlineDeployment):
    """``type: managed``."""

    older_keys: ClassVar[dict[str, str]] = {
        **OnlineDeployment.older_keys,
        "resources": "only kubernetes deployments have it: write type: kubernetes",
    }

    type: Annotated[Literal["managed"] | None, BeforeValidator(lower)] = None
    egress_public_network_access: Annotated[Literal["enabled", "disabled"] | None, BeforeValidator(lower)] = (
        None
    )
    private_network_connection: Switch | None = None


class KubernetesOnlineDeployment(OnlineDeployment):
    """``type: kubernetes``."""

    older_keys: ClassVar[dict[str, str]] = {
        **OnlineDeployment.older_keys,
        "egress_public_network_access": "only managed deployments have it",
        "private_network_connection": "only managed deployments have it",
    }

    type: Annotated[Literal["kubernetes"] | None, BeforeValidator(lower)] = None
    resources: Resources | None = None
