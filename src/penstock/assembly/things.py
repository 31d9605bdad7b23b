"""What somebody named, on the command line or in a file: a model, a script, an environment, as values.

Shared by whatever is assembled from them. Readers of YAML and JSON are imported only when there is such a file:
``penstock serve model.pkl`` shall not wait for them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from penstock import errors
from penstock.assembly import environments
from penstock.bundle import manifest
from penstock.spec import paths
from penstock.spec.drafts import Draft, EnvironmentChoice


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What is to be served, as the user named it; paths relative to the working directory; empty: not said.

    `thing` is whatever stands behind ``penstock serve``: a model, an MLflow folder or a deployment YAML.
    """

    thing: str = ""
    model: str = ""
    model_directory: str = ""
    code: str = ""
    script: str = ""
    inference_config: str = ""
    deployment_config: str = ""
    environment: str = ""
    sample_input: str = ""
    name: str = ""


def is_deployment_file(thing: str) -> bool:
    """Whether `thing` is to be read as a deployment, by its name."""
    return thing.lower().endswith((".yml", ".yaml"))


def of_sources(sources: Sources, filed: Draft) -> Draft:
    """What the command line names: model, script, environment, sample."""
    model_path = sources.model or ("" if is_deployment_file(sources.thing) else sources.thing)
    return Draft(
        name=sources.name,
        model=_model_at(model_path) if model_path else None,
        model_directory=environments.existing_path(sources.model_directory, "--model-dir", folder=True),
        code=_code_of(sources, filed),
        environment=environments.environment_of(sources.environment) if sources.environment else None,
        sample_input=environments.existing_path(sources.sample_input, "--sample-input", folder=False),
    )


def _model_at(path: str) -> manifest.ModelSource:
    absolute = paths.absolute(path)
    if absolute.name == "MLmodel":
        absolute = absolute.parent
    name = absolute.name if absolute.is_dir() else absolute.stem
    return manifest.ModelSource(path=str(absolute), name=name or "model")


def _code_of(sources: Sources, filed: Draft) -> manifest.Code | None:
    """The script: ``--script`` lies in ``--code``; without ``--code``, in the folder that the file names, or
    else its own folder is the code, so that its neighbours can be imported."""
    if not sources.code and not sources.script:
        return None
    script = sources.script or (filed.code.script if filed.code else "")
    if sources.code:
        return manifest.Code(directory=str(paths.absolute(sources.code)), script=script)
    if filed.code is not None and Path(filed.code.directory, script).is_file():
        return manifest.Code(directory=filed.code.directory, script=script)
    absolute = paths.absolute(script)
    return manifest.Code(directory=str(absolute.parent), script=absolute.name)


def check_code(code: manifest.Code) -> None:
    """Raises UsageError where the script is not there, or lies outside of its folder."""
    folder = Path(code.directory)
    if not folder.is_dir():
        raise errors.UsageError(f"no code folder {folder}", hint=paths.neighbour(folder))
    script = paths.absolute(code.script, folder)
    if not script.is_relative_to(folder):
        raise errors.UsageError(f"script {code.script} lies outside of the code folder {folder}")
    if not script.is_file():
        raise errors.UsageError(f"no scoring script {code.script} in {folder}", hint=paths.neighbour(script))


def format_of(draft: Draft) -> str:
    """The model's format, told from its bytes before anything starts; empty where a script loads it and it is
    not known at a glance. Raises ModelError."""
    if draft.model is None:
        return ""
    from penstock.scoring.loaders import detection

    if draft.code is None:
        return detection.detect(draft.model.path)
    if not Path(draft.model.path).exists():
        detection.locate(draft.model.path)  # raises, with what is there instead
    return "mlflow" if Path(draft.model.path, "MLmodel").is_file() else ""


def unsaid_environment(draft: Draft, found: str) -> EnvironmentChoice:
    """The environment when nobody named one: an MLflow model's own where it brings the files, else the
    running interpreter."""
    if found == "mlflow" and draft.model is not None:
        from penstock.scoring.loaders import detection

        folder = detection.locate(draft.model.path) if draft.code is None else draft.model.path
        if any(
            Path(folder, name).is_file() for name in ("conda.yaml", "python_env.yaml", "requirements.txt")
        ):
            return EnvironmentChoice(kind="mlflow", value=folder, said=f"the MLflow model {draft.model.name}")
    return EnvironmentChoice(kind="current", said="default")


def model_and_variables(draft: Draft, found: str) -> tuple[manifest.ModelSource | None, dict[str, str]]:
    """The model of `draft` with its format and its folder, and the deployment's variables."""
    model = draft.model
    variables = dict(draft.variables)
    if model is not None:
        directory = draft.model_directory or model.directory
        model = dataclasses.replace(model, format=model.format or found, directory=directory)
    elif draft.model_directory:
        variables["AZUREML_MODEL_DIR"] = draft.model_directory
    return model, variables


def refuse_contradictions(sources: Sources, command: str) -> None:
    """Raises UsageError for sources that exclude each other. `command` is what was typed: ``penstock serve``."""
    v1_option = "--inference-config" if sources.inference_config else "--deployment-config"
    if is_deployment_file(sources.thing):
        if sources.inference_config or sources.deployment_config:
            raise errors.UsageError(
                f"{sources.thing} and {v1_option} each describe the deployment",
                hint="give the deployment YAML, or a model with the v1 files, not both",
            )
    elif sources.thing and sources.model:
        raise errors.UsageError(f"two models: {sources.thing} and --model {sources.model}", hint="give one")
    if sources.thing.endswith(".py"):
        raise errors.UsageError(
            f"{sources.thing} is a script, not a model",
            hint=f"{command} --script {sources.thing}, with the model before it if there is one",
        )
    if sources.code and not (sources.script or sources.inference_config or is_deployment_file(sources.thing)):
        raise errors.UsageError(
            f"--code {sources.code} says where the code is, but not which script is called",
            hint=f"{command} --code {sources.code} --script score.py",
        )
