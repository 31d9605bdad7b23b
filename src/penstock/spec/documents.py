"""YAML and JSON files as plain values that remember their lines.

Errors in a file that people write must name file, line and key, so parsing keeps, for every key path, the
line of the key and the text as it was written. What `penstock.spec.validation` says about a key is looked up
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from penstock.errors import SpecError
from penstock.spec import json_positions, paths

KeyPath = tuple[str | int, ...]

_MOST_VALUES = 100_000
"""A file that grows beyond this by aliases of aliases is an attack or a mistake."""

_MOST_BYTES = 8 * 1024 * 1024

_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "map", "seq"))

_TEXT_TAGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
"""Implicit types that nobody means in these files: a version ``2024-01-31`` stays the text that it is."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file: `file` as the user named it, `folder` absolute, `data` a mapping, `lines` the line of each
    key (from 1), `texts` the source text of scalars that did not stay text (``yes``, ``1.10``)."""

    file: str
    folder: Path
    data: dict[str, Any]
    lines: Mapping[KeyPath, int]
    texts: Mapping[KeyPath, str]

    def line_of(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest key around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def error(self, message: str, *keys: str | int, hint: str = "") -> SpecError:
        """A SpecError about the key path `keys`."""
        return SpecError(message, file=self.file, line=self.line_of(keys), key=dotted(keys), hint=hint)


def dotted(path: KeyPath) -> str:
    """``("jobs", 0, "name")`` -> ``jobs[0].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_text(file: str) -> str:
    """The text of `file`. Raises SpecError: not there, a folder, too large, not UTF-8."""
    path = Path(file)
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= _MOST_BYTES else b""
    except FileNotFoundError:
        raise SpecError("no such file", file=file, hint=paths.neighbour(paths.absolute(file))) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", file=file) from error
    if size > _MOST_BYTES:
        raise SpecError(f"{size} bytes are too many for a file that people write", file=file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8", file=file, line=line, hint="save the file as UTF-8"
        ) from error


def read_yaml(file: str) -> Document:
    """The mapping in the YAML file `file`.

    Raises SpecError: unreadable, not YAML, empty, several documents, no mapping, a key twice, an unknown tag.
    """
    text = read_text(file)
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(
            f"the character U+{ord(text[error.position]):04X} cannot stand in YAML", file=file, line=line
        ) from error
    try:
        nodes = [node for node in _nodes(loader) if not _is_null(node)]
        if len(nodes) > 1:
            raise SpecError(
                "a second document starts here",
                file=file,
                line=nodes[1].start_mark.line + 1,
                hint="one file describes one deployment: split it at ---",
            )
        if not nodes:
            raise SpecError("the file is empty", file=file)
        builder = _Builder(file, loader)
        data = builder.build(nodes[0], ())
    except yaml.MarkedYAMLError as error:
        raise _of_yaml_error(file, text, error) from error
    except yaml.YAMLError as error:
        raise SpecError(f"not YAML: {error}", file=file) from error
    except RecursionError as error:
        raise SpecError("too deeply nested", file=file) from error
    finally:
        loader.dispose()
    return _document(file, data, builder.lines, builder.texts, nodes[0].start_mark.line + 1)


def read_json(file: str) -> Document:
    """The object in the JSON file `file`. Raises SpecError, as `read_yaml` does."""
    text = read_text(file)
    if not text.strip():
        raise SpecError("the file is empty", file=file)
    try:
        found = json_positions.parse(text)
    except json_positions.NotJson as error:
        raise SpecError(f"not JSON: {error}", file=file, line=error.line) from error
    return _document(file, found.value, found.lines, {}, 1)


def _document(
    file: str, data: object, lines: dict[KeyPath, int], texts: dict[KeyPath, str], first_line: int
) -> Document:
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else f"{data!r}"
        raise SpecError(f"must hold a mapping of keys to values, found {kind}", file=file, line=first_line)
    folder = paths.absolute(file).parent
    return Document(file=file, folder=folder, data=data, lines=lines, texts=texts)


def _nodes(loader: yaml.SafeLoader) -> Iterator[yaml.Node]:
    while loader.check_node():
        node = loader.get_node()
        if node is not None:
            yield node


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _of_yaml_error(file: str, text: str, error: yaml.MarkedYAMLError) -> SpecError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    hint = ""
    if re.match(r"\s*\t", written) or "'\\t'" in str(error.problem):
        return SpecError("a tab indents this line", file=file, line=line, hint="YAML is indented with spaces")
    if "{{" in written or "${{" in written:
        hint = "this looks like a template: put a value where the braces are, or quotes around them"
    elif "mapping values are not allowed" in str(error.problem):
        hint = "a value with a colon and a space in it needs quotes"
    said = " ".join(part for part in (error.problem, error.context) if part)
    return SpecError(f"not YAML: {said}", file=file, line=line, hint=hint)


class _Builder:
    """Values of a node tree, and where each key stood."""

    def __init__(self, file: str, loader: yaml.SafeLoader) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.texts: dict[KeyPath, str] = {}
        self._file = file
        self._loader = loader
        self._open: list[yaml.Node] = []
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES or node in self._open:
            raise self._error("aliases make this file endless", node, path)
        if node.tag not in _TAGS + _TEXT_TAGS:
            raise self._error(f"the tag {node.tag} means nothing here", node, path)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        finally:
            self._open.pop()

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag in _TEXT_TAGS:
            return node.value
        try:
            value = self._loader.construct_object(node)
        except ValueError as error:
            raise self._error(f"{node.value!r} cannot be read: {error}", node, path) from error
        if not isinstance(value, str):
            self.texts[path] = node.value
        return value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged.update(self._merge(value_node, path))
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(
                    "a mapping or list stands where a key should",
                    key_node,
                    path,
                    hint="if this is a template such as {{NAME}}, put a value there",
                )
            key = key_node.value
            here = (*path, key)
            if key in own:
                first = self.lines[here]
                raise self._error(f"the key stands here again; it stood on line {first}", key_node, here)
            self.lines[here] = key_node.start_mark.line + 1
            own[key] = self.build(value_node, here)
        return {**merged, **own}

    def _merge(self, node: yaml.Node, path: KeyPath) -> dict[str, Any]:
        """What ``<<`` brings: of several mappings the first wins, as YAML's merge type says."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            if not isinstance(source, yaml.MappingNode):
                raise self._error("<< takes a mapping, or a list of mappings", source, path)
            self._open.append(node)
            merged.update(self._mapping(source, path))
            self._open.pop()
            for key in merged:
                self.lines.pop((*path, key), None)
        for key_node, _ in (pair for source in sources for pair in source.value):
            if isinstance(key_node, yaml.ScalarNode):
                self.lines.setdefault((*path, key_node.value), key_node.start_mark.line + 1)
        return merged

    def _error(self, message: str, node: yaml.Node, path: KeyPath, hint: str = "") -> SpecError:
        return SpecError(message, file=self._file, line=node.start_mark.line + 1, key=dotted(path), hint=hint)
