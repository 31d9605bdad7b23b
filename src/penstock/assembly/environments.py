"""The environment that was asked for: from a name or a file to an interpreter that holds it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock import errors
from penstock.bundle.requirements import Requirements
from penstock.spec import paths
from penstock.spec.drafts import EnvironmentChoice

CONDA_SUFFIXES = (".yml", ".yaml")
PIP_SUFFIXES = (".txt", ".in")


@dataclass(frozen=True, kw_only=True)
class Furnished:
    """The interpreter `python` that workers run on, what it was built from (None: it is the running one), and
    `notes` for people."""

    python: str
    requirements: Requirements | None = None
    notes: tuple[str, ...] = ()


def furnish(
    choice: EnvironmentChoice, *, strict: bool, say: Callable[[str], None], also: tuple[str, ...] = ()
) -> Furnished:
    """The environment that `choice` asks for, built now unless it was built before; `say` is told of progress.

    `strict`: the Python that the files ask for, or none. `also`: packages that must be there besides, where the
    files leave them out. Raises EnvironmentBuildError, and SpecError for an environment file that cannot be read.
    """
    if choice.kind == "current":
        return Furnished(python=sys.executable)
    requirements = _with(read_requirements(choice), also)
    if choice.kind == "mlflow":
        from penstock.spec import mlflow_environments, satisfaction

        needed = mlflow_environments.without_mlflow(requirements, choice.value)
        if satisfaction.is_satisfied(needed, satisfaction.installed_version):
            note = "the current interpreter meets the model's own requirements, so it serves there"
            return Furnished(python=sys.executable, notes=(note,))
    from penstock.bundle import environments

    built = environments.prepare(requirements, strict=strict, say=say)
    return Furnished(python=built.python, requirements=requirements, notes=built.notes)


def _with(requirements: Requirements, also: tuple[str, ...]) -> Requirements:
    """`requirements`, and of `also` what they do not name."""
    from penstock.bundle import requirement_lines

    named = {requirement_lines.name_of(line) for line in requirements.packages}
    missing = tuple(package for package in also if requirement_lines.name_of(package) not in named)
    return dataclasses.replace(requirements, packages=(*requirements.packages, *missing))


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
    path = existing_path(said, "--environment", folder=False)
    if suffix in PIP_SUFFIXES:
        return EnvironmentChoice(kind="requirements", value=path, said=label)
    from penstock.spec import environment_files

    return environment_files.read(said, path, label)


def existing_path(path: str, option: str, *, folder: bool) -> str:
    """`path`, absolute; empty stays empty. Raises UsageError where no such thing is there; `option` said it."""
    if not path:
        return ""
    absolute = paths.absolute(path)
    if not (absolute.is_dir() if folder else absolute.is_file()):
        noun = "folder" if folder else "file"
        raise errors.UsageError(f"{option}: no {noun} {path}", hint=paths.neighbour(absolute))
    return str(absolute)
