"""``code_configuration:`` of a deployment file: which script scores, and where it lies."""

from __future__ import annotations

from penstock.bundle.manifest import Code
from penstock.spec import paths, placeholders
from penstock.spec.deployment_schema import CodeConfiguration
from penstock.spec.documents import Document, KeyPath


def read(document: Document, configuration: CodeConfiguration | None) -> Code | None:
    """The code that `configuration` says, or None where it says nothing. Raises SpecError."""
    if configuration is None:
        return None
    section = "code_configuration"
    return at(
        document,
        configuration.code or ".",
        configuration.scoring_script,
        code_key=(section, "code"),
        script_key=(section, "scoring_script"),
    )


def at(document: Document, said: str, script: str, *, code_key: KeyPath, script_key: KeyPath) -> Code:
    """The code in the folder `said`, in which lies the Python file `script`; the keys are those under which
    `document` says so. Raises SpecError."""
    if "://" in said or said.startswith("azureml:"):
        raise document.error(
            f"{said} lies in Azure ML and cannot be fetched from here",
            *code_key,
            hint="download the code and write its path, or give --code and --script",
        )
    folder = paths.absolute(said.removeprefix("file:"), document.folder)
    if not paths.is_folder(folder):
        raise document.error(
            f"no folder {folder}", *code_key, hint=placeholders.hint_for(said) or paths.neighbour(folder)
        )
    file = paths.absolute(script, folder)
    if file.suffix != ".py":
        raise document.error(
            f"must be a Python file, found {script!r}",
            *script_key,
            hint=placeholders.hint_for(script) or "where the image brings a server for it, run the image",
        )
    if not file.is_relative_to(folder):
        raise document.error(f"{script} lies outside of the code folder {folder}", *script_key)
    if not paths.is_file(file):
        raise document.error(f"no file {file}", *script_key, hint=paths.neighbour(file))
    return Code(directory=str(folder), script=str(file.relative_to(folder)))
