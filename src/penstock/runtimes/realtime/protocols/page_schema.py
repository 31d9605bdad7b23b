"""What a deployment's OpenAPI 3 document says of its payload, flattened for a table that people read. Pure.

Documents come from users too, so anything may be missing, wrong or without end: whatever is not understood is
left out, and depth and length are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

DEEPEST: Final = 5
MOST_LINES: Final = 400

_NAMES = {
    "number": "number",
    "integer": "whole number",
    "string": "string",
    "boolean": "true or false",
    "null": "null",
}
_FORMATS = {"date-time": "date-time", "date": "date", "byte": "base64", "binary": "bytes"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table. `depth` counts from 0. `is_group` marks the heading of one of several forms."""

    depth: int
    name: str
    type: str
    is_required: bool = False
    allowed: tuple[Any, ...] = ()
    note: str = ""
    is_group: bool = False


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the page tells of a service. `sample` is None where the document has none."""

    title: str
    description: str
    version: str
    inputs: tuple[Line, ...]
    input_note: str
    outputs: tuple[Line, ...]
    is_cut: bool
    sample: Any
    operations: tuple[tuple[str, str, str], ...]
    """``(method, path, summary)``."""


def read(document: Mapping[str, Any]) -> Service:
    """The service that an OpenAPI 3 `document` describes."""
    info = _mapping(document.get("info"))
    score = _score_operation(document)
    media = _media(document, _mapping(score.get("requestBody")))
    answers = _mapping(score.get("responses"))
    answer = _media(document, _resolve(document, answers.get("200")))
    inputs = list(islice(_Walk(document).form(media.get("schema")), MOST_LINES + 1))
    return Service(
        title=_text(info.get("title")),
        description=_text(info.get("description")),
        version=_text(info.get("version")),
        inputs=tuple(inputs[:MOST_LINES]),
        input_note=_text(_resolve(document, media.get("schema")).get("description")),
        outputs=tuple(islice(_Walk(document).form(answer.get("schema")), MOST_LINES)),
        is_cut=len(inputs) > MOST_LINES,
        sample=_sample(document, media),
        operations=tuple(_operations(document)),
    )


def _score_operation(document: Mapping[str, Any]) -> Mapping[str, Any]:
    for path, item in _mapping(document.get("paths")).items():
        if str(path).endswith("/score"):
            return _mapping(_mapping(item).get("post"))
    return {}


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for path, item in _mapping(document.get("paths")).items():
        for method in ("get", "post"):
            operation = _mapping(item).get(method)
            if isinstance(operation, Mapping):
                summary = _text(operation.get("summary")) or _text(operation.get("description"))
                yield method.upper(), str(path), summary


def _media(document: Mapping[str, Any], holder: Mapping[str, Any]) -> Mapping[str, Any]:
    content = _mapping(_resolve(document, holder).get("content"))
    return _mapping(content.get("application/json"))


def _sample(document: Mapping[str, Any], media: Mapping[str, Any]) -> Any:
    """The first example there is: of the media type, or of its schema. The placeholder ``{}`` is none."""
    schema = _resolve(document, media.get("schema"))
    named = [_mapping(example).get("value") for example in _mapping(media.get("examples")).values()]
    listed = schema.get("examples")
    forms = [_resolve(document, form).get("example") for form in _forms(schema)]
    for found in (
        media.get("example"),
        *named,
        schema.get("example"),
        *(listed if isinstance(listed, list) else []),
        *forms,
    ):
        if found is not None and found != {}:
            return found
    return None


class _Walk:
    """One walk through a schema; what a reference names is spelt out where it comes first."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._told: set[str] = set()

    def form(self, schema: Any) -> Iterator[Line]:
        """The lines of a payload: its forms if there are several, else what is in it."""
        document = self._document
        resolved = _resolve(document, schema)
        forms = [_resolve(document, form) for form in _forms(resolved)]
        if not forms:
            lines = list(self._inside(schema, 0))
            if not lines and resolved:
                note = _note(resolved) or _note_within(document, resolved)
                lines = [Line(depth=0, name="", type=_type(document, resolved), note=note)]
            yield from lines
        for number, form in enumerate(forms, start=1):
            title = _text(form.get("title")) or f"Form {number}"
            yield Line(depth=0, name=title, type=_type(document, form), note=_note(form), is_group=True)
            yield from self._inside(form, 1)

    def _inside(self, schema: Any, depth: int) -> Iterator[Line]:
        if depth >= DEEPEST:
            return
        document = self._document
        reference = _mapping(schema).get("$ref")
        if isinstance(reference, str):
            if reference in self._told:
                yield Line(depth=depth, name="", type="", note="the same as above")
                return
            self._told.add(reference)
        resolved = _resolve(document, schema)
        if "items" in resolved:
            # A list of lists of numbers is told by its type alone; a list of rows by what a row holds.
            yield from self._inside(resolved["items"], depth)
            return
        required = resolved.get("required")
        needed = required if isinstance(required, list) else []
        for name, value in _mapping(resolved.get("properties")).items():
            inner = _resolve(document, value)
            yield Line(
                depth=depth,
                name=str(name),
                type=_type(document, inner),
                is_required=name in needed,
                allowed=_allowed(document, inner),
                note=_note(inner) or _note_within(document, inner),
            )
            yield from self._inside(value, depth + 1)


def _note_within(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The first note on what a list holds, unless that is spelt out in lines of its own."""
    for _ in range(DEEPEST):
        if "items" not in schema or "properties" in schema:
            break
        schema = _resolve(document, schema["items"])
        note = "" if "properties" in schema else _note(schema)
        if note:
            return note
    return ""


def _forms(schema: Mapping[str, Any]) -> list[Any]:
    for key in ("oneOf", "anyOf"):
        forms = schema.get(key)
        if isinstance(forms, list) and forms:
            return forms
    return []


def _type(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> str:
    if depth >= DEEPEST:
        return "..."
    kind = schema.get("type")
    if isinstance(kind, list):
        return (
            " or ".join(_type(document, {**schema, "type": each}, depth + 1) for each in kind) or "anything"
        )
    forms = _forms(schema)
    if forms and kind is None:
        names = [_type(document, _resolve(document, form), depth + 1) for form in forms]
        return " or ".join(dict.fromkeys(names))
    if kind == "array" or "items" in schema:
        items = _resolve(document, schema.get("items"))
        inner = _type(document, items, depth + 1) if items else "anything"
        size = schema.get("minItems")
        exact = f" ({size})" if isinstance(size, int) and size == schema.get("maxItems") else ""
        return f"list{exact} of {inner}"
    if kind == "object" or "properties" in schema:
        return "object"
    name = _FORMATS.get(_text(schema.get("format"))) if kind == "string" else None
    name = name or _NAMES.get(_text(kind)) or "anything"
    return f"{name} or null" if schema.get("nullable") is True else name


def _allowed(document: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[Any, ...]:
    for each in (schema, _resolve(document, schema.get("items"))):
        values = each.get("enum")
        if isinstance(values, list):
            return tuple(values)
    return ()


def _note(schema: Mapping[str, Any]) -> str:
    note = _text(schema.get("description"))
    default = schema.get("default")
    return f"{note} (default {default})".strip() if isinstance(default, (str, int, float)) else note


def _resolve(document: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """`schema`, or what its ``$ref`` within the document points to."""
    found = _mapping(schema)
    for _ in range(DEEPEST):
        reference = found.get("$ref")
        if not isinstance(reference, str):
            return found
        target: Any = document
        for step in reference.lstrip("#/").split("/"):
            target = _mapping(target).get(step.replace("~1", "/").replace("~0", "~"))
        found = _mapping(target)
    return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
