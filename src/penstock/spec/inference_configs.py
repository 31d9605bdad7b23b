"""From a v1 ``inferenceconfig.json`` to a `Draft`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.bundle.manifest import Code
from penstock.spec import conda, documents, validation
from penstock.spec.documents import Document
from penstock.spec.drafts import Draft, EnvironmentChoice
from penstock.spec.paths import absolute, neighbour
from penstock.spec.v1_schema import Environment, InferenceConfig

_WITHOUT_EFFECT = (
    ("environment", "docker", "arguments"),
    ("environment", "docker", "enabled"),
    ("environment", "docker", "sharedVolumes"),
    ("environment", "docker", "shmSize"),
    ("environment", "docker", "gpuSupport"),
    ("environment", "docker", "baseImageRegistry"),
    ("environment", "docker", "platform"),
    ("environment", "docker", "buildContext"),
    ("environment", "inferencingStackVersion"),
    ("environment", "spark"),
    ("environment", "databricks"),
    ("environment", "r"),
    ("environment", "python", "baseCondaEnvironment"),
    ("runtime",),
    ("extraDockerfileSteps",),
    ("enableGpu",),
    ("cudaVersion",),
    ("baseImageRegistry",),
)
"""Key paths that are accepted and mean nothing on one machine."""


def read(file: str, *, environment_given: bool = False) -> Draft:
    """What the ``inferenceconfig.json`` at `file` says; `sourceDirectory` is relative to its folder.

    `environment_given`: the command line replaces the environment. Raises SpecError.
    """
    document = documents.read_json(file)
    if "computeType" in document.data:
        raise document.error("this is a deployment configuration", hint=f"--deployment-config {file}")
    spec = validation.validated(document, InferenceConfig)
    code = _code(document, spec)
    environment: EnvironmentChoice | None = None
    notes: list[str] = []
    if not environment_given:
        environment, notes = _environment(document, spec, Path(code.directory))
    named = [".".join(path) for path in _WITHOUT_EFFECT if _stands(document.data, path)]
    if named:
        notes.append(f"{file}: without effect on one machine: {', '.join(named)}")
    variables = spec.environment.environment_variables if spec.environment else None
    return Draft(code=code, variables=variables or {}, environment=environment, notes=tuple(notes))


def _code(document: Document, spec: InferenceConfig) -> Code:
    folder = absolute(spec.source_directory or ".", document.folder)
    if not folder.is_dir():
        raise document.error(f"no folder {folder}", "sourceDirectory", hint=neighbour(folder))
    script = absolute(spec.entry_script, folder)
    if not script.is_relative_to(folder):
        raise document.error(f"{spec.entry_script} lies outside of {folder}", "entryScript")
    if not script.is_file():
        raise document.error(f"no file {script}", "entryScript", hint=neighbour(script))
    return Code(directory=str(folder), script=str(script.relative_to(folder)))


def _environment(
    document: Document, spec: InferenceConfig, code: Path
) -> tuple[EnvironmentChoice | None, list[str]]:
    """The conda file or dependencies, else what image or curated name stand for, else nothing and a note."""
    said = f"{document.file}:{document.line_of(('environment',))}"
    folder = str(document.folder)
    if spec.conda_file is not None:
        return _of_file(document, spec.conda_file, code, ("condaFile",)), []
    environment = spec.environment or Environment()
    python = environment.python
    managed = python is None or not python.user_managed_dependencies
    key = ("environment", "python", "condaDependencies")
    if python is not None and managed:
        if python.conda_dependencies_file is not None:
            return _of_file(
                document, python.conda_dependencies_file, code, (*key[:2], "condaDependenciesFile")
            ), []
        if isinstance(python.conda_dependencies, str):
            return _of_file(document, python.conda_dependencies, code, key), []
        if python.conda_dependencies is not None:
            found = conda.requirements_of(
                python.conda_dependencies, source=document.file, folder=document.folder
            )
            return EnvironmentChoice(kind="inline", requirements=found, said=said, folder=folder), []
    docker = environment.docker
    if docker is not None and docker.base_dockerfile:
        raise document.error(
            "a Dockerfile is not run here",
            "environment",
            "docker",
            "baseDockerfile",
            hint="name a conda or requirements file with --environment, or --environment current",
        )
    image = (docker.base_image if docker else None) or spec.base_image
    reference = image
    if environment.name is not None and environment.name.lower().startswith("azureml-"):
        reference = f"azureml:{environment.name}" + (f":{environment.version}" if environment.version else "")
    if reference is not None:
        return EnvironmentChoice(kind="reference", value=reference, said=said, folder=folder), []
    return None, [f"{document.file} names no packages: the script runs on the current interpreter"]


def _of_file(document: Document, said: str, code: Path, key: tuple[str, ...]) -> EnvironmentChoice:
    """The conda file `said`, which v1 looks for in the source directory; beside the configuration works too."""
    candidates = [absolute(said, code), absolute(said, document.folder)]
    for path in candidates:
        if path.is_file():
            return EnvironmentChoice(
                kind="conda",
                value=str(path),
                said=f"{document.file}:{document.line_of(key)}",
                folder=str(document.folder),
            )
    raise document.error(f"no file {candidates[0]}", *key, hint=neighbour(candidates[0]))


def _stands(data: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(data, dict) or data.get(part) is None:
            return False
        data = data[part]
    return data not in ({}, [])
