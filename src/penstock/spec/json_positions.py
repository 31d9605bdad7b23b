"""JSON that remembers the line of every key, and refuses a key that stands twice.

The standard library parses and finds the errors; a second walk over the same text, which is then known to be
JSON, only finds the places.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_ATOM = re.compile(r"[^\s,\]}]+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NotJson(ValueError):
    """The text is not JSON, or has a key twice; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class Positioned:
    """The parsed `value`, and for each key path the line of its key."""

    value: Any
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)


def parse(text: str) -> Positioned:
    """The value of `text` with positions. Raises NotJson."""
    walk = _Walk(text)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        walk.value(0, ())
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.lineno) from error
    except RecursionError as error:
        raise NotJson("too deeply nested", 1) from error
    except NotJson:
        raise
    except ValueError as error:
        raise NotJson(str(error), 1) from error
    return Positioned(value=value, lines=walk.lines)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


class _Walk:
    """Notes the line of each key of a text that is JSON."""

    def __init__(self, text: str) -> None:
        self.lines: dict[tuple[str | int, ...], int] = {}
        self._text = text

    def value(self, at: int, path: tuple[str | int, ...]) -> int:
        """Walks the value at `at`; returns where it ends."""
        at = self._skip(at)
        self.lines.setdefault(path, self._line(at))
        opening = self._text[at]
        if opening == "{":
            return self._object(at + 1, path)
        if opening == "[":
            return self._array(at + 1, path)
        return self._match(_STRING if opening == '"' else _ATOM, at)

    def _object(self, at: int, path: tuple[str | int, ...]) -> int:
        at = self._skip(at)
        while self._text[at] != "}":
            at = self._skip(at + 1) if self._text[at] == "," else at
            end = self._match(_STRING, at)
            here = (*path, json.loads(self._text[at:end]))
            if here in self.lines:
                first = self.lines[here]
                raise NotJson(f"the key {here[-1]!r} stood on line {first} already", self._line(at))
            self.lines[here] = self._line(at)
            at = self._skip(self.value(self._skip(end) + 1, here))
        return at + 1

    def _array(self, at: int, path: tuple[str | int, ...]) -> int:
        at = self._skip(at)
        index = 0
        while self._text[at] != "]":
            at = self._skip(at + 1) if self._text[at] == "," else at
            at = self._skip(self.value(at, (*path, index)))
            index += 1
        return at + 1

    def _skip(self, at: int) -> int:
        return self._match(_SPACE, at)

    def _match(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self._text, at)
        assert found is not None, "json.loads accepted the text"
        return found.end()

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1
