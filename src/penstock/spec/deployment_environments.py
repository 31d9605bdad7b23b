"""``environment:`` of a deployment file: which environment the workers get on this machine."""

from __future__ import annotations

from penstock.spec import conda, paths, placeholders
from penstock.spec.deployment_schema import Build, InlineEnvironment
from penstock.spec.documents import Document, KeyPath
from penstock.spec.drafts import EnvironmentChoice

_BESIDE_A_DOCKERFILE = ("conda.yml", "conda.yaml", "environment.yml", "environment.yaml", "requirements.txt")


def read(
    document: Document,
    spec: str | InlineEnvironment,
    *,
    served_by_us: bool,
    under: KeyPath = ("environment",),
) -> tuple[EnvironmentChoice, list[str]]:
    """The environment that `spec` says, which stands in `document` at the key path `under`, and notes.

    `served_by_us`: there is a script or an MLflow model, so that an image which brings its own server is only
    where it would have run. Raises SpecError.
    """
    said = f"{document.file}:{document.line_of(under)}"
    folder = str(document.folder)
    if isinstance(spec, str):
        if not spec.startswith("azureml:"):
            raise document.error(
                f"must be a mapping, or azureml:NAME:VERSION, found {spec!r}",
                *under,
                hint="for a conda file on this machine write environment: {image: ..., conda_file: PATH}",
            )
        return EnvironmentChoice(kind="reference", value=spec, said=said, folder=folder), []
    if spec.image is not None and spec.build is not None:
        raise document.error("image and build exclude each other", *under)
    if spec.inference_config is not None and not served_by_us:
        raise document.error(
            "the image brings its own server, and penstock serve runs no images",
            *under,
            "inference_config",
            hint="add a code_configuration, or name an environment with --environment to serve the model itself",
        )
    notes = []
    if spec.conda_file is not None and spec.image is None and spec.build is None:
        notes.append(f"{document.file}: Azure ML would want an image beside environment.conda_file")
    if isinstance(spec.conda_file, dict):
        requirements = conda.requirements_of(spec.conda_file, source=document.file, folder=document.folder)
        return EnvironmentChoice(kind="inline", requirements=requirements, said=said, folder=folder), notes
    if spec.conda_file is not None:
        path = paths.absolute(spec.conda_file.removeprefix("file:"), document.folder)
        if not paths.is_file(path):
            hint = placeholders.hint_for(spec.conda_file) or paths.neighbour(path)
            raise document.error(f"no file {path}", *under, "conda_file", hint=hint)
        kind = "requirements" if path.suffix.lower() == ".txt" else "conda"
        return EnvironmentChoice(kind=kind, value=str(path), said=said, folder=folder), notes
    if spec.build is not None:
        choice, note = _of_build(document, spec.build, said, under)
        return choice, [*notes, note]
    if spec.image is not None:
        return EnvironmentChoice(kind="reference", value=spec.image, said=said, folder=folder), notes
    raise document.error(
        "needs an image, a conda_file or a build",
        *under,
        hint="a registered environment is written environment: azureml:NAME:VERSION",
    )


def _of_build(document: Document, build: Build, said: str, under: KeyPath) -> tuple[EnvironmentChoice, str]:
    """No Dockerfile is run here; but the conda or requirements file that it installs lies beside it mostly."""
    folder = paths.absolute((build.path or ".").removeprefix("file:"), document.folder)
    if not paths.is_folder(folder):
        raise document.error(f"no folder {folder}", *under, "build", "path", hint=paths.neighbour(folder))
    found = [folder / name for name in _BESIDE_A_DOCKERFILE if paths.is_file(folder / name)]
    if len(found) != 1:
        some = (
            f"{folder} holds {' and '.join(path.name for path in found)}"
            if found
            else "no such file is there"
        )
        raise document.error(
            "a Dockerfile is not run here, and which conda or requirements file stands for it is not clear: "
            + some,
            *under,
            "build",
            hint="name it with --environment FILE, or --environment current",
        )
    kind = "requirements" if found[0].suffix == ".txt" else "conda"
    choice = EnvironmentChoice(kind=kind, value=str(found[0]), said=said, folder=str(document.folder))
    return (
        choice,
        f"{document.file}: the Dockerfile is not run; {found[0].name} beside it says what is installed",
    )
