"""Whether an interpreter already holds what requirements ask for.

A model that was logged a minute ago, on this very machine, should be served now and not after an environment
has been built. Only what can be decided for certain is decided: anything unusual counts as not satisfied, and
then the environment is built.
"""

from __future__ import annotations

import importlib.metadata
import operator
import re
import sys
from collections.abc import Callable

from penstock.bundle.requirements import Requirements

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*")
_CLAUSE = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*(\d+(?:\.\d+)*)\s*")
_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


def installed_version(name: str) -> str:
    """The version of distribution `name` in this interpreter; empty: not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def is_satisfied(
    requirements: Requirements,
    version_of: Callable[[str], str],
    python: tuple[int, int] = (sys.version_info[0], sys.version_info[1]),
) -> bool:
    """Whether an interpreter `python`, whose distributions `version_of` tells, meets `requirements`."""
    if requirements.options:
        return False
    if requirements.python and not _is_python(requirements.python, python):
        return False
    return all(_is_met(line, version_of) for line in requirements.packages)


def _is_python(said: str, python: tuple[int, int]) -> bool:
    """Whether ``3``, ``3.11`` or ``3.11.4`` is `python`, patch releases aside."""
    return re.fullmatch(r"\d+(\.\d+)*", said) is not None and (
        tuple(int(part) for part in said.split(".")[:2]) in {python, python[:1]}
    )


def _is_met(line: str, version_of: Callable[[str], str]) -> bool:
    named = _NAME.match(line)
    if named is None:
        return False
    installed = version_of(named[1])
    if not re.fullmatch(r"\d+(\.\d+)*(\+[\w.]+)?", installed):
        return False
    rest = line[named.end() :].strip().strip("()")
    if not rest:
        return True
    for part in rest.split(","):
        clause = _CLAUSE.fullmatch(part)
        if clause is None or not _COMPARE[clause[1]](_release(installed), _release(clause[2])):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    """``1.5.0+cpu`` -> (1, 5): trailing zeros dropped, so that 1.5 and 1.5.0 are equal."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
