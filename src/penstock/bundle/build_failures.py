"""Why uv could not install: its log read for the package at fault, said with what to do about it.

Pure: text in, error out. What is not recognised is shown as uv said it.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.bundle import requirement_lines
from penstock.bundle.interpreters import Interpreter, dotted
from penstock.bundle.requirements import Requirements
from penstock.errors import EnvironmentBuildError

_PACKAGE = r"([A-Za-z0-9._-]+?)(?:\[[^\]]*\])?"
_ABSENT = re.compile(
    r"(?:[Bb]ecause|,|and) ([A-Za-z0-9._-]+) was not found in the (?:package registry|provided)"
)
_NO_VERSION = re.compile(rf"there (?:is|are) no versions? of {_PACKAGE}((?:[<>=!~][^\s]*)?)[\s,]")
_OTHER_PYTHON = re.compile(
    rf"does not satisfy Python>=([\d.]+) and (?:all of: )?{_PACKAGE}([<>=!~][^\s]*)?"
    r"(?: [^\s]+[<>=!~][^\s]*)* depends? on Python"
)
_UNBUILT = re.compile(r"Failed to (?:build|download and build) `([^`@=]+)(?:[@=]+([^`]*))?`")
_UNREACHED = re.compile(r"(?:Failed to fetch:? `([^`]+)`|error sending request for url \(([^)]+)\))")
_NO_WHEEL = re.compile(rf"\b{_PACKAGE}(==\S+)? has no (?:usable wheels|wheels with a matching [^(,]*)")
_SHOWN_LINES = 12
_WIDTH = 400


def explain(log: str, requirements: Requirements, interpreter: Interpreter) -> EnvironmentBuildError:
    """The error for a failed ``uv pip install``; `log` is its standard error."""
    failure = _Failure(masked(log), requirements, interpreter)
    for reading in (
        failure.disk,
        failure.offline,
        failure.unreached,
        failure.absent,
        failure.unbuilt,
        failure.other_python,
        failure.no_wheel,
        failure.no_version,
    ):
        error = reading()
        if error is not None:
            return error
    if "No solution found" in log:
        return EnvironmentBuildError(
            f"the packages of {failure.source} cannot be installed together on {interpreter.label}:\n"
            f"{failure.cause}",
            hint="loosen one of the pins named above",
        )
    return EnvironmentBuildError(
        f"uv could not install the packages of {failure.source} on {interpreter.label}:\n{failure.cause}"
    )


def masked(text: str) -> str:
    """`text` without passwords in URLs."""
    return re.sub(r"(://)[^/@\s]+@", r"\1***@", text)


@dataclass(frozen=True)
class _Failure:
    """uv's log, and what it was to install where; each method reads one kind of failure, or returns None."""

    log: str
    requirements: Requirements
    interpreter: Interpreter

    @property
    def flat(self) -> str:
        return re.sub(r"\s+", " ", self.log)

    @property
    def source(self) -> str:
        return self.requirements.source or "the requirements"

    @property
    def cause(self) -> str:
        """The part of the log that matters, short enough for a screen."""
        lines = self.log.splitlines()
        start = next((i for i, line in enumerate(lines) if line.startswith("error:")), 0)
        end = next((i for i, line in enumerate(lines) if i > start and line.startswith("hint:")), len(lines))
        body = [line[:_WIDTH] for line in lines[start:end] if line.strip()]
        if len(body) > _SHOWN_LINES:
            half = _SHOWN_LINES // 2
            body = [*body[:half], f"  ... ({len(body) - 2 * half} lines left out)", *body[-half:]]
        return "\n".join("  " + line for line in body)

    def asked(self, name: str, version: str = "") -> str:
        """Who asks for a package: the file in so many words, or another package."""
        wanted = requirement_lines.name_of(name)
        for line in self.requirements.packages:
            if requirement_lines.name_of(line) == wanted:
                return f"{self.source} asks for `{line.split(' --hash')[0]}`"
        return f"a package of {self.source} needs {name}{version}"

    def disk(self) -> EnvironmentBuildError | None:
        match = re.search(r"(No space left on device|Permission denied|Read-only file system)", self.flat)
        if match is None:
            return None
        return EnvironmentBuildError(
            f"the environment of {self.source} cannot be written: {match[1]}\n{self.cause}",
            hint="make room, or name another folder with PENSTOCK_CACHE (environments) and UV_CACHE_DIR (wheels)",
        )

    def offline(self) -> EnvironmentBuildError | None:
        match = re.search(r"([A-Za-z0-9._-]+) was not found in the cache", self.flat)
        if match is None:
            return None
        return EnvironmentBuildError(
            f"{self.asked(match[1])}; uv is told to stay offline, and its cache does not hold {match[1]}",
            hint="serve once with the network (without UV_OFFLINE), or give `--find-links DIR` in the pip list",
        )

    def absent(self) -> EnvironmentBuildError | None:
        match = _ABSENT.search(self.flat)
        if match is None:
            return None
        return EnvironmentBuildError(
            f"{self.asked(match[1])}, but no package index that is configured has a package {match[1]}",
            hint="check the spelling; if conda has it under this name, give the name it has on PyPI; "
            "if it is on a private index, add `--extra-index-url URL` or `--find-links DIR` to the pip list",
        )

    def no_version(self) -> EnvironmentBuildError | None:
        match = _NO_VERSION.search(self.flat)
        if match is None:
            return None
        package = match[1] + match[2]
        return EnvironmentBuildError(
            f"{self.asked(match[1], match[2])}, and no package index that is configured has {package}",
            hint="choose a version that exists; conda's versions are not always PyPI's",
        )

    def other_python(self) -> EnvironmentBuildError | None:
        found = _OTHER_PYTHON.findall(self.flat)
        if not found:
            return None
        # Of several versions that would do, the one that asks least of Python.
        needed, name, version = min(
            found, key=lambda each: [int(part) for part in each[0].split(".") if part]
        )
        series = dotted(self.interpreter.version[:2])
        return EnvironmentBuildError(
            f"{self.asked(name, version)}, which needs Python {needed} or newer; the environment is on "
            f"{self.interpreter.label}",
            hint=f"ask for python={needed}, or for a version of {name} made for Python {series}",
        )

    def unbuilt(self) -> EnvironmentBuildError | None:
        match = _UNBUILT.search(self.flat)
        if match is None:
            return None
        name, version = match[1].strip(), "==" + match[2] if match[2] else ""
        return EnvironmentBuildError(
            f"{self.asked(name, version)}; {name}{version} has no ready-made wheel for "
            f"{self.interpreter.label}, and building it from source failed:\n{self.cause}",
            hint="old pins have wheels for the Pythons of their day only: ask for the Python that they were "
            "made with (`python=3.8`), or loosen the pin",
        )

    def no_wheel(self) -> EnvironmentBuildError | None:
        match = _NO_WHEEL.search(self.flat)
        if match is None:
            return None
        package = match[1] + (match[2] or "")
        return EnvironmentBuildError(
            f"{self.asked(match[1], match[2] or '')}; {package} has no wheel for {self.interpreter.label} "
            "on this machine",
            hint="ask for another Python, or loosen the pin",
        )

    def unreached(self) -> EnvironmentBuildError | None:
        match = _UNREACHED.search(self.flat)
        if match is None:
            return None
        return EnvironmentBuildError(
            f"a package index cannot be reached: {match[1] or match[2]}\n{self.cause}",
            hint="check the network, and the index in pip's or uv's configuration; "
            "--environment current needs neither",
        )
