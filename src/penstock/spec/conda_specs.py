"""Conda's way of asking for a package, taken apart and said in PEP 440. Pure.

``=1.2`` is any 1.2, ``==1.2`` and a version beside a build string are exact, ``1.2*`` is a prefix, ``|``
is or.
Sources: conda's "Package match specifications" page, PEP 440.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_BRACKETS = re.compile(r"\[(.*)\]\s*\Z")
_CLAUSE = re.compile(r"(?P<operator>===|==|~=|!=|>=|<=|>|<|=|)(?P<version>.*)\Z")
_PEP440 = re.compile(
    r"(\d+!)?\d+(\.\d+)*((a|b|c|rc|alpha|beta|pre|preview)\d*)?(\.?post\d*)?(\.?dev\d*)?"
    r"(\+[a-z0-9.]+)?\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class MatchSpec:
    """``channel::name=version=build``: `version` is conda's own text, its operators in it; what is not said
    is empty."""

    name: str
    version: str = ""
    build: str = ""
    channel: str = ""


def parse(text: str) -> MatchSpec:
    """Take a dependency apart. Raises ValueError saying what is wrong."""
    rest = re.sub(r"(^|\s)#.*\Z", "", text).strip()
    brackets: dict[str, str] = {}
    match = _BRACKETS.search(rest)
    if match is not None:
        brackets = dict(re.findall(r"(\w+)\s*=\s*[\"']?([^\"',]+(?:,[<>=!~][^\"',]*)*)[\"']?", match[1]))
        rest = rest[: match.start()].strip()
    channel, separator, after = rest.rpartition("::")
    rest = after if separator else rest
    name = _NAME.match(rest)
    if name is None:
        raise ValueError(f"{text!r} is not a conda dependency")
    version, build = _version_and_build(rest[name.end() :].strip())
    return MatchSpec(
        name=name[0].lower(),
        version=brackets.get("version", version).strip(),
        build=brackets.get("build", build).strip(),
        channel=brackets.get("channel", channel).strip(),
    )


def _version_and_build(text: str) -> tuple[str, str]:
    tight = re.sub(r"\s*([<>=!~|,]+)\s*", r"\1", text)
    version, _, build = tight.partition(" ")
    if build:
        return version, build.strip()
    lead = "=" if version.startswith("=") and not version.startswith("==") else ""
    body = version[len(lead) :]
    split = re.search(r"(?<![<>=!~|,])=(?!=)", body)
    if split is not None and split.start() > 0:
        return lead + body[: split.start()], body[split.end() :]
    return version, ""


def pep440(version: str, build: str = "") -> tuple[str, str]:
    """A conda `version` as a PEP 440 specifier, and a note where the two cannot say the same (else empty).

    Raises ValueError where PyPI cannot have such a version.
    """
    # The single sign of equality stands before all alternatives: =1.2|1.3 is any 1.2 or any 1.3.
    fuzzy = "=" if re.match(r"=(?!=)", version) else ""
    alternatives = [fuzzy + part.removeprefix(fuzzy) for part in version.split("|") if part.strip()]
    if not alternatives:
        return "", ""
    chosen = max(alternatives, key=_highest)
    exact = bool(build) and build != "*"
    clauses = [_clause(part.strip(), exact) for part in chosen.split(",") if part.strip()]
    note = f"of {version!r} only {chosen!r} is asked, as pip knows no 'or'" if len(alternatives) > 1 else ""
    return ",".join(clause for clause in clauses if clause), note


def _highest(alternative: str) -> list[int]:
    """Numbers of the newest version that an alternative names."""
    return max([int(number) for number in re.findall(r"\d+", part)] for part in [*alternative.split(",")])


def _clause(text: str, exact: bool) -> str:
    match = _CLAUSE.match(text)
    assert match is not None  # the pattern takes any text
    operator, version = match["operator"], match["version"].strip()
    if version in ("*", ""):
        return ""
    wildcard = version.endswith("*")
    bare = re.sub(r"\.?\*\Z", "", version)
    if _PEP440.match(bare) is None:
        raise ValueError(f"{text!r} is conda's own way of writing versions, which PyPI does not know")
    if operator in ("", "=", "==", "==="):
        fuzzy = wildcard or (operator == "=" and not exact)
        return f"=={bare}.*" if fuzzy and re.fullmatch(r"(\d+!)?\d+(\.\d+)*", bare) else f"=={bare}"
    if operator == "!=":
        return f"!={bare}.*" if wildcard else f"!={bare}"
    if operator == "~=" and "." not in bare:
        return f">={bare}"
    # Beside an order, conda ignores a wildcard: >=1.2.* is >=1.2.
    return f"{operator}{bare}"


def python_version(version: str) -> str:
    """What a conda file says of ``python``, as `Requirements.python` has it: ``3.8``, ``3.9.13`` or a range.

    ``==3.8`` is read as any 3.8, as everybody means it. Raises ValueError.
    """
    specifier, _ = pep440(version)
    single = re.fullmatch(r"==(\d+(?:\.\d+)*)(?:\.\*)?", specifier)
    return single[1] if single else specifier
