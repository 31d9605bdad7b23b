"""Conda environment files, and MLflow's ``python_env.yaml``, as requirements that PyPI can meet.

Conda's Python packages are asked from PyPI under the names they have there (``data/conda_packages.yml``).
Native libraries that wheels bring along are left out with a note; what PyPI cannot give is an error that
names it.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.bundle import requirement_lines
from penstock.bundle.requirements import Requirements
from penstock.errors import SpecError
from penstock.spec import conda_specs, requirement_files
from penstock.spec.requirement_files import Collected, Line

read_requirements_file = requirement_files.read_requirements_file

_KEYS = ("name", "channels", "dependencies", "variables", "prefix", "platforms", "category")


@dataclass(frozen=True)
class Item:
    """One value of a list in a file, and the line on which it stands (0: unknown)."""

    value: Any
    line: int = 0


@dataclass(frozen=True)
class PackageTable:
    """`data/conda_packages.yml`, which says what its parts mean."""

    pypi_names: Mapping[str, Any]
    python_after_all: Sequence[str]
    bundled: Sequence[str]
    unavailable: Mapping[str, str]

    def is_bundled(self, name: str) -> bool:
        """Whether wheels bring the conda package `name` along."""
        bundled = any(fnmatch.fnmatch(name, pattern) for pattern in self.bundled)
        return bundled and name not in self.python_after_all

    def advice(self, name: str) -> str:
        """What to do about a package that PyPI does not have; empty where it has."""
        return next((text for each, text in self.unavailable.items() if fnmatch.fnmatch(name, each)), "")


@functools.cache
def package_table() -> PackageTable:
    """The table that ships with Penstock."""
    file = importlib.resources.files("penstock.spec") / "data" / "conda_packages.yml"
    text = file.read_text(encoding="utf-8")
    return PackageTable(**yaml.safe_load(text))


def read_conda_file(path: str | Path) -> Requirements:
    """The requirements of the conda environment file at `path`. SpecError names file, line and key."""
    named = str(path)
    actual = Path(path).expanduser().resolve()
    document = compose(actual, named)
    dependencies = document.pop("dependencies", Item(None))
    return _requirements(
        {key: item.value for key, item in document.items()},
        _items(dependencies, named),
        source=named,
        folder=actual.parent,
        open_files=[actual],
    )


def requirements_of(document: Mapping[str, Any], *, source: str, folder: str | Path) -> Requirements:
    """The requirements of a conda environment written inside another file, already parsed. `source` names
    that file, relative paths start from `folder`. Raises SpecError."""
    rest = {key: value for key, value in document.items() if key != "dependencies"}
    dependencies = document.get("dependencies")
    if not isinstance(dependencies, list):
        raise SpecError("must be a list", file=source, key="dependencies")
    items = [
        Item({k: [Item(i) for i in v] for k, v in d.items()} if isinstance(d, dict) else d)
        for d in dependencies
    ]
    return _requirements(rest, items, source=source, folder=Path(folder).resolve(), open_files=[])


def read_python_env_file(path: str | Path) -> Requirements:
    """The requirements of an MLflow ``python_env.yaml``: its ``python``, and ``dependencies`` as pip reads
    them; ``build_dependencies`` are pip and its kin, which uv replaces. Raises SpecError."""
    named = str(path)
    actual = Path(path).expanduser().resolve()
    document = compose(actual, named)
    collected = Collected(open_files=[actual])
    items = _items(document.get("dependencies", Item([])), named)
    requirement_files.collect_items(collected, _lines(items, named, actual.parent, "dependencies"))
    python = document.get("python", Item(""))
    return Requirements(
        python=str(python.value or ""),
        packages=tuple(collected.packages),
        options=tuple(collected.options),
        source=named,
        notes=tuple(collected.notes),
    )


def compose(path: Path, named: str) -> dict[str, Item]:
    """The top level of a YAML mapping, each value with its line; lists hold Items, scalars stay text (so that
    ``3.10`` is not 3.1). Raises SpecError where it is no mapping."""
    text = requirement_files.read_text(path, named)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise SpecError(f"is not YAML: {error.problem}", file=named, line=line) from error
    except yaml.YAMLError as error:
        raise SpecError(f"is not YAML: {error}", file=named) from error
    if not isinstance(root, yaml.MappingNode):
        raise SpecError("must be a mapping with `dependencies`", file=named, line=1)
    return {key.value: Item(_plain(value), value.start_mark.line + 1) for key, value in root.value}


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [Item(_plain(each), each.start_mark.line + 1) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    return None if node.tag == "tag:yaml.org,2002:null" else node.value


def _items(item: Item, named: str) -> list[Item]:
    if not isinstance(item.value, list):
        raise SpecError(
            "must be a list of packages" if item.line else "is missing",
            file=named,
            line=item.line,
            key="dependencies",
            hint="as in `dependencies: [python=3.9, scikit-learn=1.0.2, {pip: [mlflow]}]`",
        )
    return item.value


def _lines(items: Sequence[Item], file: str, folder: Path, key: str) -> list[Line]:
    for item in items:
        if not isinstance(item.value, str):
            raise SpecError(f"must be text, found {item.value!r}", file=file, line=item.line, key=key)
    return [Line(item.value, file, item.line, folder) for item in items]


def _requirements(
    rest: Mapping[str, Any], items: Sequence[Item], *, source: str, folder: Path, open_files: list[Path]
) -> Requirements:
    collected = Collected(open_files=open_files)
    collected.notes += _notes_on_keys(rest, source)
    python = ""
    conda_packages: list[str] = []
    dropped: list[str] = []
    missing: list[tuple[Item, str, str]] = []
    for item in items:
        if isinstance(item.value, dict):
            _collect_pip(collected, item, source, folder)
            continue
        spec = _parse(item, source)
        if spec.name in ("python", "pypy"):
            python = _python(spec, item, source)
        elif advice := package_table().advice(spec.name):
            missing.append((item, spec.name, advice))
        elif package_table().is_bundled(spec.name):
            dropped += [spec.name] if spec.name not in ("pip", "wheel") else []
        else:
            conda_packages.append(_pypi_requirement(spec, item, source, collected.notes))
    if missing:
        raise _unavailable(missing, source)
    collected.packages = _pips_word_last(conda_packages, collected, source)
    if dropped:
        names = ", ".join(dict.fromkeys(dropped))
        collected.notes.append(f"{source}: left out, as PyPI's wheels bring what they need of it: {names}")
    return Requirements(
        python=python,
        packages=tuple(dict.fromkeys(collected.packages)),
        options=tuple(dict.fromkeys(collected.options)),
        source=source,
        notes=tuple(collected.notes),
    )


def _pips_word_last(conda_packages: Sequence[str], collected: Collected, source: str) -> list[str]:
    """All packages; of one that both lists ask for, pip's alone, as pip runs after conda and replaces it."""
    pips = {requirement_lines.name_of(line): line for line in collected.packages if ";" not in line}
    kept = []
    for line in conda_packages:
        other = pips.get(requirement_lines.name_of(line))
        if other is None:
            kept.append(line)
        elif requirement_lines.normalized(other) != requirement_lines.normalized(line):
            collected.notes.append(f"{source}: {line} is replaced by {other} of the pip list")
    return kept + collected.packages


def _notes_on_keys(rest: Mapping[str, Any], source: str) -> list[str]:
    notes = [f"{source}: the key {key!r} is not conda's, and is left out" for key in rest if key not in _KEYS]
    if rest.get("variables"):
        names = ", ".join(rest["variables"])
        notes.append(
            f"{source}: `variables` ({names}) are set by `conda activate` only; "
            "name them under environment_variables to have them here"
        )
    return notes


def _collect_pip(collected: Collected, item: Item, source: str, folder: Path) -> None:
    for key, entries in item.value.items():
        if key != "pip":
            raise SpecError(
                f"{key!r} is a mapping, where only `pip:` may be one",
                file=source,
                line=item.line,
                key="dependencies",
                hint=f"write `- {key}={entries}`"
                if isinstance(entries, str)
                else "conda's packages are plain text",
            )
        if entries is None:
            continue
        if not isinstance(entries, list):
            raise SpecError("must be a list", file=source, line=item.line, key="dependencies.pip")
        requirement_files.collect_items(collected, _lines(entries, source, folder, "dependencies.pip"))


def _parse(item: Item, source: str) -> conda_specs.MatchSpec:
    try:
        return conda_specs.parse(item.value)
    except (ValueError, TypeError, AttributeError):
        raise SpecError(
            f"{item.value!r} is not a conda dependency",
            file=source,
            line=item.line,
            key="dependencies",
            hint="write it as in `scikit-learn=1.0.2` or `conda-forge::numpy>=1.21`",
        ) from None


def _python(spec: conda_specs.MatchSpec, item: Item, source: str) -> str:
    if spec.name == "pypy":
        raise SpecError("PyPy cannot run workers", file=source, line=item.line, hint="ask for `python=3.x`")
    try:
        return conda_specs.python_version(spec.version)
    except ValueError as error:
        raise SpecError(str(error), file=source, line=item.line, key="dependencies") from None


def _pypi_requirement(spec: conda_specs.MatchSpec, item: Item, source: str, notes: list[str]) -> str:
    entry = package_table().pypi_names.get(spec.name, spec.name)
    counted = entry.get("versions", "alike") if isinstance(entry, dict) else "alike"
    name = entry["name"] if isinstance(entry, dict) else entry
    if counted == "unlike":
        return str(name)
    try:
        specifier, note = conda_specs.pep440(spec.version, "" if counted == "series" else spec.build)
    except ValueError as error:
        raise SpecError(
            f"{spec.name}: {error}",
            file=source,
            line=item.line,
            key="dependencies",
            hint=f"give the version that {name} has on PyPI",
        ) from None
    if counted == "series" and specifier.startswith("==") and not specifier.endswith(".*"):
        specifier += ".*"
    if note:
        notes.append(f"{source}: {spec.name}: {note}")
    return f"{name}{specifier}"


def _unavailable(missing: Sequence[tuple[Item, str, str]], source: str) -> SpecError:
    names = ", ".join(name for _, name, _ in missing)
    hints = "; ".join(f"{name} (line {item.line}): {advice}" for item, name, advice in missing)
    return SpecError(
        f"PyPI, from which environments are built, does not have {names}",
        file=source,
        line=missing[0][0].line,
        key="dependencies",
        hint=hints,
    )
