"""What kind of Azure ML file a document is, and what each command does with one that is not for it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from penstock.errors import SpecError
from penstock.spec.documents import Document

MANAGED, KUBERNETES = "managed", "kubernetes"
BATCH, PARALLEL, PIPELINE = "batch", "parallel", "pipeline"

_ONLINE_SCHEMAS = {
    "managedOnlineDeployment": MANAGED,
    "kubernetesOnlineDeployment": KUBERNETES,
    "onlineDeployment": MANAGED,
}

_SERVES = "penstock serve takes online deployments"
_SCORES = "penstock score takes batch deployments, parallel steps and models"


@dataclass(frozen=True)
class Kind:
    """A kind of file: what it is called, and what ``penstock serve`` and ``penstock score`` advise; `scored` is
    what `scorable_kind` says of it, or empty where it cannot be scored."""

    noun: str
    serve: str
    score: str
    scored: str = ""


def _later(noun: str, plural: str) -> Kind:
    return Kind(noun, f"{_SERVES}; {plural} are not here yet", f"{_SCORES}; {plural} are not here yet")


def _neither(noun: str) -> Kind:
    return Kind(noun, _SERVES, _SCORES)


_ENDPOINT = Kind(
    "an online endpoint",
    "serve its deployment's YAML, the one with endpoint_name and model",
    f"{_SCORES}; an endpoint's deployment names them",
)
_BATCH_ENDPOINT = Kind(
    "a batch endpoint",
    "score with its deployment's YAML, the one with endpoint_name and model: penstock score deployment.yml "
    "--input ...",
    "score with its deployment's YAML, the one with endpoint_name and model",
)
_BATCH = Kind("a batch deployment", "penstock score {file} --input ... scores with it", "", BATCH)
_PIPELINE_DEPLOYMENT = Kind(
    "a batch deployment of a pipeline",
    f"{_SERVES}; pipelines are not here yet",
    "pipelines are not here yet; a step that scores can be given by itself: its model, a type: model "
    "deployment, or a type: parallel step",
)
_PARALLEL = Kind("a parallel step", "penstock score {file} --input ... scores with it", "", PARALLEL)
_PIPELINE = Kind("a pipeline job", f"{_SERVES}; pipelines are not here yet", "", PIPELINE)
_JOB = _later("a job", "jobs")
_COMPONENT = _later("a component", "components")
_MODEL = Kind(
    "a model",
    "serve the model itself: penstock serve with the path that stands in this file",
    "score with the model itself: penstock score with the path that stands in this file",
)
_ENVIRONMENT = Kind(
    "an environment",
    "penstock serve model.pkl --environment with the conda file named here",
    "penstock score model.pkl --environment with the conda file named here",
)
_CONDA = Kind(
    "a conda environment",
    "give it with --environment, and serve a model or a deployment",
    "give it with --environment, and score with a model or a deployment",
)
_MLMODEL = Kind("an MLflow MLmodel file", "serve the folder it lies in", "score with the folder it lies in")
_SCHEDULE = _later("a schedule", "schedules")
_MONITOR = Kind(
    "a monitoring schedule",
    f"{_SERVES}; monitoring is not here yet",
    f"{_SCORES}; monitoring is not here yet",
)
_MLTABLE = Kind(
    "an MLTable", f"{_SERVES}", "it is data: penstock score MODEL --input with the folder that holds it"
)
_DATA = Kind("a data asset", _SERVES, "it is data: penstock score MODEL --input with the path named here")

_OTHER_SCHEMAS = {
    "managedOnlineEndpoint": _ENDPOINT,
    "kubernetesOnlineEndpoint": _ENDPOINT,
    "onlineEndpoint": _ENDPOINT,
    "batchEndpoint": _BATCH_ENDPOINT,
    "batchDeployment": _BATCH,
    "modelBatchDeployment": _BATCH,
    "pipelineComponentBatchDeployment": _PIPELINE_DEPLOYMENT,
    "pipelineJob": _PIPELINE,
    "commandJob": _JOB,
    "sweepJob": _JOB,
    "autoMLJob": _JOB,
    "parallelJob": _PARALLEL,
    "commandComponent": _COMPONENT,
    "parallelComponent": _PARALLEL,
    "pipelineComponent": _COMPONENT,
    "model": _MODEL,
    "environment": _ENVIRONMENT,
    "schedule": _SCHEDULE,
    "monitorSchedule": _MONITOR,
    "data": _DATA,
    "MLTable": _MLTABLE,
    "amlCompute": _neither("a compute"),
    "workspace": _neither("a workspace"),
    "modelPackage": Kind(
        "a model package", f"{_SERVES}, with the model inline", f"{_SCORES}, with the model inline"
    ),
}

_SIGNS = (
    (("apiVersion", "kind"), _neither("a Kubernetes manifest")),
    (("create_monitor",), _MONITOR),
    (("trigger",), _SCHEDULE),
    (("create_job",), _SCHEDULE),
    (("job_definition",), _PIPELINE_DEPLOYMENT),
    (("component", "endpoint_name"), _PIPELINE_DEPLOYMENT),
    (("jobs",), _PIPELINE),
    (("task", "input_data"), _PARALLEL),
    (("command",), _JOB),
    (("mini_batch_size",), _BATCH),
    (("output_action",), _BATCH),
    (("settings", "endpoint_name"), _BATCH),
    (("compute", "endpoint_name"), _BATCH),
    (("auth_mode",), _ENDPOINT),
    (("traffic",), _ENDPOINT),
    (("flavors", "artifact_path"), _MLMODEL),
    (("flavors", "model_uuid"), _MLMODEL),
    (("dependencies",), _CONDA),
    (("channels",), _CONDA),
    (("services",), _neither("a Docker Compose file")),
    (("paths", "transformations"), _MLTABLE),
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
    found = _kind_of(document)
    if isinstance(found, str):
        return found
    if found is not None:
        raise SpecError(
            f"this is {found.noun}, not an online deployment",
            file=document.file,
            hint=found.serve.format(file=document.file),
        )
    raise SpecError(
        f"this is no online deployment: it has neither endpoint_name nor model, but {_some(document.data)}",
        file=document.file,
        hint="an online deployment has name, endpoint_name, model, code_configuration and environment",
    )


def scorable_kind(document: Document) -> str:
    """``batch`` (a model's batch deployment), ``parallel`` (a parallel step or component), ``pipeline``, or
    ``managed`` and ``kubernetes`` (an online deployment). Raises SpecError for any other kind of file."""
    found = _batch_kind_of(document) or _kind_of(document)
    if isinstance(found, str):
        return found
    if found is not None and found.scored:
        return found.scored
    if found is not None:
        raise _not_scorable(document, found)
    raise SpecError(
        f"this is no batch deployment: it has neither endpoint_name nor model, but {_some(document.data)}",
        file=document.file,
        hint="a batch deployment has name, endpoint_name, model, and for a script code_configuration, "
        "environment and settings",
    )


def refuse(document: Document, found: str, wanted: str) -> NoReturn:
    """Raises SpecError: `document` is of the kind `found`, where `wanted` was asked for."""
    nouns = {
        BATCH: _BATCH.noun,
        PARALLEL: _PARALLEL.noun,
        PIPELINE: _PIPELINE.noun,
        MANAGED: "an online deployment",
        KUBERNETES: "an online deployment",
    }
    raise SpecError(f"this is {nouns[found]}, not {nouns[wanted]}", file=document.file)


def _not_scorable(document: Document, found: Kind) -> SpecError:
    return SpecError(f"this is {found.noun}, not a batch deployment", file=document.file, hint=found.score)


def _batch_kind_of(document: Document) -> Kind | None:
    """What `type` says where it says more than ``$schema``: the two kinds of batch deployment share theirs, and
    a parallel step has none."""
    data = document.data
    said = str(data.get("type", "")).lower()
    schema = _schema_name(data)
    deploys = any(key in data for key in _DEPLOYMENT_KEYS)
    if said == "parallel" or ("task" in data and schema in {"", "parallelComponent", "parallelJob"}):
        return _PARALLEL
    if "job_definition" in data or ("component" in data and "endpoint_name" in data):
        return _PIPELINE_DEPLOYMENT
    if said == "pipeline" and deploys and "jobs" not in data:
        return _PIPELINE_DEPLOYMENT
    if said == "model" and deploys:
        return _BATCH
    if schema == "batchEndpoint" and "model" in data:
        return _BATCH  # a deployment with the endpoint's $schema pasted on top, as some samples have it
    return None


def _kind_of(document: Document) -> str | Kind | None:
    """``managed``, ``kubernetes``, the Kind of another file, or None where nothing tells."""
    data = document.data
    schema = _schema_name(data)
    said = str(data.get("type", "")).lower()
    looks = any(key in data for key in _DEPLOYMENT_KEYS)
    if said in {MANAGED, KUBERNETES} and (looks or schema in _ONLINE_SCHEMAS):
        return said
    if schema in _ONLINE_SCHEMAS:
        return _checked_type(document, _ONLINE_SCHEMAS[schema])
    other = _batch_kind_of(document) or _OTHER_SCHEMAS.get(schema) or _by_signs(data)
    if other is None and looks:
        return _checked_type(document, MANAGED)
    if other is None and "path" in data:
        other = _DATA if said in {"uri_file", "uri_folder"} else _MLTABLE if said == "mltable" else _MODEL
    if other is None and {"image", "build", "conda_file"} & set(data):
        other = _ENVIRONMENT
    if other is _ENDPOINT and "code_configuration" in data:
        return _checked_type(document, MANAGED)  # a deployment with the endpoint's $schema pasted on top
    return other


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


def _by_signs(data: Mapping[str, Any]) -> Kind | None:
    for keys, other in _SIGNS:
        if all(key in data for key in keys):
            return other
    return None


def _some(data: Mapping[str, Any]) -> str:
    names = list(data)[:5]
    return ", ".join(names) + (" and more" if len(data) > len(names) else "") if names else "no keys"
