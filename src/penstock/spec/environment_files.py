"""The YAML file behind ``--environment``: a conda file, or an Azure ML environment that names one."""

from __future__ import annotations

from penstock.spec import deployment_environments, documents, validation
from penstock.spec.deployment_schema import InlineEnvironment
from penstock.spec.drafts import EnvironmentChoice


def read(file: str, path: str, said: str) -> EnvironmentChoice:
    """The environment that `file`, at the absolute `path`, describes; `said` is how it was named. Raises
    SpecError."""
    document = documents.read_yaml(file)
    keys = set(document.data)
    if "dependencies" not in keys and keys & {"image", "build", "conda_file"}:
        spec = validation.validated(document, InlineEnvironment)
        choice, _ = deployment_environments.read(document, spec, served_by_us=True, under=())
        return choice
    if "endpoint_name" in keys or "code_configuration" in keys:
        raise document.error(
            "this is a deployment, not an environment", hint=f"penstock serve {file} serves it"
        )
    return EnvironmentChoice(kind="conda", value=path, said=said)
