"""``${{inputs.x}}`` and its like: what a step's expressions stand for on this machine.

A value comes from the command line, else from the step, else from the component's default. A path in a file is
relative to that file, one on the command line to the working directory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.spec import paths
from penstock.spec.documents import Document, KeyPath
from penstock.spec.parallel_schema import Port, Value

EXPRESSION = re.compile(r"\$\{\{\s*([^{}]*?)\s*\}\}")
"""``${{inputs.x}}``; the group is what stands between the braces."""

_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_REMOTE = re.compile(r"azureml:|[A-Za-z][A-Za-z0-9+.-]+://")
_PATH_TYPES = {"uri_folder", "uri_file", "mltable", "path", "custom_model", "mlflow_model", "triton_model"}
_LITERAL_TYPES = {"string", "integer", "number", "boolean"}


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One input: `text` is what it stands for, or None with the reason in `lacks`. `type` is Azure ML's, or
    empty."""

    text: str | None
    type: str = ""
    lacks: str = ""
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Bindings:
    """All that a step's expressions may name."""

    inputs: Mapping[str, Bound] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    outputs_lack: str = ""
    """Why there are no outputs that a script could write to."""

    def resolve(self, text: str, fail: Callable[[str, str], Exception]) -> str:
        """`text` with every expression replaced; raises what `fail` makes of a complaint and a hint."""

        def replaced(match: re.Match[str]) -> str:
            group, _, name = match[1].partition(".")
            if group == "inputs" and name in self.inputs:
                bound = self.inputs[name]
                if bound.text is None:
                    raise fail(f"{match[0]}: {bound.lacks}", f"give it with --input {name}=PATH_OR_VALUE")
                return bound.text
            if group == "outputs" and name in self.outputs:
                return self.outputs[name]
            if group == "outputs" and self.outputs_lack:
                raise fail(f"{match[0]}: {self.outputs_lack}", "--output FOLDER")
            known = self.inputs if group == "inputs" else self.outputs
            names = ", ".join(f"{group}.{each}" for each in known)
            if group not in ("inputs", "outputs"):
                names = ", ".join([f"inputs.{each}" for each in self.inputs])
            raise fail(f"{match[0]} names nothing here", f"there is {names}" if names else "")

        return EXPRESSION.sub(replaced, text)

    def without_absent(self, text: str) -> str:
        """`text` with each ``$[[...]]`` kept or dropped: it is kept where every input in it has a value."""

        def kept(match: re.Match[str]) -> str:
            for expression in EXPRESSION.findall(match[1]):
                group, _, name = expression.partition(".")
                bound = self.inputs.get(name)
                if group == "inputs" and bound is not None and bound.text is None and bound.optional:
                    return ""
            return match[1]

        return _OPTIONAL.sub(kept, text)


def of_command_line(said: str, declared: str) -> Bound:
    """What `said` on the command line is: a path where Azure ML's type says so or one is there, else itself."""
    path = paths.absolute(said)
    is_path = declared in _PATH_TYPES or (declared not in _LITERAL_TYPES and paths.exists(path))
    return Bound(text=str(path) if is_path and not is_remote(said) else said, type=declared)


def of_file(document: Document, value: Port | Value, declared: Port | None, key: KeyPath) -> Bound:
    """What the input at `key` of `document` is, which a component may have `declared`."""
    type_ = (value.type if isinstance(value, Port) else None) or (declared.type if declared else None) or ""
    optional = bool(declared and declared.optional)
    said: Value = value.path if isinstance(value, Port) else value
    if said is None and isinstance(value, Port):
        said, optional = value.default, optional or bool(value.optional)
    if said is None and declared is not None:
        said = declared.default
    if said is None:
        return Bound(text=None, type=type_, lacks="has no value", optional=optional)
    text = str(said)
    if EXPRESSION.search(text):
        return Bound(text=None, type=type_, lacks=f"comes from {text}, which is not here", optional=optional)
    if not (isinstance(value, Port) and value.path is not None) and type_ not in _PATH_TYPES:
        return Bound(text=text, type=type_)
    if text.startswith("azureml:") and not text.startswith("azureml://"):
        return Bound(text=None, type=type_, lacks=f"{text} cannot be fetched from here", optional=optional)
    if is_remote(text):
        return Bound(text=text, type=type_)
    path = paths.absolute(text.removeprefix("file:"), document.folder)
    if not paths.exists(path):
        hint = paths.neighbour(path)
        at = f"{document.file}:{document.line_of(key)}"
        return Bound(
            text=None, type=type_, lacks=f"no file or folder {path} ({at}; {hint})", optional=optional
        )
    return Bound(text=str(path), type=type_)


def is_remote(text: str) -> bool:
    """Whether it names something that is not on this machine: a URL, or something of a workspace."""
    return _REMOTE.match(text) is not None


def holds_mltable(location: str) -> bool:
    """Whether an MLTable file lies in the local folder `location`, or is it."""
    path = Path(location)
    return paths.is_file(path / "MLTable") or (path.name == "MLTable" and paths.is_file(path))
