"""``name:`` and ``endpoint_name:`` of a deployment file."""

from __future__ import annotations

from penstock.spec import limits, placeholders
from penstock.spec.documents import Document
from penstock.spec.paths import absolute


def check(document: Document, name: str | None, endpoint_name: str | None) -> list[str]:
    """Raises SpecError for a `name` that Azure ML would refuse; returns notes on what does not matter here."""
    problem = limits.name_problem(name) if name is not None else ""
    if name is not None and problem:
        raise document.error(f"{problem}, found {name!r}", "name", hint=placeholders.hint_for(name))
    notes = [] if name else [f"{document.file} has no name: the deployment is called after the file"]
    if endpoint_name is not None and limits.name_problem(endpoint_name):
        said = f"{document.file}:{document.line_of(('endpoint_name',))}: "
        notes.append(
            f"{said}endpoint_name {endpoint_name!r} is a placeholder; that is no matter on one machine"
            if placeholders.hint_for(endpoint_name)
            else f"{said}Azure ML would refuse the endpoint_name {endpoint_name!r}; that is no matter here"
        )
    return notes


def name_of(document: Document, name: str | None) -> str:
    """`name`, or what a deployment without one is called: as its file."""
    return name or absolute(document.file).stem
