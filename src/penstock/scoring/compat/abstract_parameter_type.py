"""Stands in for ``inference_schema.parameter_types.abstract_parameter_type``: the base of parameter types,
which scripts may subclass.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import abc
import base64
import datetime as dt
from typing import Any


class AbstractParameterType(abc.ABC):
    """A type known by a sample of it: JSON becomes the type, and the type describes itself as a schema."""

    def __init__(self, sample_input: Any) -> None:
        self.sample_input = sample_input
        self.sample_data_type = type(sample_input)

    def supported_versions(self) -> list[str]:
        """Swagger versions that can express the type; 2.0 has no arrays of mixed types."""
        versions = ["3.0", "3.1"]
        if _is_uniform(self.input_to_swagger()["example"]):
            versions.insert(0, "2.0")
        return versions

    @abc.abstractmethod
    def deserialize_input(self, input_data: Any) -> Any:
        """The value of this type that the JSON value `input_data` stands for."""

    @abc.abstractmethod
    def input_to_swagger(self) -> dict[str, Any]:
        """The schema of the JSON form, with an ``example``."""


def _is_uniform(example: Any) -> bool:
    if type(example) is list and example:
        same = all(type(item) is type(example[0]) for item in example)
        return same and all(_is_uniform(item) for item in example if type(item) is list)
    if type(example) is dict:
        return all(_is_uniform(value) for value in example.values())
    return True


def convert(value: Any, parameter_type: Any) -> Any:
    """The Python value for the JSON `value`; inside dicts and lists wherever a sample wraps a type of its own."""
    by_key = getattr(parameter_type, "sample_data_type_map", None)
    by_item = getattr(parameter_type, "sample_data_type_list", None)
    expected = parameter_type.sample_data_type
    if expected is dict and by_key is not None:
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, got {type(value).__name__}")
        for key, inner in by_key.items():
            if key in value:
                value[key] = convert(value[key], inner)
        return value
    if expected in (list, tuple) and by_item is not None:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"expected an array, got {type(value).__name__}")
        # A schema has one item type; the first sample stands for all.
        return [convert(item, by_item[0]) for item in value] if by_item else value
    return value if isinstance(value, expected) else parameter_type.deserialize_input(value)


def example_of(item: Any, schema: dict[str, Any]) -> Any:
    """`item`, a scalar, record or array of some library, as JSON by its `schema`."""
    kind = schema["type"]
    if kind == "object":
        if "properties" in schema:
            return {name: example_of(item[name], inner) for name, inner in schema["properties"].items()}
        if "additionalProperties" in schema:
            return {name: example_of(item[name], schema["additionalProperties"]) for name in item}
        return str(item)
    if kind == "array":
        return [example_of(element, schema["items"]) for element in item]
    if kind in _SCALARS:
        return _SCALARS[kind](item)
    return _text_example(item, schema.get("format", ""))


_SCALARS: dict[str, Any] = {"number": float, "integer": int, "boolean": bool}


def _text_example(item: Any, form: str) -> str:
    if form == "binary":
        return base64.b64encode(bytes(item)).decode()
    if form in ("date", "date-time"):
        # NumPy's nanoseconds have no counterpart in datetime: microseconds do.
        moment = item.astype("datetime64[us]").astype(dt.datetime) if hasattr(item, "astype") else item
        return str(moment.strftime("%Y-%m-%d" if form == "date" else "%Y-%m-%d %H:%M:%S,%f"))
    return str(item)
