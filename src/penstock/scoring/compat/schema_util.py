"""Stands in for ``inference_schema.schema_util``: what the decorators learned, by function.

Functions are known by module and name, as in the original, so that a script's own decorators around ``run``
do not hide it. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, Callable

ALL_SUPPORTED_VERSIONS = ["2.0", "3.0", "3.1"]

_inputs: dict[str, dict[str, Any]] = {}
_outputs: dict[str, dict[str, Any]] = {}
_versions: dict[str, set[str]] = {}


def original(function: Any) -> Any:
    """The function at the bottom of all decorators: by ``__wrapped__``, else by what a closure holds."""
    seen = set()
    while id(function) not in seen:
        seen.add(id(function))
        if hasattr(function, "__wrapped__"):
            function = function.__wrapped__
            continue
        held = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _filled(cell)]
        inner = [value for value in held if inspect.isfunction(value)]
        if not inner:
            return function
        function = inner[-1]
    return function


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def name_of(function: Callable[..., Any]) -> str:
    """The key under which `function` is known."""
    bottom = original(function)
    return f"{getattr(bottom, '__module__', '?')}.{getattr(bottom, '__name__', '?')}"


def add_input(
    function: Callable[..., Any], parameter: str, schema: dict[str, Any], versions: list[str]
) -> None:
    """Record the schema (with its ``example``) of one parameter of `function`."""
    key = name_of(function)
    if key not in _inputs:
        names = inspect.getfullargspec(original(function)).args
        _inputs[key] = {
            "type": "object",
            "properties": {name: {} for name in names},
            "example": dict.fromkeys(names, ""),
        }
    entry = copy.deepcopy(schema)
    _inputs[key]["example"][parameter] = entry.pop("example")
    _inputs[key]["properties"][parameter] = entry
    _narrow(key, versions)


def add_output(function: Callable[..., Any], schema: dict[str, Any], versions: list[str]) -> None:
    """Record the schema of what `function` returns. Raises ValueError for a second one."""
    key = name_of(function)
    if key in _outputs:
        raise ValueError(f"{key} has two output schemas; keep one @output_schema")
    _outputs[key] = schema
    _narrow(key, versions)


def _narrow(key: str, versions: list[str]) -> None:
    _versions[key] = _versions.get(key, set(ALL_SUPPORTED_VERSIONS)) & set(versions)


def forget(module: str) -> None:
    """Drop all that functions of `module` declared: the module is about to be imported anew."""
    for table in (_inputs, _outputs, _versions):
        for key in [key for key in table if key.rpartition(".")[0] == module]:
            del table[key]


def is_schema_decorated(function: Callable[..., Any]) -> bool:
    """Whether an input or output schema was declared for `function`."""
    key = name_of(function)
    return key in _inputs or key in _outputs


def get_input_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """Schema of the JSON object whose keys are the parameters of `function`."""
    return _inputs.get(name_of(function), {"type": "object"})


def get_output_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """Schema of what `function` returns."""
    return _outputs.get(name_of(function), {"type": "object"})


def get_supported_versions(function: Callable[..., Any]) -> list[str]:
    """The Swagger versions that all of its schemas can be written in, sorted."""
    return sorted(_versions.get(name_of(function), ALL_SUPPORTED_VERSIONS))


def get_schemas_dict() -> dict[str, Any]:
    """A copy of all schemas: function -> ``{"input_schema": ..., "output_schema": ...}``."""
    found: dict[str, Any] = {}
    for word, table in (("input_schema", _inputs), ("output_schema", _outputs)):
        for key, schema in table.items():
            found.setdefault(key, {})[word] = copy.deepcopy(schema)
    return found
