"""The parallel step of a pipeline job, as a document of its own.

Azure ML runs parallel steps in pipelines only, so that is where people have them. The rest of the pipeline is
not run: what another step would have made is given on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.spec import paths
from penstock.spec.documents import Document
from penstock.spec.parallel_bindings import EXPRESSION, is_remote


def parallel_step(
    document: Document, named: str, given: Mapping[str, str]
) -> tuple[Document, str, list[str]]:
    """The parallel step of the pipeline job `document`, its name, and notes; `named` says which, where there are
    several. In it, ``${{parent.inputs.x}}`` is replaced by what the pipeline says of x, or by what is `given`.

    Raises SpecError where there is none, or several and none is named.
    """
    jobs = document.data.get("jobs")
    if not isinstance(jobs, dict):
        raise document.error("must be a mapping of step names to steps", "jobs")
    steps = [name for name, job in jobs.items() if isinstance(job, dict) and _is_parallel(job)]
    if not steps:
        raise document.error(
            "this pipeline has no step of type: parallel",
            "jobs",
            hint="pipelines are not here yet; penstock score takes their parallel steps",
        )
    if named and named not in steps:
        raise document.error(
            f"there is no parallel step {named!r}", "jobs", hint=f"the parallel steps are {', '.join(steps)}"
        )
    if len(steps) > 1 and not named:
        raise document.error(
            f"there are {len(steps)} parallel steps: {', '.join(steps)}",
            "jobs",
            hint="say which with --step NAME",
        )
    name = named or steps[0]
    others = [each for each in jobs if each != name]
    notes = [f"{document.file}: of this pipeline only the step {name} is run"] if others else []
    return _step(document, name, given), name, notes


def _is_parallel(job: Mapping[str, Any]) -> bool:
    return str(job.get("type", "")).lower() == "parallel" or "task" in job


def _step(document: Document, name: str, given: Mapping[str, str]) -> Document:
    inputs = document.data.get("inputs")
    known: dict[str, Any] = {**(inputs if isinstance(inputs, dict) else {})}
    for each in known.keys() & given.keys():
        value = known[each]
        known[each] = {**value, "path": _path(given[each])} if isinstance(value, dict) else given[each]
    data = _bound(document.data["jobs"][name], known)
    at = ("jobs", name)
    return Document(
        file=document.file,
        folder=document.folder,
        data=data,
        lines={path[2:]: line for path, line in document.lines.items() if path[:2] == at},
        texts={path[2:]: text for path, text in document.texts.items() if path[:2] == at},
    )


def _path(said: str) -> str:
    return said if is_remote(said) else str(paths.absolute(said))


def _bound(value: Any, inputs: Mapping[str, Any]) -> Any:
    """`value` with every ``${{parent.inputs.x}}`` replaced that can be: by the input itself where nothing else
    stands there, else by its text."""
    if isinstance(value, dict):
        found = _whole(value.get("path"), inputs)
        bound = {key: _bound(each, inputs) for key, each in value.items()}
        # Azure ML's SDK writes an input as {path: ${{parent.inputs.x}}}, whatever x is.
        if isinstance(found, Mapping):
            return {**found, **{key: each for key, each in bound.items() if key != "path"}}
        return bound if found is None else found
    if isinstance(value, list):
        return [_bound(each, inputs) for each in value]
    if not isinstance(value, str):
        return value
    if EXPRESSION.fullmatch(value):
        found = _whole(value, inputs)
        return value if found is None else found

    def text_of(match: Any) -> str:
        found = inputs.get(_parents(match[1]))
        return str(found) if isinstance(found, (str, int, float)) else str(match[0])

    return EXPRESSION.sub(text_of, value)


def _whole(value: Any, inputs: Mapping[str, Any]) -> Any:
    """The input that `value` stands for, where it is an expression and nothing else; else None."""
    match = EXPRESSION.fullmatch(value) if isinstance(value, str) else None
    return None if match is None else inputs.get(_parents(match[1]))


def _parents(expression: str) -> str:
    return expression.removeprefix("parent.inputs.") if expression.startswith("parent.inputs.") else ""
