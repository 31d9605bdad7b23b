"""From an Azure ML batch deployment YAML to a `BatchDraft`: what each key means on one machine.

What means nothing here is named once in the notes. What Azure ML would do and we cannot (fetch a registered
model, run a pipeline) is an error that says what to give instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.bundle.manifest import Code, ModelSource
from penstock.spec import (
    deployment_code,
    deployment_environments,
    deployment_models,
    deployment_names,
    deployment_variables,
    documents,
    effects,
    kinds,
    paths,
    validation,
)
from penstock.spec.batch_deployment_schema import BatchSettings, Compute, ModelBatchDeployment, RetrySettings
from penstock.spec.batch_drafts import BatchDraft
from penstock.spec.documents import Document, KeyPath
from penstock.spec.drafts import Draft, EnvironmentChoice

MINI_BATCH_SIZE = 10
"""Files."""
MAX_RETRIES = 3
TIMEOUT_S = 30.0
ERROR_THRESHOLD = -1
LOGGING_LEVEL = "INFO"
OUTPUT_FILE_NAME = "predictions.csv"

_WITHOUT_EFFECT = (
    "compute",
    "app_insights_enabled",
    "resources.instance_type",
    "resources.max_instance_count",
    "resources.shm_size",
    "resources.docker_args",
    "resources.locations",
    "resources.properties",
    "environment.inference_config",
    "environment.os_type",
)
"""Key paths that are accepted and mean nothing on one machine."""


def read(file: str, *, model_given: bool = False, environment_given: bool = False) -> BatchDraft:
    """What the batch deployment YAML `file` says; paths in it are relative to its folder.

    `model_given`, `environment_given`: the command line replaces them, so that what the file names need not
    be there. Raises SpecError.
    """
    document = documents.read_yaml(file)
    kind = kinds.scorable_kind(document)
    if kind != kinds.BATCH:
        kinds.refuse(document, kind, kinds.BATCH)
    spec = validation.validated(document, ModelBatchDeployment)
    notes = deployment_names.check(document, spec.name, spec.endpoint_name)
    settings, more = _settings(document, spec)
    notes += more
    code = deployment_code.read(document, spec.code_configuration)
    model = None
    if spec.model is not None and not model_given:
        model = deployment_models.read(document, spec.model)
    if code is None and model is None and not model_given:
        raise document.error(
            "there is neither a model nor a code_configuration, so there is nothing to score with",
            hint="write model: {path: ...}, or give the model with --model",
        )
    environment, more = _environment(document, spec, code, model, given=environment_given)
    notes += more
    partitioned = {"partition_keys": tuple(spec.partition_keys)} if spec.partition_keys else {}
    draft = Draft(
        name=deployment_names.name_of(document, spec.name),
        model=model,
        code=code,
        variables=_variables(document, spec),
        environment=environment,
        notes=(*notes, *effects.notes(document, _WITHOUT_EFFECT)),
    )
    return BatchDraft(
        draft=draft,
        batch={**_batch(settings, workers=_instances(document, spec), code=code), **partitioned},
        output={"form": _form(code), "mode": "skip"},
        ignores_names=True,
        output_file_name=_file_name(document, spec, settings),
    )


def _settings(document: Document, spec: ModelBatchDeployment) -> tuple[BatchSettings, list[str]]:
    """The settings of both places as one, and notes. Under `settings` they win, as they do for Azure ML, which
    with ``type: model`` looks at nothing else."""
    nested = spec.settings
    if nested is None:
        return spec, []
    notes = []
    merged: dict[str, Any] = {}
    for name in BatchSettings.model_fields:
        outer, inner = getattr(spec, name), getattr(nested, name)
        merged[name] = outer if inner is None else inner
        if isinstance(outer, RetrySettings) and isinstance(inner, RetrySettings):
            merged[name] = outer.model_copy(update=inner.model_dump(exclude_none=True))
        if isinstance(outer, Mapping) and isinstance(inner, Mapping):
            merged[name] = {**outer, **inner}
        if outer is not None and inner is not None and outer != inner:
            at_root, under = document.line_of((name,)), document.line_of(("settings", name))
            notes.append(
                f"{document.file}: {name} stands on line {at_root} and, with other values, under settings on line "
                f"{under}; what stands under settings wins"
            )
    return BatchSettings(**merged), notes


def _instances(document: Document, spec: ModelBatchDeployment) -> int:
    """How many machines were asked for. Raises SpecError where two places say so, as Azure ML does."""
    said = spec.settings.instance_count if spec.settings else None
    if said is not None and spec.resources is not None:
        raise document.error(
            "cannot stand here beside resources",
            "settings",
            "instance_count",
            hint="keep resources.instance_count, and remove this one",
        )
    of_resources = spec.resources.instance_count if spec.resources else None
    of_compute = spec.compute.instance_count if isinstance(spec.compute, Compute) else None
    return said or of_resources or of_compute or 1


def _batch(settings: BatchSettings, *, workers: int, code: Code | None) -> dict[str, Any]:
    """Fields of `penstock.bundle.batch.BatchSettings`; workers are the processes of all instances together."""
    retries = settings.retry_settings or RetrySettings()
    threshold = settings.error_threshold
    return {
        "workers": workers * (settings.max_concurrency_per_instance or 1),
        "mini_batch_size": settings.mini_batch_size or MINI_BATCH_SIZE,
        "mini_batch_unit": "files",
        "takes": "arrow" if code is None else "files",
        "max_retries": MAX_RETRIES if retries.max_retries is None else retries.max_retries,
        "timeout_s": TIMEOUT_S if retries.timeout is None else retries.timeout,
        "error_threshold": ERROR_THRESHOLD if threshold is None else threshold,
        "logging_level": (settings.logging_level or LOGGING_LEVEL).upper(),
        "fail_if_none_succeeded": True,
        "azure": True,
    }


def _form(code: Code | None) -> str:
    """How results are written. A model without a script is scored as Azure ML scores MLflow's. They are written
    even if all that matters a script writes for itself (``summary_only``): they say what was processed."""
    return "append-row" if code is not None else "append-row-mlflow"


def _file_name(document: Document, spec: ModelBatchDeployment, settings: BatchSettings) -> str:
    """Raises SpecError where it is no plain file name: results stay in the output folder."""
    nested = spec.settings is not None and spec.settings.output_file_name is not None
    key: KeyPath = ("settings", "output_file_name") if nested else ("output_file_name",)
    return plain_file_name(document, settings.output_file_name, key) or OUTPUT_FILE_NAME


def plain_file_name(document: Document, name: str | None, key: KeyPath) -> str:
    """`name`, or empty where nothing is said. Raises SpecError where it is more than a file's name."""
    if name is None:
        return ""
    if not name or name in {".", ".."} or set(name) & set("/\\\0"):
        raise document.error(
            f"must be a file name without a folder, found {name!r}",
            *key,
            hint="--output says in which folder it lies",
        )
    return name


def _variables(document: Document, spec: ModelBatchDeployment) -> dict[str, str]:
    variables = deployment_variables.read(document, spec.environment_variables)
    under = ("settings", "environment_variables")
    nested = spec.settings.environment_variables if spec.settings else None
    return {**variables, **deployment_variables.read(document, nested, under=under)}


def _environment(
    document: Document,
    spec: ModelBatchDeployment,
    code: Code | None,
    model: ModelSource | None,
    *,
    given: bool,
) -> tuple[EnvironmentChoice | None, list[str]]:
    if given:
        return None, []
    if spec.environment is not None:
        return deployment_environments.read(document, spec.environment, served_by_us=True)
    if code is None:
        return None, []
    if model is not None and paths.is_file(Path(model.path, "MLmodel")):
        raise document.error(
            "is missing: a scoring script on an MLflow model needs an environment that holds what both import",
            "environment",
            hint="write environment: {conda_file: ...}, or give --environment FILE, or --environment current",
        )
    return None, [f"{document.file} names no environment: the script runs on the current interpreter"]
