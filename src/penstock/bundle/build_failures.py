"""Why uv could not install: its log read for the package at fault, said with what to do about it.

Pure: text in, error out. What is not recognised is shown as uv said it.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from typing import List, Optional

from penstock.bundle import requirement_lines
from penstock.bundle.interpreters import Interpreter, dotted
from penstock.bundle.requirements import Requirements
from penstock.errors import EnvironmentBuildError

_ABSENT = re.compile(
    r"(?:Because|because|,|and) ([A-Za-z0-9._-]+) was not found in the (?:package registry|provided)"
)
_NO_VERSION = re.compile(r"there (?:is|are) no versions? of ([A-Za-z0-9._-]+)(?:\[[^\]]*\])?([^\s,]*)")
_OTHER_PYTHON = re.compile(
    r"does not satisfy Python([<>=!~][^\s]*) and ([A-Za-z0-9._-]+?)(?:\[[^\]]*\])?(==[^\s]+)? depends on Python"
)
_UNBUILT = re.compile(r"Failed to (?:build|download and build) `([^`@=]+)(?:[@=]+([^`]*))?`")
_UNREACHED = re.compile(r"(?:Failed to fetch:? `([^`]+)`|error sending request for url \(([^)]+)\))")
_NO_WHEEL = re.compile(r"\b([A-Za-z0-9._-]+?)(==\S+)? has no (?:usable wheels|wheels with a matching [^(,]*)")
_SHOWN_LINES = 12
_WIDTH = 400


def explain(log: str, requirements: Requirements, interpreter: Interpreter) -> EnvironmentBuildError:
    """The error for a failed ``uv pip install``; `log` is its standard error."""
    text = masked(log)
    flat = re.sub(r"\s+", " ", text)
    source = requirements.source or "the requirements"
    for reading in (_unreached, _absent, _unbuilt, _other_python, _no_wheel, _no_version):
        error = reading(flat, text, source, requirements, interpreter)
        if error is not None:
            return error
    return EnvironmentBuildError(
        "the packages of {} cannot be installed together on {}:\n{}".format(
            source, interpreter.label, _cause(text)
        ),
        hint="loosen one of the pins named above",
    )


def masked(text: str) -> str:
    """`text` without passwords in URLs."""
    return re.sub(r"(://)[^/@\s]+@", r"\1***@", text)


def asked(name: str, requirements: Requirements) -> str:
    """The requirement for `name` as the file has it, quoted; empty where it came as another's dependency."""
    wanted = requirement_lines.name_of(name)
    for line in requirements.packages:
        if requirement_lines.name_of(line) == wanted:
            return " (`{}`)".format(line.split(" --hash")[0])
    return ""


def _absent(
    flat: str, text: str, source: str, requirements: Requirements, interpreter: Interpreter
) -> Optional[EnvironmentBuildError]:
    match = _ABSENT.search(flat)
    if match is None:
        return None
    name = match[1]
    origin = asked(name, requirements) or ", which another package of it needs,"
    return EnvironmentBuildError(
        "{} asks for {}{} but no package index that is configured has it".format(source, name, origin),
        hint="check the spelling; if conda has it under this name, give the name it has on PyPI; if it is on a "
        "private index, add `--extra-index-url URL` or `--find-links DIR` to the pip list",
    )


def _no_version(
    flat: str, text: str, source: str, requirements: Requirements, interpreter: Interpreter
) -> Optional[EnvironmentBuildError]:
    match = _NO_VERSION.search(flat)
    if match is None:
        return None
    return EnvironmentBuildError(
        "{} asks for {}{}, and there is no {}{} on the package index".format(
            source, match[1], asked(match[1], requirements), match[1], match[2]
        ),
        hint="choose a version that exists; conda's versions are not always PyPI's",
    )


def _other_python(
    flat: str, text: str, source: str, requirements: Requirements, interpreter: Interpreter
) -> Optional[EnvironmentBuildError]:
    match = _OTHER_PYTHON.search(flat)
    if match is None:
        return None
    package = match[2] + (match[3] or "")
    return EnvironmentBuildError(
        "{} asks for {}{}, which needs Python {}; its environment is on {}".format(
            source, package, asked(match[2], requirements), match[1], interpreter.label
        ),
        hint="give `python={}` in the conda file, or a version of {} made for Python {}".format(
            match[1].lstrip("<>=!~"), match[2], dotted(interpreter.version[:2])
        ),
    )


def _unbuilt(
    flat: str, text: str, source: str, requirements: Requirements, interpreter: Interpreter
) -> Optional[EnvironmentBuildError]:
    match = _UNBUILT.search(flat)
    if match is None:
        return None
    package = match[1].strip() + ("==" + match[2] if match[2] else "")
    asker = asked(match[1].strip(), requirements) or ", needed by another package,"
    return EnvironmentBuildError(
        "{} asks for {}{} which has no ready-made wheel for {}, and building it from source failed:\n{}".format(
            source, package, asker, interpreter.label, _cause(text)
        ),
        hint="old pins have wheels for the Pythons of their day only: give the Python that they were made with "
        "(`python=3.8`), or loosen the pin",
    )


def _no_wheel(
    flat: str, text: str, source: str, requirements: Requirements, interpreter: Interpreter
) -> Optional[EnvironmentBuildError]:
    match = _NO_WHEEL.search(flat)
    if match is None:
        return None
    return EnvironmentBuildError(
        "{} asks for {}{}, which has no wheel for {} on this machine".format(
            source, match[1] + (match[2] or ""), asked(match[1], requirements), interpreter.label
        ),
        hint="give another Python in the conda file, or loosen the pin",
    )


def _unreached(
    flat: str, text: str, source: str, requirements: Requirements, interpreter: Interpreter
) -> Optional[EnvironmentBuildError]:
    match = _UNREACHED.search(flat)
    if match is None:
        return None
    return EnvironmentBuildError(
        "a package index cannot be reached: {}\n{}".format(match[1] or match[2], _cause(text)),
        hint="check the network and the index in pip's or uv's configuration; --environment current needs none",
    )


def _cause(text: str) -> str:
    """The part of uv's log that matters, short enough for a screen."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("error:")), 0)
    end = next((i for i, line in enumerate(lines) if i > start and line.startswith("hint:")), len(lines))
    body: List[str] = [line[:_WIDTH] for line in lines[start:end] if line.strip()]
    if len(body) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        body = [*body[:half], "  ... ({} lines left out)".format(len(body) - 2 * half), *body[-half:]]
    return "\n".join("  " + line for line in body)
