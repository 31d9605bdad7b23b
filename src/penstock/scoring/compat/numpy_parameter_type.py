"""Stands in for ``inference_schema.parameter_types.numpy_parameter_type``. Needs NumPy.

Runs in workers: Python 3.8, standard library and the environment's NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.scoring.compat.abstract_parameter_type import AbstractParameterType, example_of

_UNITS = {
    "years": "Y",
    "months": "M",
    "weeks": "W",
    "days": "D",
    "hours": "h",
    "minutes": "m",
    "seconds": "s",
    "milliseconds": "ms",
    "microseconds": "us",
    "nanoseconds": "ns",
    "picoseconds": "ps",
    "femtoseconds": "fs",
    "attoseconds": "as",
}


class NumpyParameterType(AbstractParameterType):
    """An array. The first dimension is free; the others must be the sample's if `enforce_shape`; the sample's
    dtype is applied if `enforce_column_type`."""

    def __init__(
        self, sample_input: Any, enforce_column_type: bool = True, enforce_shape: bool = True
    ) -> None:
        if not isinstance(sample_input, np.ndarray):
            raise TypeError(f"the sample must be a NumPy array, not a {type(sample_input).__name__}")
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape

    def deserialize_input(self, input_data: Any) -> Any:
        """A JSON array as an ndarray. Raises ValueError for another JSON type or another shape."""
        if isinstance(input_data, np.ndarray):
            return input_data
        if not isinstance(input_data, list):
            raise ValueError(f"expected an array of items, got {type(input_data).__name__}")
        if self.enforce_column_type:
            dtype = self.sample_input.dtype
            if dtype.names or dtype.kind in "mM":
                input_data = [_element(item, dtype) for item in input_data]
            # Without its width, or a sample's short strings would cut longer ones.
            array = np.array(input_data, dtype=dtype.kind if dtype.kind in "US" else dtype)
        else:
            array = np.array(input_data)
        if self.enforce_shape:
            expected = self.sample_input.shape
            if array.ndim != len(expected) or array.shape[1:] != expected[1:]:
                free = ", ".join(["any", *map(str, expected[1:])])
                raise ValueError(f"expected an array of shape ({free}), got {array.shape}")
        return array

    def input_to_swagger(self) -> dict[str, Any]:
        """Nested arrays of the dtype's schema, the sample as example."""
        schema = dtype_schema(self.sample_input.dtype)
        for _ in range(max(self.sample_input.ndim, 1)):
            schema = {"type": "array", "items": schema}
        schema["example"] = example_of(self.sample_input, {"type": "array", "items": schema["items"]})
        schema["format"] = "numpy.ndarray"
        return schema


def dtype_schema(dtype: Any) -> dict[str, Any]:
    """The schema of one element. Raises TypeError for a dtype that JSON has no form for (complex)."""
    if dtype.names:
        return {"type": "object", "properties": {name: dtype_schema(dtype[name]) for name in dtype.names}}
    if dtype.subdtype is not None:
        schema = dtype_schema(dtype.subdtype[0])
        for _ in dtype.subdtype[1]:
            schema = {"type": "array", "items": schema}
        return schema
    if dtype.kind in "iu":
        return {"type": "integer", "format": dtype.name}
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return {"type": "number", "format": "double" if dtype.itemsize == 8 else "float"}
    kinds: dict[str, dict[str, Any]] = {
        "b": {"type": "boolean"},
        "O": {"type": "object"},
        "U": {"type": "string"},
        "S": {"type": "string", "format": "binary"},
        "V": {"type": "string", "format": "binary"},
        "M": {"type": "string", "format": "date-time"},
        "m": {"type": "string", "format": "timedelta"},
    }
    if dtype.kind not in kinds:
        raise TypeError(f"arrays of {dtype.name} have no JSON form")
    return kinds[dtype.kind]


def _element(item: Any, dtype: Any) -> Any:
    if dtype.names:
        if isinstance(item, dict):
            return tuple(_element(item[name], dtype[name]) for name in dtype.names)
        return tuple(_element(item[place], dtype[name]) for place, name in enumerate(dtype.names))
    if isinstance(item, list):
        return [_element(part, dtype) for part in item]
    if dtype.kind == "M":
        return np.datetime64(item)
    if dtype.kind == "m" and isinstance(item, str):
        return _timedelta(item)
    return item


def _timedelta(text: str) -> Any:
    amount, _, unit = text.partition(" ")
    if unit.strip().lower() not in _UNITS:
        raise ValueError(f"{text!r} is no duration: write a number and a unit, such as '5 days'")
    return np.timedelta64(int(amount), _UNITS[unit.strip().lower()])  # type: ignore[call-overload, unused-ignore] # the unit is one of NumPy's, by the table
