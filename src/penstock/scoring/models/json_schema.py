"""A model's signature as JSON Schema, in the dialects of Swagger 2, OpenAPI 3.0 and 3.1, with an example.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, Sequence

from penstock.scoring.codecs import values
from penstock.scoring.interface import Field, Signature

Schema = Dict[str, Any]

_MOST_KNOWN_VALUES = 20


def of_value(field: Field, version: str) -> Schema:
    """One value of `field`. `version` is ``2``, ``3`` or ``3.1``."""
    kind = values.kind_of(field.dtype)
    if kind == "category":
        known = list(field.categories or ())
        return {"enum": [*known, None]} if version == "3.1" else _nullable({"enum": known}, version)
    schema: Schema = {}
    if kind == "float":
        schema = {"type": "number", "format": "double" if field.dtype == "float64" else "float"}
    elif kind == "int":
        schema = {"type": "integer", "format": "int64" if field.dtype.endswith("64") else "int32"}
    elif kind == "bool":
        schema = {"type": "boolean"}
    elif kind in ("str", "bytes", "datetime"):
        schema = {"type": "string"}
        if kind != "str":
            schema["format"] = "byte" if kind == "bytes" else "date-time"
    if field.categories:
        known = list(field.categories)
        more = f" and {len(known) - _MOST_KNOWN_VALUES} more" if len(known) > _MOST_KNOWN_VALUES else ""
        schema["description"] = "The model was trained on: {}{}.".format(
            ", ".join(map(str, known[:_MOST_KNOWN_VALUES])), more
        )
    return _nullable(schema, version) if kind in ("float", "str", "datetime") else schema


def _nullable(schema: Schema, version: str) -> Schema:
    """`schema`, or null (a missing value). Swagger 2 has no word for that."""
    if version == "3":
        return dict(schema, nullable=True)
    if version == "3.1" and "type" in schema:
        return dict(schema, type=[schema["type"], "null"])
    return schema


def array_of(items: Schema, shape: Sequence[int]) -> Schema:
    """Lists nested as `shape` says around `items`; -1 is any length."""
    schema = items
    for size in reversed(shape):
        schema = {"type": "array", "items": schema}
        if size != -1:
            schema.update(minItems=size, maxItems=size)
    return schema


def rows(signature: Signature, version: str) -> Schema:
    """Rows by position."""
    if signature.layout == "table":
        fields = signature.inputs
        items = [of_value(field, version) for field in fields]
        row: Schema = {"type": "array", "items": items[0] if all(item == items[0] for item in items) else {}}
        row.update(minItems=len(fields), maxItems=len(fields))
        row["description"] = "One value a column, in this order: {}.".format(
            ", ".join(field.name for field in fields)
        )
        return {"type": "array", "items": row}
    if signature.layout == "array":
        field = signature.inputs[0]
        return array_of(of_value(field, version), field.shape)
    return {"type": "array", "items": {}}


def record(signature: Signature, version: str) -> Schema:
    """One row by name; any object where the inputs have no names."""
    if signature.layout not in ("table", "tensors"):
        return {"type": "object"}
    schema: Schema = {
        "type": "object",
        "properties": {
            field.name: array_of(of_value(field, version), field.shape[1:]) for field in signature.inputs
        },
        "additionalProperties": False,
    }
    required = [field.name for field in signature.inputs if field.required]
    # An empty list is no valid `required`.
    return dict(schema, required=required) if required else schema


def columns(signature: Signature, version: str) -> Schema:
    """All rows by name: a list a column, or a tensor."""
    one = record(signature, version)
    if "properties" not in one:
        return one
    lists = {
        field.name: array_of(of_value(field, version), field.shape or (-1,)) for field in signature.inputs
    }
    return dict(one, properties=lists)


def output(signature: Signature, method: str, version: str) -> Schema:
    """What `method` answers."""
    named = {field.name: field for field in signature.outputs}
    if method in named:
        return array_of(of_value(named[method], version), named[method].shape)
    if len(named) == 1:
        only = signature.outputs[0]
        return array_of(of_value(only, version), only.shape)
    if named:
        return {
            "type": "object",
            "properties": {
                field.name: array_of(of_value(field, version), field.shape) for field in signature.outputs
            },
        }
    return {"type": "array", "items": {}, "description": "One element a row."}


def example(signature: Signature) -> Any:
    """Rows that fit: the signature's own sample, or made up; None where nothing is known."""
    if signature.sample is not None:
        return signature.sample
    if signature.layout == "table":
        return [{field.name: _example_value(field) for field in signature.inputs}]
    if signature.layout == "array":
        return _example_array(signature.inputs[0])
    if signature.layout == "tensors":
        return {field.name: _example_array(field) for field in signature.inputs}
    return None


def _example_value(field: Field) -> Any:
    if field.categories:
        return field.categories[0]
    made_up = {"float": 0.5, "int": 1, "bool": True, "bytes": "AAE=", "datetime": "2024-01-31T12:00:00"}
    return made_up.get(values.kind_of(field.dtype), "text")


def _example_array(field: Field) -> Any:
    value = _example_value(field)
    for size in reversed(field.shape):
        # Small: a picture's worth of numbers helps nobody.
        value = [value] * (1 if size == -1 else min(size, 64))
    return value


def example_split(signature: Signature) -> Any:
    """The example as columns and data, or None where columns have no names."""
    rows_of: list[Any] = example(signature)
    if signature.layout != "table" or not rows_of or not isinstance(rows_of[0], dict):
        return None
    names = list(rows_of[0])
    return {"columns": names, "data": [[row.get(name) for name in names] for row in rows_of]}
