"""The one place that knows concrete classes: from what somebody typed to a `Launch`.

`resolve` decides: it reads files and looks at paths, and changes nothing. `furnish` acts: it builds the
environment. What starts processes is the command line's business. Readers of YAML and JSON are imported only
when there is such a file: ``penstock serve model.pkl`` shall not wait for them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock import errors
from penstock.bundle import launch, manifest
from penstock.bundle.requirements import Requirements
from penstock.spec import drafts, paths
from penstock.spec.drafts import Draft, EnvironmentChoice

CONDA_SUFFIXES = (".yml", ".yaml")
PIP_SUFFIXES = (".txt", ".in")


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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that was decided. `launch.python` is empty until `furnish` has built the environment.

    `format` is the model's, or empty where a script loads it. `variables` are the deployment's own.
    """

    launch: launch.Launch
    environment: EnvironmentChoice
    format: str = ""


def resolve(sources: Sources, said: Draft, ambient: Callable[[str], Draft]) -> Plan:
    """The plan for `sources`: `said` on the command line goes over what environment variables say, and that
    over what the files say. `ambient` reads the variables, given the code folder or an empty string, as a
    file of variables may lie there.

    Raises UsageError (sources that exclude each other, paths that are not there), SpecError (a file) and
    ModelError (a model that nothing here can score).
    """
    _refuse_contradictions(sources)
    filed = _of_files(sources)
    typed = drafts.layered(_of_sources(sources, filed), said)
    code = typed.code or filed.code
    draft = drafts.layered(drafts.layered(filed, ambient(code.directory if code else "")), typed)
    if draft.model is None and draft.code is None:
        raise errors.UsageError(
            "nothing to serve: no model, no scoring script, no deployment file",
            hint="penstock serve model.pkl, penstock serve --script score.py, or penstock serve blue.yml",
        )
    if draft.code is not None:
        _check_code(draft.code)
    found = _format_of(draft)
    environment = draft.environment or _unsaid_environment(draft, found)
    return Plan(launch=_launch_of(draft, found), environment=environment, format=found)


def furnish(plan: Plan, *, strict: bool, say: Callable[[str], None]) -> launch.Launch:
    """The launch of `plan`, its environment built; `say` is told of progress.

    `strict`: the Python that the files ask for, or none. Raises EnvironmentBuildError, and SpecError for an
    environment file that cannot be read.
    """
    if plan.environment.kind == "current":
        return dataclasses.replace(plan.launch, python=sys.executable)
    requirements = read_requirements(plan.environment)
    if plan.environment.kind == "mlflow":
        from penstock.spec import mlflow_environments, satisfaction

        needed = mlflow_environments.without_mlflow(requirements, plan.environment.value)
        if satisfaction.is_satisfied(needed, satisfaction.installed_version):
            note = "the current interpreter meets the model's own requirements, so it serves there"
            return dataclasses.replace(plan.launch, python=sys.executable, notes=(*plan.launch.notes, note))
    from penstock.bundle import environments

    built = environments.prepare(requirements, strict=strict, say=say)
    return dataclasses.replace(plan.launch, python=built.python, notes=plan.launch.notes + built.notes)


def read_requirements(choice: EnvironmentChoice) -> Requirements:
    """What the environment that `choice` names must hold. Raises SpecError."""
    if choice.requirements is not None:
        return choice.requirements
    if choice.kind == "mlflow":
        from penstock.spec import mlflow_environments

        return mlflow_environments.read(choice.value)
    if choice.kind == "reference":
        from penstock.spec import environment_table

        try:
            return environment_table.lookup(choice.value, beside=choice.folder)
        except errors.SpecError as error:
            if error.file:
                raise
            raise errors.SpecError(f"{choice.said}: {error.message}", hint=error.hint) from error
    from penstock.spec import conda

    if choice.kind == "requirements":
        return conda.read_requirements_file(choice.value)
    return conda.read_conda_file(choice.value)


def _refuse_contradictions(sources: Sources) -> None:
    """Raises UsageError for sources that exclude each other."""
    v1_option = "--inference-config" if sources.inference_config else "--deployment-config"
    if is_deployment_file(sources.thing):
        if sources.inference_config or sources.deployment_config:
            raise errors.UsageError(
                f"{sources.thing} and {v1_option} each describe the deployment",
                hint="give the deployment YAML, or a model with the v1 files, not both",
            )
    elif sources.thing and sources.model:
        raise errors.UsageError(f"two models: {sources.thing} and --model {sources.model}", hint="give one")
    for kind in ("inference", "deployment"):
        if Path(sources.thing).name.lower() == f"{kind}config.json":
            raise errors.UsageError(
                f"{sources.thing} is a v1 {kind} configuration, not a model",
                hint=f"penstock serve MODEL --{kind}-config {sources.thing}",
            )
    if sources.thing.endswith(".py"):
        raise errors.UsageError(
            f"{sources.thing} is a script, not a model",
            hint=f"penstock serve --script {sources.thing}, with the model before it if there is one",
        )
    if sources.code and not (sources.script or sources.inference_config or is_deployment_file(sources.thing)):
        raise errors.UsageError(
            f"--code {sources.code} says where the code is, but not which script is called",
            hint=f"penstock serve --code {sources.code} --script score.py",
        )


def is_deployment_file(thing: str) -> bool:
    """Whether `thing` is to be read as a deployment, by its name."""
    return thing.lower().endswith((".yml", ".yaml"))


def _of_files(sources: Sources) -> Draft:
    """What the deployment's files say."""
    if is_deployment_file(sources.thing):
        from penstock.spec import deployments

        return deployments.read(
            sources.thing, model_given=bool(sources.model), environment_given=bool(sources.environment)
        )
    draft = Draft()
    if sources.deployment_config:
        from penstock.spec import deployment_configs

        draft = deployment_configs.read(sources.deployment_config)
    if sources.inference_config:
        from penstock.spec import inference_configs

        draft = drafts.layered(
            draft,
            inference_configs.read(sources.inference_config, environment_given=bool(sources.environment)),
        )
    return draft


def _of_sources(sources: Sources, filed: Draft) -> Draft:
    """What the command line names: model, script, environment, sample."""
    model_path = sources.model or ("" if is_deployment_file(sources.thing) else sources.thing)
    return Draft(
        name=sources.name,
        model=_model_at(model_path) if model_path else None,
        model_directory=_existing(sources.model_directory, "--model-dir", folder=True),
        code=_code_of(sources, filed),
        environment=environment_of(sources.environment) if sources.environment else None,
        sample_input=_existing(sources.sample_input, "--sample-input", folder=False),
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


def environment_of(said: str) -> EnvironmentChoice:
    """The environment that ``--environment`` names: ``current``, a file by its suffix (a conda file, an
    Azure ML environment, requirements), or a name in the table. Raises UsageError for a file that is not there,
    SpecError for one that is none of these."""
    label = f"--environment {said}"
    if said == "current":
        return EnvironmentChoice(kind="current", said=label)
    suffix = Path(said).suffix.lower()
    if suffix not in CONDA_SUFFIXES + PIP_SUFFIXES:
        if Path(said).exists():
            raise errors.UsageError(
                f"{label}: neither a conda file (.yml, .yaml) nor a requirements file (.txt)",
                hint="rename the file, or name an environment of the table",
            )
        return EnvironmentChoice(kind="reference", value=said, said=label)
    path = _existing(said, "--environment", folder=False)
    if suffix in PIP_SUFFIXES:
        return EnvironmentChoice(kind="requirements", value=path, said=label)
    from penstock.spec import environment_files

    return environment_files.read(said, path, label)


def _existing(path: str, option: str, *, folder: bool) -> str:
    """`path`, absolute; empty stays empty. Raises UsageError where nothing of the kind is there."""
    if not path:
        return ""
    absolute = paths.absolute(path)
    if not (absolute.is_dir() if folder else absolute.is_file()):
        noun = "folder" if folder else "file"
        raise errors.UsageError(f"{option}: no {noun} {path}", hint=paths.neighbour(absolute))
    return str(absolute)


def _check_code(code: manifest.Code) -> None:
    folder = Path(code.directory)
    if not folder.is_dir():
        raise errors.UsageError(f"no code folder {folder}", hint=paths.neighbour(folder))
    script = paths.absolute(code.script, folder)
    if not script.is_relative_to(folder):
        raise errors.UsageError(f"script {code.script} lies outside of the code folder {folder}")
    if not script.is_file():
        raise errors.UsageError(f"no scoring script {code.script} in {folder}", hint=paths.neighbour(script))


def _format_of(draft: Draft) -> str:
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


def _unsaid_environment(draft: Draft, found: str) -> EnvironmentChoice:
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


def _launch_of(draft: Draft, found: str) -> launch.Launch:
    model = draft.model
    variables = dict(draft.variables)
    if model is not None:
        directory = draft.model_directory or model.directory
        model = dataclasses.replace(model, format=model.format or found, directory=directory)
    elif draft.model_directory:
        variables["AZUREML_MODEL_DIR"] = draft.model_directory
    script_name = Path(draft.code.script).stem if draft.code else ""
    described = manifest.Manifest(
        name=draft.name or (model.name if model else script_name),
        model=model,
        code=draft.code,
        variables=variables,
        settings=manifest.Settings(**draft.settings),
        sample_input=draft.sample_input,
    )
    watched = [draft.code.directory] if draft.code else []
    if model is not None:
        watched.append(model.path)
    serving = dict(draft.serving)
    return launch.Launch(
        manifest=described,
        python="",
        reload_paths=tuple(watched) if serving.get("reload") else (),
        notes=draft.notes,
        **serving,
    )
