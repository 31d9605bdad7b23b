"""Environments that a file names but does not contain: curated and registry environments, and images.

Their packages stand in a table that ships with Penstock (``data/environments.yml``) and in the users' own
``environments.yml``, which win. A key there is a reference, or its name without version and label, and may
hold shell wildcards; its value is the name of another entry, or a mapping with ``python`` and ``packages``, or
with ``conda_file`` or ``requirements`` (paths from the file's own folder).
"""

from __future__ import annotations

import difflib
import fnmatch
import importlib.resources
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.bundle.requirements import Requirements
from penstock.errors import SpecError
from penstock.spec import conda, requirement_files
from penstock.spec.conda import Item

FILE = "environments.yml"
_FIELDS = ("python", "packages", "conda_file", "requirements")
_LONG_FORM = re.compile(
    r".*/environments/(?P<name>[^/]+)(?:/(?:versions|labels)/(?P<version>[^/]+))?/?\Z", re.IGNORECASE
)
_SHORT_FORM = re.compile(r"(?:azureml:)?(?P<name>[A-Za-z0-9._-]+)(?:[:@](?P<version>[A-Za-z0-9._-]+))?\Z")


@dataclass(frozen=True)
class Table:
    """One file of entries; `file` as messages name it, relative paths start from `folder`."""

    entries: Mapping[str, Item]
    file: str
    folder: Path


def lookup(
    reference: str, *, beside: str | Path = "", variables: Mapping[str, str] | None = None
) -> Requirements:
    """The requirements of the environment or image that `reference` names.

    The tables, first match wins: those of PENSTOCK_ENVIRONMENTS (paths as in PATH), ``environments.yml`` in
    the folder `beside` (that of the file that names it), in the working folder, in the user's configuration
    folder, and the one that ships. Raises SpecError that says what to write where, if none has it.
    """
    environment = os.environ if variables is None else variables
    places = user_files(beside, environment)
    tables = [read_table(path, str(path)) for path in places if path.is_file()]
    tables.append(built_in())
    for table in tables:
        key = _matching(reference, table.entries)
        if key is not None:
            found = _resolve(table, key, ())
            return replace(found, source=reference, notes=(*found.notes, _said(reference, found, table)))
    raise _unknown(reference, places, tables)


def names_of(reference: str) -> tuple[str, ...]:
    """What a key may say to mean `reference`, the most exact first: itself, name and version, the name."""
    text = reference.strip()
    match = _LONG_FORM.match(text) or _SHORT_FORM.match(text)
    if match is not None:
        name, version = match["name"], match["version"]
        versioned = (f"{name}:{version}", f"{name}@{version}", f"azureml:{name}:{version}") if version else ()
        return tuple(dict.fromkeys((text, *versioned, name, f"azureml:{name}")))
    untagged = re.sub(r"(?<=[^:/]):[^/:@]+\Z", "", text.partition("@")[0])
    return tuple(dict.fromkeys((text, untagged, untagged.rpartition("/")[2])))


def user_files(beside: str | Path, variables: Mapping[str, str]) -> list[Path]:
    """Where users' tables may lie, the most important first."""
    named = [
        Path(each).expanduser()
        for each in variables.get("PENSTOCK_ENVIRONMENTS", "").split(os.pathsep)
        if each
    ]
    missing = next((path for path in named if not path.exists()), None)
    if missing is not None:
        raise SpecError(f"there is no {missing}, which PENSTOCK_ENVIRONMENTS names", file=str(missing))
    home = variables.get("XDG_CONFIG_HOME") or Path(variables.get("HOME") or "~").expanduser() / ".config"
    folders = [Path(beside).resolve()] if beside else []
    folders += [Path.cwd(), Path(home) / "penstock"]
    return [
        *(path / FILE if path.is_dir() else path for path in named),
        *(each / FILE for each in dict.fromkeys(folders)),
    ]


def built_in() -> Table:
    """The table that ships with Penstock."""
    file = importlib.resources.files("penstock.spec") / "data" / FILE
    with importlib.resources.as_file(file) as path:
        return replace(read_table(path, "Penstock's own table"), folder=Path.cwd())


def read_table(path: Path, named: str) -> Table:
    """The entries of one file. Raises SpecError naming file, line and key."""
    entries = conda.compose(path.resolve(), named)
    for key, item in entries.items():
        if isinstance(item.value, str):
            continue
        if not isinstance(item.value, dict):
            raise _wrong(named, item, key, "must be a mapping, or the name of another entry")
        for field in item.value:
            if field not in _FIELDS:
                close = difflib.get_close_matches(field, _FIELDS, 1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_FIELDS)}"
                raise _wrong(named, item, f"{key}.{field}", "is not known", hint)
        if sum(field in item.value for field in ("packages", "conda_file", "requirements")) > 1:
            raise _wrong(named, item, key, "must have one of packages, conda_file and requirements")
    return Table(entries=entries, file=named, folder=path.resolve().parent)


def _matching(reference: str, entries: Mapping[str, Item]) -> str | None:
    """The key for `reference`: an exact one before one with wildcards, either in any case."""
    names = [name.lower() for name in names_of(reference)]
    keys = {key.lower(): key for key in entries}
    exact = next((keys[name] for name in names if name in keys), None)
    if exact is not None:
        return exact
    patterns = [key for key in keys if any(sign in key for sign in "*?[")]
    return next((keys[each] for name in names for each in patterns if fnmatch.fnmatchcase(name, each)), None)


def _resolve(table: Table, key: str, seen: Sequence[str]) -> Requirements:
    item = table.entries[key]
    if isinstance(item.value, str):
        other = _matching(item.value, table.entries)
        if other is None or other in (*seen, key):
            raise _wrong(
                table.file, item, key, f"names {item.value!r}, which is no entry of this file that ends"
            )
        return _resolve(table, other, (*seen, key))
    fields = item.value
    python = fields.get("python") or ""
    if not isinstance(python, str) or re.fullmatch(r"[0-9.<>=!~, *]*", python) is None:
        raise _wrong(table.file, item, f"{key}.python", f"must be a version such as 3.9, found {python!r}")
    for field, read in (
        ("conda_file", conda.read_conda_file),
        ("requirements", requirement_files.read_requirements_file),
    ):
        if field in fields:
            found = read(_path(table, item, key, field))
            return replace(found, python=python or found.python)
    collected = requirement_files.Collected()
    entries = fields.get("packages") or []
    if not isinstance(entries, list) or not all(isinstance(each.value, str) for each in entries):
        raise _wrong(
            table.file, item, f"{key}.packages", "must be a list of requirements, as in `numpy>=1.21,<2`"
        )
    lines = (requirement_files.Line(each.value, table.file, each.line, table.folder) for each in entries)
    requirement_files.collect_items(collected, lines)
    return Requirements(
        python=python,
        packages=tuple(collected.packages),
        options=tuple(collected.options),
        notes=tuple(collected.notes),
    )


def _path(table: Table, item: Item, key: str, field: str) -> Path:
    value = item.value[field]
    if not isinstance(value, str):
        raise _wrong(table.file, item, f"{key}.{field}", "must be a path")
    path = table.folder / Path(value).expanduser()
    if not path.is_file():
        raise _wrong(table.file, item, f"{key}.{field}", f"there is no file {value!r} in {table.folder}")
    return path


def _said(reference: str, found: Requirements, table: Table) -> str:
    content = ", ".join([f"Python {found.python}" if found.python else "any Python", *found.packages])
    return f"{reference} stands for {content} ({table.file})"


def _wrong(file: str, item: Item, key: str, message: str, hint: str = "") -> SpecError:
    return SpecError(message, file=file, line=item.line, key=key, hint=hint)


def _unknown(reference: str, places: Iterable[Path], tables: Iterable[Table]) -> SpecError:
    key = _key(reference)
    known = [each for table in tables for each in table.entries]
    close = difflib.get_close_matches(key, known, 1, cutoff=0.75)
    snippet = f'{_quoted(key)}:\n  python: "3.10"\n  packages: [scikit-learn==1.5.2, numpy, pandas]'
    where = ", or ".join(str(place) for place in places)
    return SpecError(
        f"the environment {reference!r} is not known on this machine"
        + (f"; close is {close[0]!r}" if close else ""),
        hint=f"say what it holds in {where}:\n\n{snippet}\n\n"
        "(or give `conda_file: conda.yml` in place of packages), or serve with --environment current",
    )


def _key(reference: str) -> str:
    """The key to propose for `reference`: its name without version, label or tag."""
    names = names_of(reference)
    if _LONG_FORM.match(reference) or _SHORT_FORM.match(reference):
        return next(name for name in names if "/" not in name and ":" not in name and "@" not in name)
    return names[1] if len(names) > 1 else names[0]


def _quoted(key: str) -> str:
    return f'"{key}"' if ":" in key else key
