"""From an Azure ML parallel step to a `BatchDraft`: a component, or the parallel step of a pipeline job.

A step may name a component and say some things otherwise; the component lies beside it as a file. The script
is called as a batch deployment's, with Azure ML's defaults for parallel steps, which are other ones.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock.bundle.manifest import Code, ModelSource
from penstock.errors import SpecError
from penstock.spec import (
    deployment_code,
    deployment_environments,
    deployment_variables,
    documents,
    effects,
    kinds,
    parallel_arguments,
    parallel_bindings,
    paths,
    pipeline_steps,
    placeholders,
    validation,
)
from penstock.spec.batch_deployment_schema import RetrySettings
from penstock.spec.batch_drafts import BatchDraft
from penstock.spec.documents import Document, KeyPath
from penstock.spec.drafts import Draft, EnvironmentChoice
from penstock.spec.parallel_bindings import EXPRESSION, Bindings, Bound
from penstock.spec.parallel_schema import ParallelStep, Port, Task, Value

MINI_BATCH_FILES = 1
MINI_BATCH_BYTES = 1024**2
MAX_RETRIES = 2
TIMEOUT_S = 60.0
LOGGING_LEVEL = "INFO"

_WITHOUT_EFFECT = (
    "compute",
    "identity",
    "services",
    "queue_settings",
    "limits",
    "settings",
    "resources.instance_type",
    "resources.max_instance_count",
    "resources.shm_size",
    "resources.docker_args",
    "resources.locations",
    "resources.properties",
    "task.environment.inference_config",
    "task.environment.os_type",
)


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One document that says something of the step: the step itself, or its component."""

    document: Document
    spec: ParallelStep


def read(
    file: str,
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    output_folder: str = "",
    step: str = "",
    environment_given: bool = False,
) -> BatchDraft:
    """What the component or pipeline YAML `file` says of its parallel step; paths in it are relative to it.

    `inputs` and `outputs` are values for the step's (or its pipeline's) own, by name: paths, relative to the
    working directory, or literals. An output that nobody names is a folder of its name in `output_folder`.
    `step` names the step where there are several. `environment_given`: the command line replaces it, so that
    what the file names need not be there. Raises SpecError.
    """
    document = documents.read_yaml(file)
    kind = kinds.scorable_kind(document)
    given = dict(inputs or {})
    name = ""
    notes: list[str] = []
    known: set[str] = set()
    if kind == kinds.PIPELINE:
        known = set(document.data.get("inputs") or {})
        document, name, notes = pipeline_steps.parallel_step(document, step, given)
    elif kind != kinds.PARALLEL:
        kinds.refuse(document, kind, kinds.PARALLEL)
    layers = _layers(document)
    bindings = _bindings(layers, given, dict(outputs or {}), output_folder)
    for each in given:
        if each not in bindings.inputs and each not in known:
            there = ", ".join([*bindings.inputs, *sorted(known - set(bindings.inputs))])
            raise document.error(
                f"there is no input {each}",
                "inputs",
                hint=f"there is {there}" if there else "it has no inputs",
            )
    return _draft(layers, bindings, name=name, notes=notes, environment_given=environment_given)


def _layers(document: Document) -> list[_Layer]:
    """The step, and the component that it names, if it does."""
    layer = _Layer(document=document, spec=validation.validated(document, ParallelStep))
    component = layer.spec.component
    if component is None:
        return [layer]
    if isinstance(component, dict):
        raise document.error("must be the path of the component's file", "component")
    if component.startswith("azureml:"):
        raise document.error(
            f"{component} is a registered component, and there is no registry here to ask",
            "component",
            hint="write the path of its YAML file",
        )
    path = paths.absolute(component.removeprefix("file:"), document.folder)
    if not paths.is_file(path):
        raise document.error(
            f"no file {path}", "component", hint=placeholders.hint_for(component) or paths.neighbour(path)
        )
    below = documents.read_yaml(str(path))
    kind = kinds.scorable_kind(below)
    if kind != kinds.PARALLEL:
        kinds.refuse(below, kind, kinds.PARALLEL)
    return [layer, *_layers(below)[:1]]


def _bindings(
    layers: list[_Layer], given: dict[str, str], outputs: dict[str, str], output_folder: str
) -> Bindings:
    found: dict[str, Bound] = {}
    declared: dict[str, Port] = {}
    for layer in reversed(layers):
        for name, value in (layer.spec.inputs or {}).items():
            found[name] = parallel_bindings.of_file(
                layer.document, value, declared.get(name), ("inputs", name)
            )
            if isinstance(value, Port):
                declared[name] = value
    for name in given.keys() & found.keys():
        found[name] = parallel_bindings.of_command_line(given[name], found[name].type)
    places = {
        name: str(paths.absolute(outputs[name]) if name in outputs else paths.absolute(name, output_folder))
        for layer in layers
        for name in layer.spec.outputs or {}
        if name in outputs or output_folder
    }
    if parallel_bindings.is_remote(output_folder):
        lack = f"{output_folder} is not on this machine, where the script writes"
        return Bindings(inputs=found, outputs_lack=lack)
    return Bindings(inputs=found, outputs=places)


def _said(layers: list[_Layer], name: str) -> Any:
    """The field `name` of the first layer that has it."""
    return next((value for layer in layers if (value := getattr(layer.spec, name)) is not None), None)


def _draft(
    layers: list[_Layer], bindings: Bindings, *, name: str, notes: list[str], environment_given: bool
) -> BatchDraft:
    owner = next((layer for layer in layers if layer.spec.task is not None), None)
    top = layers[0].document
    if owner is None or owner.spec.task is None:
        raise top.error(
            "is missing", "task", hint="a parallel step has task: {code, entry_script, environment}"
        )
    task = owner.spec.task
    taken = _arguments(owner.document, task, bindings)
    data = _input_data(layers, bindings)
    environment, more = _environment(owner.document, task, given=environment_given)
    effect_notes = [note for layer in layers for note in effects.notes(layer.document, _WITHOUT_EFFECT)]
    if taken.ignored:
        effect_notes.append(
            f"{owner.document.file}: without effect on one machine: {', '.join(taken.ignored)}"
        )
    variables: dict[str, str] = {}
    for layer in reversed(layers):
        variables.update(deployment_variables.read(layer.document, layer.spec.environment_variables))
    said_name = _said(layers, "name") or name or _said(layers, "display_name")
    draft = Draft(
        name=said_name or paths.absolute(top.file).stem,
        model=_model(owner.document, task, bindings),
        code=_code(owner.document, task),
        variables={
            each: bindings.resolve(value, _complaint(top, ("environment_variables", each)))
            for each, value in variables.items()
        },
        environment=environment,
        notes=(*notes, *more, *effect_notes),
    )
    batch = {**_batch(layers, data), **taken.batch, "program_arguments": taken.rest}
    appends = task.append_row_to is not None
    return BatchDraft(
        draft=draft,
        batch={**batch, "fail_if_none_succeeded": appends},
        output={
            **taken.output,
            "form": "append-row" if appends else "summary-only",
            "mode": "skip",
            **_scripts_own(layers, task, bindings),
        },
        output_file_name=_file_name(layers, owner.document, task) if appends else "",
        names_inputs=True,
        locations=() if data is None or data.text is None else (data.text,),
        input_format=_format(data),
    )


def _at(layers: list[_Layer], name: str) -> Document:
    """The document that says `name`."""
    return next(layer.document for layer in layers if getattr(layer.spec, name) is not None)


def _complaint(document: Document, key: KeyPath) -> Any:
    def fail(message: str, hint: str) -> SpecError:
        return document.error(message, *key, hint=hint)

    return fail


def _arguments(document: Document, task: Task, bindings: Bindings) -> parallel_arguments.Taken:
    """Expressions are replaced after the text is cut into words, so that a path with a space stays one."""
    key = ("task", "program_arguments" if task.program_arguments is not None else "args")
    text = bindings.without_absent(task.program_arguments or task.args or "")
    text = EXPRESSION.sub(lambda match: "${{" + "".join(match[1].split()) + "}}", text)
    try:
        words = shlex.split(text)
        resolved = [bindings.resolve(word, _complaint(document, key)) for word in words]
        return parallel_arguments.take(resolved)
    except ValueError as error:
        raise document.error(str(error), *key) from None


def _input_data(layers: list[_Layer], bindings: Bindings) -> Bound | None:
    """The input that is cut into mini-batches, or None where nothing says which."""
    said = _said(layers, "input_data")
    if said is None:
        return None
    document = _at(layers, "input_data")
    match = EXPRESSION.fullmatch(said.strip())
    group, _, name = (match[1] if match else "").partition(".")
    if group != "inputs" or name not in bindings.inputs:
        names = ", ".join("${{inputs." + each + "}}" for each in bindings.inputs)
        raise document.error(
            f"must be one of the step's inputs, found {said!r}",
            "input_data",
            hint=f"there is {names}" if names else "",
        )
    bound = bindings.inputs[name]
    if bound.text is None or parallel_bindings.is_remote(bound.text):
        return bound
    return replace(bound, text=str(paths.absolute(bound.text, document.folder)))


def _is_table(data: Bound | None) -> bool:
    """Whether the script gets DataFrames: Azure ML's ``mltable``, unless it only lists files."""
    if data is None:
        return False
    if data.text is not None and parallel_bindings.holds_mltable(data.text):
        from penstock.spec import mltables

        return not mltables.lists_files(data.text)
    return data.type == "mltable"


def _format(data: Bound | None) -> str:
    if data is None:
        return ""
    if data.text is not None and parallel_bindings.holds_mltable(data.text):
        return "mltable"
    return "" if data.type == "mltable" else "files"


def _batch(layers: list[_Layer], data: Bound | None) -> dict[str, Any]:
    """Fields of `penstock.bundle.batch.BatchSettings`. Where nothing says how many processes an instance has, all
    processors work, as Azure ML's page on parallel jobs has it."""
    said = {name: _said(layers, name) for name in ("error_threshold", "mini_batch_error_threshold")}
    table = _is_table(data)
    size, unit = _said(layers, "mini_batch_size") or (
        (MINI_BATCH_BYTES, "bytes") if table else (MINI_BATCH_FILES, "")
    )
    retries: dict[str, Any] = {}
    for layer in reversed(layers):
        settings: RetrySettings = layer.spec.retry_settings or RetrySettings()
        retries.update(settings.model_dump(exclude_none=True))
    resources = next((r for layer in layers if (r := layer.spec.resources) and r.instance_count), None)
    instances = _said(layers, "instance_count") or (resources.instance_count if resources else None) or 1
    concurrency = _said(layers, "max_concurrency_per_instance")
    return {
        "workers": instances * concurrency if concurrency else 0,
        "mini_batch_size": size,
        "mini_batch_unit": unit or ("bytes" if table else "files"),
        "partition_keys": tuple(_said(layers, "partition_keys") or ()),
        "takes": "frame" if table else "files",
        "max_retries": retries.get("max_retries", MAX_RETRIES),
        "timeout_s": retries.get("timeout", TIMEOUT_S),
        **{name: -1 if value is None else value for name, value in said.items()},
        "logging_level": (_said(layers, "logging_level") or LOGGING_LEVEL).upper(),
        "azure": True,
    }


def _code(document: Document, task: Task) -> Code:
    if task.entry_script is None:
        raise document.error(
            "is missing", "task", "entry_script", hint="the script that has init() and run()"
        )
    return deployment_code.at(
        document,
        task.code or ".",
        task.entry_script,
        code_key=("task", "code"),
        script_key=("task", "entry_script"),
    )


def _model(document: Document, task: Task, bindings: Bindings) -> ModelSource | None:
    if task.model is None:
        return None
    said = bindings.resolve(task.model, _complaint(document, ("task", "model")))
    if said.startswith("azureml:") or "://" in said:
        raise document.error(
            f"{said} cannot be fetched from here", "task", "model", hint="download it and write its path"
        )
    path = paths.absolute(said.removeprefix("file:"), document.folder)
    if not paths.exists(path):
        raise document.error(f"no file or folder {path}", "task", "model", hint=paths.neighbour(path))
    return ModelSource(path=str(path), name=path.name if paths.is_folder(path) else path.stem)


def _environment(
    document: Document, task: Task, *, given: bool
) -> tuple[EnvironmentChoice | None, list[str]]:
    if given:
        return None, []
    if task.environment is None:
        return None, [f"{document.file} names no environment: the script runs on the current interpreter"]
    return deployment_environments.read(
        document, task.environment, served_by_us=True, under=("task", "environment")
    )


def _scripts_own(layers: list[_Layer], task: Task, bindings: Bindings) -> dict[str, tuple[str, ...]]:
    """The folders of the outputs that the arguments name, if any: on Azure ML they are there."""
    files = {
        name
        for layer in layers
        for name, port in (layer.spec.outputs or {}).items()
        if isinstance(port, Port) and port.type == "uri_file"
    }
    found = []
    for expression in EXPRESSION.findall(task.program_arguments or task.args or ""):
        group, _, name = expression.partition(".")
        if group == "outputs" and name in bindings.outputs:
            place = Path(bindings.outputs[name])
            found.append(str(place.parent if name in files else place))
    return {"scripts_own": tuple(dict.fromkeys(found))} if found else {}


def _file_name(layers: list[_Layer], document: Document, task: Task) -> str:
    """The file that ``append_row_to`` gathers: called as the path of that output ends, else as the output."""
    said = task.append_row_to or ""
    match = EXPRESSION.fullmatch(said.strip())
    group, _, name = (match[1] if match else "").partition(".")
    outputs: dict[str, Port | Value] = {}
    for layer in reversed(layers):
        outputs.update(layer.spec.outputs or {})
    if group != "outputs" or name not in outputs:
        names = ", ".join("${{outputs." + each + "}}" for each in outputs)
        raise document.error(
            f"must be one of the step's outputs, found {said!r}",
            "task",
            "append_row_to",
            hint=f"there is {names}" if names else "name one under outputs",
        )
    port = outputs[name]
    path = (port.path if isinstance(port, Port) else None) or ""
    last = Path(path).name
    return last if last and not EXPRESSION.search(last) and path[-1] != "/" else name
