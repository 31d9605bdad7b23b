"""From an Azure ML online deployment YAML to a `Draft`: what each key means on one machine.

What means nothing here is named once in the notes. What Azure ML would do and we cannot (fetch a registered
model, run a Dockerfile) is an error that says what to give instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penstock.bundle.manifest import ModelSource
from penstock.spec import (
    deployment_code,
    deployment_environments,
    deployment_models,
    deployment_names,
    deployment_variables,
    documents,
    effects,
    kinds,
    limits,
    validation,
)
from penstock.spec.deployment_schema import (
    KubernetesOnlineDeployment,
    ManagedOnlineDeployment,
    OnlineDeployment,
    RequestSettings,
)
from penstock.spec.documents import Document
from penstock.spec.drafts import Draft

REQUEST_TIMEOUT_MS = 5000
"""Azure ML's default, which a script may rely on to be cut off."""

LONGEST_REQUEST_MS = {kinds.MANAGED: 180_000, kinds.KUBERNETES: 300_000}

MAX_QUEUE_WAIT_MS = 500
"""Azure ML's default on Kubernetes; managed endpoints no longer look at it."""

_WITHOUT_EFFECT = (
    "instance_type",
    "model_mount_path",
    "app_insights_enabled",
    "egress_public_network_access",
    "private_network_connection",
    "readiness_probe",
    "scale_settings.max_instances",
    "scale_settings.target_utilization_percentage",
    "scale_settings.polling_interval",
    "resources.requests",
    "resources.limits.cpu",
    "resources.limits.gpu",
    "resources.limits.nvidia.com/gpu",
    "environment.inference_config",
    "environment.os_type",
)
"""Key paths that are accepted and mean nothing on one machine."""


def read(file: str, *, model_given: bool = False, environment_given: bool = False) -> Draft:
    """What the deployment YAML `file` says; paths in it are relative to its folder.

    `model_given`, `environment_given`: the command line replaces them, so that what the file names need not
    be there. Raises SpecError.
    """
    document = documents.read_yaml(file)
    kind = kinds.deployment_kind(document)
    document, spelling_notes = _respelt(document)
    schema = KubernetesOnlineDeployment if kind == kinds.KUBERNETES else ManagedOnlineDeployment
    spec = validation.validated(document, schema)
    notes = [*spelling_notes, *_check_limits(document, spec, kind)]
    code = deployment_code.read(document, spec.code_configuration)
    model = None
    if spec.model is not None and not model_given:
        model = deployment_models.read(document, spec.model)
    environment = None
    if spec.environment is not None and not environment_given:
        environment, more = deployment_environments.read(
            document, spec.environment, served_by_us=code is not None or _is_mlflow(model)
        )
        notes += more
    elif spec.environment is None and not environment_given and code is not None:
        notes.append(f"{file} names no environment: the script runs on the current interpreter")
    if code is None and model is None and not model_given:
        raise document.error(
            "there is neither a model nor a code_configuration, so there is nothing to serve",
            hint="where the image brings model and server, run the image; else give the model with --model",
        )
    return Draft(
        name=deployment_names.name_of(document, spec.name),
        model=model,
        code=code,
        variables=deployment_variables.read(document, spec.environment_variables),
        environment=environment,
        settings=_settings(document, spec, kind),
        notes=(*notes, *_setting_notes(document, spec, kind), *effects.notes(document, _WITHOUT_EFFECT)),
    )


def _is_mlflow(model: ModelSource | None) -> bool:
    return model is not None and model.format == "mlflow"


def _respelt(document: Document) -> tuple[Document, list[str]]:
    """`scale_setting`, as one page of Azure ML's reference spells it, is read as `scale_settings`."""
    data = document.data
    if "scale_setting" not in data or "scale_settings" in data:
        return document, []
    fixed = {"scale_settings" if key == "scale_setting" else key: value for key, value in data.items()}
    lines = {
        (("scale_settings", *path[1:]) if path[:1] == ("scale_setting",) else path): line
        for path, line in document.lines.items()
    }
    note = f"{document.file}:{document.line_of(('scale_setting',))}: scale_setting is read as scale_settings"
    respelt = Document(
        file=document.file, folder=document.folder, data=fixed, lines=lines, texts=document.texts
    )
    return respelt, [note]


def _check_limits(document: Document, spec: OnlineDeployment, kind: str) -> list[str]:
    """Raises SpecError for what Azure ML would refuse; returns notes on what does not matter here."""
    notes = deployment_names.check(document, spec.name, spec.endpoint_name)
    longest = LONGEST_REQUEST_MS[kind]
    timeout = spec.request_settings.request_timeout_ms if spec.request_settings else None
    if timeout is not None and timeout > longest:
        raise document.error(
            f"must be at most {longest} for a {kind} deployment, found {timeout}",
            "request_settings",
            "request_timeout_ms",
            hint="--request-timeout can be longer" if kind == kinds.MANAGED else "",
        )
    scale = spec.scale_settings
    if scale is not None and kind == kinds.MANAGED and scale.type != "default":
        raise document.error(
            f"must be default for a managed deployment, found {scale.type}",
            "scale_settings",
            "type",
            hint="target_utilization is for type: kubernetes",
        )
    if scale is not None and scale.max_instances is not None and scale.max_instances < _instances(spec):
        raise document.error(
            f"max_instances {scale.max_instances} is less than {_instances(spec)} instances to begin with",
            "scale_settings",
        )
    memory = _memory_limit(spec)
    if memory and limits.memory_bytes(memory) is None:
        raise document.error(
            f"must be a quantity of memory such as 500Mi or 2Gi, found {memory!r}",
            "resources",
            "limits",
            "memory",
        )
    return notes


def _settings(document: Document, spec: OnlineDeployment, kind: str) -> dict[str, Any]:
    """Fields of `Settings`. Instances are workers, as many for each as WORKER_COUNT says, which Azure ML's
    server reads inside the container."""
    per_instance = _worker_count(document, spec)
    instances = _instances(spec)
    asked = spec.request_settings or RequestSettings()
    settings: dict[str, Any] = {
        "workers": instances * per_instance,
        "request_timeout_ms": asked.request_timeout_ms or REQUEST_TIMEOUT_MS,
    }
    concurrent = asked.max_concurrent_requests_per_instance
    if concurrent is not None:
        settings["max_queue"] = limits.queue_length(concurrent, instances, settings["workers"])
    if kind == kinds.KUBERNETES:
        wait = asked.max_queue_wait_ms
        settings["max_queue_wait_ms"] = MAX_QUEUE_WAIT_MS if wait is None else wait
    probe = spec.liveness_probe
    if probe is not None:
        settings["start_timeout_s"] = limits.start_timeout_s(
            probe.initial_delay, probe.period, probe.timeout, probe.failure_threshold
        )
    return settings


def _instances(spec: OnlineDeployment) -> int:
    scale = spec.scale_settings
    if scale is not None and scale.type == "target_utilization":
        return max(1, scale.min_instances or 1)
    return spec.instance_count or 1


def _worker_count(document: Document, spec: OnlineDeployment) -> int:
    said = (spec.environment_variables or {}).get("WORKER_COUNT", "1")
    if not said.isdecimal() or int(said) < 1:
        raise document.error(
            f"must be a number of workers, found {said!r}", "environment_variables", "WORKER_COUNT"
        )
    return int(said)


def _memory_limit(spec: OnlineDeployment) -> str:
    if isinstance(spec, KubernetesOnlineDeployment) and spec.resources and spec.resources.limits:
        return spec.resources.limits.memory or ""
    return ""


def _setting_notes(document: Document, spec: OnlineDeployment, kind: str) -> Iterator[str]:
    memory = _memory_limit(spec)
    if memory:
        yield (
            f"{document.file}: resources.limits.memory {memory} is not enforced here; --memory-limit replaces "
            "workers that grow beyond a size"
        )
    if spec.data_collector is not None:
        yield (
            f"{document.file}: data_collector decides nothing here: what a script gives to a Collector is kept in "
            "the folder that PENSTOCK_COLLECTION_DIR names, and requests and answers are not collected"
        )
    asked = spec.request_settings
    if asked is None:
        return
    if asked.max_queue_wait_ms is not None and kind == kinds.MANAGED:
        yield (
            f"{document.file}: request_settings.max_queue_wait_ms is deprecated for managed deployments and has "
            "no effect; request_timeout_ms covers the wait"
        )
    if asked.max_concurrent_requests_per_instance is not None:
        in_flight = 2 * asked.max_concurrent_requests_per_instance * _instances(spec)
        yield (
            f"{document.file}: max_concurrent_requests_per_instance: about {in_flight} requests may be in flight, "
            "more get 429, as on Azure ML; --max-queue allows more to wait"
        )
