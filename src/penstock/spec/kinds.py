"""What kind of Azure ML file a document is, and what to do with one that is no online deployment."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from penstock.errors import SpecError
from penstock.spec.documents import Document

MANAGED, KUBERNETES = "managed", "kubernetes"

_DEPLOYMENT_SCHEMAS = {
    "managedOnlineDeployment": MANAGED,
    "kubernetesOnlineDeployment": KUBERNETES,
    "onlineDeployment": MANAGED,
}

_LATER = "penstock serve takes online deployments"
_ENDPOINT = ("an online endpoint", "serve its deployment's YAML, the one with endpoint_name and model")
_BATCH = ("a batch deployment", f"{_LATER}; batch scoring is not here yet")
_PIPELINE = ("a pipeline job", f"{_LATER}; pipelines are not here yet")
_JOB = ("a job", f"{_LATER}; jobs are not here yet")
_MODEL = ("a model", "serve the model itself: penstock serve with the path that stands in this file")
_ENVIRONMENT = ("an environment", "penstock serve model.pkl --environment with the conda file named here")
_CONDA = ("a conda environment", "give it with --environment, and serve a model or a deployment")
_COMPONENT = ("a component", f"{_LATER}; components are not here yet")

_OTHER_SCHEMAS = {
    "managedOnlineEndpoint": _ENDPOINT,
    "kubernetesOnlineEndpoint": _ENDPOINT,
    "onlineEndpoint": _ENDPOINT,
    "batchEndpoint": ("a batch endpoint", f"{_LATER}; batch scoring is not here yet"),
    "batchDeployment": _BATCH,
    "modelBatchDeployment": _BATCH,
    "pipelineComponentBatchDeployment": _BATCH,
    "pipelineJob": _PIPELINE,
    "commandJob": _JOB,
    "sweepJob": _JOB,
    "autoMLJob": _JOB,
    "parallelJob": _JOB,
    "commandComponent": _COMPONENT,
    "parallelComponent": _COMPONENT,
    "pipelineComponent": _COMPONENT,
    "model": _MODEL,
    "environment": _ENVIRONMENT,
    "schedule": ("a schedule", f"{_LATER}; schedules are not here yet"),
    "monitorSchedule": ("a monitoring schedule", f"{_LATER}; monitoring is not here yet"),
    "data": ("a data asset", _LATER),
    "amlCompute": ("a compute", _LATER),
    "workspace": ("a workspace", _LATER),
    "modelPackage": ("a model package", f"{_LATER}, with the model inline"),
}

_SIGNS = (
    (("apiVersion", "kind"), ("a Kubernetes manifest", _LATER)),
    (("create_monitor",), _OTHER_SCHEMAS["monitorSchedule"]),
    (("trigger",), _OTHER_SCHEMAS["schedule"]),
    (("create_job",), _OTHER_SCHEMAS["schedule"]),
    (("jobs",), _PIPELINE),
    (("command",), _JOB),
    (("mini_batch_size",), _BATCH),
    (("output_action",), _BATCH),
    (("auth_mode",), _ENDPOINT),
    (("traffic",), _ENDPOINT),
    (("flavors", "artifact_path"), ("an MLflow MLmodel file", "serve the folder it lies in")),
    (("flavors", "model_uuid"), ("an MLflow MLmodel file", "serve the folder it lies in")),
    (("dependencies",), _CONDA),
    (("channels",), _CONDA),
    (("services",), ("a Docker Compose file", _LATER)),
)
"""Keys that together tell what a file without a schema is."""

_DEPLOYMENT_KEYS = (
    "endpoint_name",
    "code_configuration",
    "model",
    "instance_type",
    "instance_count",
    "environment",
)


def deployment_kind(document: Document) -> str:
    """``managed`` or ``kubernetes``, as `type` says, or ``$schema``, or the keys. Raises SpecError for any
    other kind of file, saying what it is and what to do."""
    data = document.data
    schema = _schema_name(data)
    said = str(data.get("type", "")).lower()
    looks = any(key in data for key in _DEPLOYMENT_KEYS)
    if said in {MANAGED, KUBERNETES} and (looks or schema in _DEPLOYMENT_SCHEMAS):
        return said
    if schema in _DEPLOYMENT_SCHEMAS:
        return _checked_type(document, _DEPLOYMENT_SCHEMAS[schema])
    other = _OTHER_SCHEMAS.get(schema) or _by_signs(data)
    if other is None and looks:
        return _checked_type(document, MANAGED)
    if other is None and "path" in data:
        other = _MODEL
    if other is None and {"image", "build", "conda_file"} & set(data):
        other = _ENVIRONMENT
    if other is _ENDPOINT and "code_configuration" in data:
        return _checked_type(document, MANAGED)  # a deployment with the endpoint's $schema pasted on top
    if other is not None:
        noun, advice = other
        raise SpecError(f"this is {noun}, not an online deployment", file=document.file, hint=advice)
    raise SpecError(
        f"this is no online deployment: it has neither endpoint_name nor model, but {_some(data)}",
        file=document.file,
        hint="an online deployment has name, endpoint_name, model, code_configuration and environment",
    )


def _checked_type(document: Document, kind: str) -> str:
    """`kind`, unless `type` says something that no online deployment is."""
    said = document.data.get("type")
    if said is None or (isinstance(said, str) and said.lower() in {MANAGED, KUBERNETES}):
        return str(said).lower() if said else kind
    near = difflib.get_close_matches(str(said), [MANAGED, KUBERNETES], n=1)
    question = f"; did you mean {near[0]}?" if near else ""
    raise document.error(f"must be managed or kubernetes, found {said!r}{question}", "type")


def _schema_name(data: Mapping[str, Any]) -> str:
    """``https://.../latest/managedOnlineDeployment.schema.json`` -> ``managedOnlineDeployment``."""
    last = str(data.get("$schema", "")).rstrip("/").rpartition("/")[2]
    return last.partition(".")[0]


def _by_signs(data: Mapping[str, Any]) -> tuple[str, str] | None:
    for keys, other in _SIGNS:
        if all(key in data for key in keys):
            return other
    return None


def _some(data: Mapping[str, Any]) -> str:
    names = list(data)[:5]
    return ", ".join(names) + (" and more" if len(data) > len(names) else "") if names else "no keys"
