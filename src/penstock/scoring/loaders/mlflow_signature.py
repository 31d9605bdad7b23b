"""MLflow's model signature as ours.

Source of the format: mlflow.types.schema. Columns ``{"type", "name", "required" | "optional"}``, tensors
``{"type": "tensor", "name", "tensor-spec": {"dtype", "shape"}}``, parameters ``{"name", "type", "default",
"shape"}``; each list is a JSON string in the MLmodel file. Runs in workers: Python 3.8, standard library.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

from penstock.errors import ModelError
from penstock.scoring.interface import Field, Signature

_SOURCE = "mlflow signature"
_DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "str",
    "binary": "bytes",
    "datetime": "datetime64",
}


def read(signature: Mapping[str, Any] | None, path: str) -> Signature:
    """The signature in the MLmodel file at `path`; layout ``unknown`` where it has none.

    Columns without names are positions: an array, of their common dtype. Arrays, objects and maps in a
    column are ``object``. Raises ModelError if it cannot be understood.
    """
    try:
        inputs = _specs(signature, "inputs")
        outputs = _specs(signature, "outputs")
        if not inputs:
            return Signature()
        shown = tuple(_field(spec, f"output_{place}") for place, spec in enumerate(outputs))
        if inputs[0].get("type") == "tensor":
            fields = tuple(_field(spec, f"input_{place}") for place, spec in enumerate(inputs))
            return Signature("array" if len(fields) == 1 else "tensors", fields, shown, _SOURCE)
        columns = tuple(_field(spec, "") for spec in inputs)
        if all(column.name for column in columns):
            return Signature("table", columns, shown, _SOURCE)
        dtypes = {column.dtype for column in columns}
        dtype = dtypes.pop() if len(dtypes) == 1 else "object"
        shape = (-1,) if len(columns) == 1 and dtype == "str" else (-1, len(columns))
        return Signature("array", (Field("input", dtype, shape),), shown, _SOURCE)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: the signature cannot be understood: {error}") from error


def params(signature: Mapping[str, Any] | None, path: str) -> tuple[Field, ...]:
    """The parameters that a call may give, none of them required: each has a default in the model."""
    try:
        return tuple(
            Field(
                str(spec["name"]),
                _DTYPES.get(str(spec.get("type")), "object"),
                tuple(spec["shape"]) if spec.get("shape") else (),
                required=False,
            )
            for spec in _specs(signature, "params")
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: the signature's params cannot be understood: {error}") from error


def _specs(signature: Mapping[str, Any] | None, part: str) -> list[Any]:
    text = (signature or {}).get(part)
    if not text:
        return []
    return list(json.loads(text) if isinstance(text, str) else text)


def _field(spec: Mapping[str, Any], default_name: str) -> Field:
    name = str(spec.get("name") or default_name)
    required = bool(spec.get("required", not spec.get("optional", False)))
    if spec.get("type") == "tensor":
        tensor = spec["tensor-spec"]
        dtype = str(tensor["dtype"])
        shape = tuple(int(size) for size in tensor["shape"]) or (-1,)
        return Field(name, {"object": "object", "str": "str"}.get(dtype, dtype), shape, required)
    return Field(name, _DTYPES.get(str(spec.get("type")), "object"), (-1,), required)
