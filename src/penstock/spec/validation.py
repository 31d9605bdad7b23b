"""From a Document to a pydantic model, every complaint in the reader's words.

All problems of a file are reported at once: who has misspelt two keys should not have to run twice.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pydantic
from pydantic_core import ErrorDetails

from penstock.errors import SpecError
from penstock.spec.documents import Document, KeyPath, dotted


class Section(pydantic.BaseModel):
    """One mapping of a file: frozen, no unknown keys. `older_keys` says of keys that were once, or are
    somewhere else, valid what to write instead; `older_mappings` the same of keys that once held a mapping."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True
    )
    older_keys: ClassVar[dict[str, str]] = {}
    older_mappings: ClassVar[dict[str, str]] = {}


S = TypeVar("S", bound=Section)


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One complaint; ordered by line."""

    line: int
    key: str
    message: str


def validated(document: Document, kind: type[S]) -> S:
    """`document` as a `kind`. Raises one SpecError that tells of every problem, each on its own line with
    file, line and key; its `line` and `key` are the first problem's."""
    try:
        return kind.model_validate(document.data)
    except pydantic.ValidationError as error:
        raise as_error(document, sorted(_problems(document, kind, error))) from error


def as_error(document: Document, problems: list[Problem]) -> SpecError:
    """One SpecError for `problems`, of which there is at least one."""
    first, *others = problems
    message = "\n".join(
        [first.message, *(f"{document.file}:{each.line}: {each.key}: {each.message}" for each in others)]
    )
    return SpecError(message, file=document.file, line=first.line, key=first.key)


def _problems(document: Document, kind: type[Section], error: pydantic.ValidationError) -> Iterator[Problem]:
    details = error.errors(include_url=False)
    misspelt: set[KeyPath] = set()
    for detail in details:
        if detail["type"] == "extra_forbidden":
            path = _path_in(document.data, detail)
            near, _ = _nearest(kind, path)
            misspelt.add((*path[:-1], near))
    for detail in details:
        path = _path_in(document.data, detail)
        if detail["type"] == "missing" and path in misspelt:
            continue
        yield Problem(
            line=document.line_of(path), key=dotted(path), message=_message(document, kind, path, detail)
        )


def _message(document: Document, kind: type[Section], path: KeyPath, detail: ErrorDetails) -> str:
    kind_of_error = detail["type"]
    context = detail.get("ctx", {})
    if kind_of_error == "extra_forbidden":
        return _unknown_key(kind, path)
    if kind_of_error == "missing":
        return "is missing"
    found = _found(document, path, detail["input"])
    if kind_of_error == "literal_error":
        return _wrong_word(str(context["expected"]), detail["input"], found)
    if kind_of_error == "value_error":
        return f"{context['error']}, found {found}"
    if kind_of_error == "string_type" and isinstance(detail["input"], (int, float)):
        return f"must be text, found {found}; put it in quotes"
    if kind_of_error == "string_type" and isinstance(detail["input"], dict):
        for model in _sections_at(kind, path[:-1]):
            if path[-1] in model.older_mappings:
                return f"must be text, found {found}; {model.older_mappings[str(path[-1])]}"
    expectation = _EXPECTATIONS.get(kind_of_error)
    if expectation is None:
        return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, found {found}"
    return f"must be {expectation.format(**context)}, found {found}"


_EXPECTATIONS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "more than {gt}",
    "less_than": "less than {lt}",
}


def _unknown_key(kind: type[Section], path: KeyPath) -> str:
    near, models = _nearest(kind, path)
    for model in models:
        if str(path[-1]) in model.older_keys:
            return f"unknown key; {model.older_keys[str(path[-1])]}"
    if near:
        return f"unknown key; did you mean {near}?"
    known = sorted({key for model in models for key in keys_of(model)} - {"$schema"})
    return f"unknown key; the keys here are {', '.join(known)}" if known else "unknown key"


def _wrong_word(expected: str, value: object, found: str) -> str:
    words = [word.strip("'\"") for word in expected.replace(" or ", ", ").split(", ")]
    near = difflib.get_close_matches(str(value).lower(), words, n=1, cutoff=0.5)
    question = f"; did you mean {near[0]}?" if near else ""
    said = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return f"must be {said}, found {found}{question}"


def _found(document: Document, path: KeyPath, value: object) -> str:
    """`value` as it was written."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else repr(value[:57] + "...")
    text = document.texts.get(path, str(value))
    if isinstance(value, bool) and text.lower() != str(value).lower():
        return f"{text}, which YAML reads as {str(value).lower()}"
    return text


def _nearest(kind: type[Section], path: KeyPath) -> tuple[str, list[type[Section]]]:
    """The known key that is most like the last of `path`, or empty, and the sections that may stand there."""
    models = _sections_at(kind, path[:-1])
    known = [key for model in models for key in keys_of(model)]
    near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    return (near[0] if near else ""), models


def keys_of(model: type[Section]) -> list[str]:
    """The keys that `model` knows, as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _sections_at(kind: type[Section], path: KeyPath) -> list[type[Section]]:
    """The sections that may stand at `path` of a `kind`."""
    here = [kind]
    for part in path:
        annotations: list[Any] = []
        for model in here:
            for name, field in model.model_fields.items():
                if part == (field.alias or name):
                    annotations.append(field.annotation)
        if annotations:
            here = [model for annotation in annotations for model in _sections_in(annotation)]
        # Otherwise `part` is a key of a free mapping (a collection's name), and the sections stay.
    return here


def _sections_in(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _sections_in(argument)]


def _path_in(data: object, detail: ErrorDetails) -> KeyPath:
    """The key path of an error: pydantic's location without the names of union members and validators."""
    path: list[str | int] = []
    here: Any = data
    location = detail["loc"]
    for index, part in enumerate(location):
        if _holds(here, part):
            path.append(part)
            here = here[part]
        elif index == len(location) - 1 and detail["type"] == "missing":
            path.append(part)
    return tuple(path)


def _holds(value: object, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
