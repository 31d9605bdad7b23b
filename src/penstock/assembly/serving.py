"""From what somebody typed behind ``penstock serve`` to a `Launch`.

`resolve` decides: it reads files and looks at paths, and changes nothing. `furnish` acts: it builds the
environment. What starts processes is the command line's business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock import errors
from penstock.assembly import environments, things
from penstock.assembly.things import Sources
from penstock.bundle import launch, manifest
from penstock.spec import drafts
from penstock.spec.drafts import Draft, EnvironmentChoice


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
    _refuse_v1_files(sources)
    things.refuse_contradictions(sources, "penstock serve")
    filed = _of_files(sources)
    typed = drafts.layered(things.of_sources(sources, filed), said)
    code = typed.code or filed.code
    draft = drafts.layered(drafts.layered(filed, ambient(code.directory if code else "")), typed)
    if draft.model is None and draft.code is None:
        raise errors.UsageError(
            "nothing to serve: no model, no scoring script, no deployment file",
            hint="penstock serve model.pkl, penstock serve --script score.py, or penstock serve blue.yml",
        )
    if draft.code is not None:
        things.check_code(draft.code)
    found = things.format_of(draft)
    environment = draft.environment or things.unsaid_environment(draft, found)
    return Plan(launch=_launch_of(draft, found), environment=environment, format=found)


def furnish(plan: Plan, *, strict: bool, say: Callable[[str], None]) -> launch.Launch:
    """The launch of `plan`, its environment built; `say` is told of progress.

    `strict`: the Python that the files ask for, or none. Raises EnvironmentBuildError, and SpecError for an
    environment file that cannot be read.
    """
    furnished = environments.furnish(plan.environment, strict=strict, say=say)
    return dataclasses.replace(
        plan.launch, python=furnished.python, notes=plan.launch.notes + furnished.notes
    )


def _refuse_v1_files(sources: Sources) -> None:
    for kind in ("inference", "deployment"):
        if Path(sources.thing).name.lower() == f"{kind}config.json":
            raise errors.UsageError(
                f"{sources.thing} is a v1 {kind} configuration, not a model",
                hint=f"penstock serve MODEL --{kind}-config {sources.thing}",
            )


def _of_files(sources: Sources) -> Draft:
    """What the deployment's files say."""
    if things.is_deployment_file(sources.thing):
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


def _launch_of(draft: Draft, found: str) -> launch.Launch:
    model, variables = things.model_and_variables(draft, found)
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
