"""The ``MLmodel`` file of an MLflow model folder, without a YAML library.

A model's environment need not hold one, and MLflow writes a small part of YAML 1.1: block mappings and
sequences, plain and quoted scalars folded over lines, ``{}`` and ``[]``. That part is read as PyYAML reads it
(the tests compare the two); anything else is an error that names the line.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import re
from typing import Any

from penstock.errors import ModelError

_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}
_FALSE = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)\Z")
_GAP = "[ \\t]"
_PLAIN_KEY = rf"(?:[^\s#'\"\[{{&*!|>%@`\-?:,}}\]]|[-?:](?=[^\s]))(?:[^:#]|:(?!{_GAP}|\Z)|(?<!{_GAP})#)*?"
_KEY = re.compile(rf"""('(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|{_PLAIN_KEY}){_GAP}*:(?:{_GAP}+|\Z)""")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/", "r": "\r", "0": "\0", "a": "\a", "b": "\b"}
_ESCAPES.update(
    {"f": "\f", "v": "\v", "e": "\x1b", " ": " ", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029"}
)


def read(path: str) -> dict[str, Any]:
    """The mapping in the file at `path`. Raises ModelError naming file and line."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    try:
        content = parse(text)
    except _NotReadError as error:
        raise ModelError(f"{path}:{error.line}: cannot be understood: {error.text!r}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} is no MLmodel file: it holds no mapping")
    return content


class _NotReadError(ValueError):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(line, text)
        self.line = line
        self.text = text


def parse(text: str) -> Any:
    """The value of a YAML document; ValueError where it is not of the part that is read here."""
    return _Parser(text).document()


class _Parser:
    def __init__(self, text: str) -> None:
        self._lines = re.split(r"\r\n|\n", text)
        self._at = 0

    def document(self) -> Any:
        self._skip()
        if self._at < len(self._lines) and self._lines[self._at].startswith("---"):
            self._at += 1
        value = self._block(0)
        self._skip()
        if self._at < len(self._lines) and self._lines[self._at].strip(" \t") != "...":
            raise self._error()
        return value

    def _error(self) -> _NotReadError:
        at = min(self._at, len(self._lines) - 1)
        return _NotReadError(at + 1, self._lines[at].strip(" \t"))

    def _skip(self) -> None:
        """To the next line with content."""
        while self._at < len(self._lines):
            line = self._lines[self._at].strip(" \t")
            if line and not line.startswith("#"):
                return
            self._at += 1

    def _indent(self) -> int:
        line = self._lines[self._at]
        return len(line) - len(line.lstrip(" "))

    def _block(self, least: int) -> Any:
        """The node that begins on the next line, if that is indented by `least` or more; else None."""
        self._skip()
        if self._at >= len(self._lines) or self._indent() < least:
            return None
        return self._node(self._indent())

    def _node(self, indent: int) -> Any:
        """The node whose first character stands at `indent` of the current line."""
        rest = self._lines[self._at][indent:]
        if rest == "-" or rest.startswith("- "):
            return self._sequence(indent)
        if _KEY.match(rest):
            return self._mapping(indent)
        return self._scalar(rest, indent - 1)

    def _sequence(self, indent: int) -> list[Any]:
        items: list[Any] = []
        while True:
            self._skip()
            if self._at >= len(self._lines) or self._indent() != indent:
                return items
            line = self._lines[self._at]
            rest = line[indent:]
            if rest != "-" and not rest.startswith("- "):
                return items
            inner = rest[1:].lstrip(" ")
            if not inner or inner.startswith("#"):
                self._at += 1
                items.append(self._block(indent + 1))
                continue
            column = len(line) - len(inner)
            # The dash becomes a space, so that what follows it stands as a block of its own.
            self._lines[self._at] = " " * column + inner
            items.append(self._node(column))

    def _mapping(self, indent: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while True:
            self._skip()
            if self._at >= len(self._lines) or self._indent() != indent:
                if self._at < len(self._lines) and self._indent() > indent:
                    raise self._error()
                return found
            rest = self._lines[self._at][indent:]
            match = _KEY.match(rest)
            if not match:
                return found
            key = _plain(match.group(1)) if match.group(1)[0] not in "'\"" else _unquote(match.group(1))
            value = rest[match.end() :]
            if value and not value.startswith("#"):
                found[key] = self._scalar(value, indent)
                continue
            self._at += 1
            self._skip()
            more = self._at < len(self._lines)
            dashed = (
                more and self._indent() == indent and re.match(r"-([ \t]|\Z)", self._lines[self._at][indent:])
            )
            found[key] = self._sequence(indent) if dashed else self._block(indent + 1)

    def _scalar(self, first: str, indent: int) -> Any:
        """The scalar that begins with `first` and goes on over lines indented by more than `indent`."""
        if first[0] in "'\"":
            return self._quoted(first)
        if first[0] in "[{":
            return self._flow(first)
        if first[0] in "|>&*!%@`":
            raise self._error()
        parts = [self._uncommented(first)]
        self._at += 1
        blank = 0
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip(" \t"):
                blank += 1
            elif self._indent() <= indent or line.strip(" \t").startswith("#"):
                break
            else:
                parts.append("\n" * blank if blank else " ")
                parts.append(self._uncommented(line.strip(" \t")))
                blank = 0
            self._at += 1
        return _plain("".join(parts))

    @staticmethod
    def _uncommented(text: str) -> str:
        return re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip(" \t")

    def _quoted(self, first: str) -> str:
        """A quoted scalar, whose lines are joined until its closing quote."""
        whole = first
        closing = re.compile(
            r"'(?:[^']|'')*'(?!')" if first[0] == "'" else r'"(?:[^"\\]|\\(?:.|\n))*"', re.DOTALL
        )
        while True:
            match = closing.match(whole)
            if match:
                break
            self._at += 1
            if self._at >= len(self._lines):
                raise self._error()
            whole += "\n" + self._lines[self._at]
        rest = whole[match.end() :].strip(" \t")
        if rest and not rest.startswith("#"):
            raise self._error()
        self._at += 1
        return _unquote(match.group(0))

    def _flow(self, first: str) -> Any:
        """``{}``, ``[]``, and what is JSON; over several lines where needed."""
        whole = first
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(whole)
                break
            except ValueError:
                self._at += 1
                if self._at >= len(self._lines) or len(whole) > 1_000_000:
                    raise self._error() from None
                whole += " " + self._lines[self._at].strip(" \t")
        if whole[end:].strip(" \t") and not whole[end:].strip(" \t").startswith("#"):
            raise self._error()
        self._at += 1
        return value


def _plain(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.match(text):
        return int(text.replace("_", ""))
    if _FLOAT.match(text) and any(char.isdigit() for char in text):
        return float(text.replace("_", ""))
    special = {".inf": "inf", "-.inf": "-inf", "+.inf": "inf", ".nan": "nan"}.get(text.lower())
    return text if special is None else float(special)


def _unquote(quoted: str) -> str:
    inner = quoted[1:-1]
    if quoted[0] == "'":
        return _folded(inner).replace("''", "'")
    # A backslash at the end of a line joins it to the next without a space.
    inner = re.sub(r"(?<!\\)((?:\\\\)*)\\\n[ \t]*", r"\1", inner)
    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", _escape, _folded(inner))


def _escape(match: Any) -> str:
    code: tuple[str, str] = (match.group(1)[0], match.group(1)[1:])
    if code[1]:
        return chr(int(code[1], 16))
    return _ESCAPES.get(code[0], code[0])


def _folded(text: str) -> str:
    """Line breaks become spaces, and blank lines line breaks; the space around them goes."""
    lines = text.split("\n")
    if len(lines) == 1:
        return text
    pieces = [lines[0].rstrip(" \t")]
    blank = 0
    for place, line in enumerate(lines[1:], 1):
        stripped = line.lstrip(" \t") if place == len(lines) - 1 else line.strip(" \t")
        if not stripped and place != len(lines) - 1:
            blank += 1
            continue
        pieces.append("\n" * blank if blank else " ")
        pieces.append(stripped)
        blank = 0
    return "".join(pieces)
