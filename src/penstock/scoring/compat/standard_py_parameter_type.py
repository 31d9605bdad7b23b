"""Stands in for ``inference_schema.parameter_types.standard_py_parameter_type``: Python's own types, and dicts
and lists that hold other parameter types.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import json
from typing import Any, Callable

from penstock.scoring.compat.abstract_parameter_type import AbstractParameterType


class StandardPythonParameterType(AbstractParameterType):
    """A parameter of type str, int, float, bool, bytes, bytearray, date, datetime, time, list, tuple or dict."""

    def __init__(self, sample_input: Any) -> None:
        super().__init__(sample_input)
        mapping = sample_input if isinstance(sample_input, dict) else {}
        items = sample_input if isinstance(sample_input, (list, tuple)) else ()
        self.sample_data_type_map = {
            key: value for key, value in mapping.items() if isinstance(value, AbstractParameterType)
        }
        self.sample_data_type_list = [value for value in items if isinstance(value, AbstractParameterType)]

    def deserialize_input(self, input_data: Any) -> Any:
        """The value in the sample's type: dates and times from text, bytes from base64, an int where a float
        is expected stays an int. Raises ValueError for any other type."""
        read = _FROM_TEXT.get(self.sample_data_type)
        if read is not None and isinstance(input_data, str):
            input_data = read(input_data)
        if self.sample_data_type is bytearray and isinstance(input_data, bytes):
            input_data = bytearray(input_data)
        if self.sample_data_type is float and type(input_data) is int:
            return input_data
        if not isinstance(input_data, self.sample_data_type):
            raise ValueError(f"expected {self.sample_data_type.__name__}, got {type(input_data).__name__}")
        return input_data

    def input_to_swagger(self) -> dict[str, Any]:
        """The sample's schema. Raises ValueError for a sample of None, TypeError where its JSON form is unknown."""
        if self.sample_input is None:
            raise ValueError("the sample is None: give a value of the type that run() takes")
        schema = schema_of(self.sample_input)
        try:
            json.dumps(schema)
        except TypeError as error:
            raise TypeError(f"the sample cannot be written as JSON: {error}") from error
        return schema


def schema_of(sample: Any) -> dict[str, Any]:
    """The schema of any sample, wrapped types inside it included, with its ``example``."""
    if isinstance(sample, AbstractParameterType):
        return dict(sample.input_to_swagger())
    describe = _SCHEMAS.get(type(sample))
    return describe(sample) if describe else {"type": "object", "example": sample}


def array_schema(items: Any) -> dict[str, Any]:
    """The schema of a sequence; the last item's type stands for all."""
    schema: dict[str, Any] = {"type": "object"}
    example = []
    for item in items:
        schema = schema_of(item)
        example.append(schema.pop("example"))
    return {"type": "array", "items": schema, "example": example}


def object_schema(mapping: dict[Any, Any]) -> dict[str, Any]:
    """The schema of a dict; every key is required."""
    properties, example = {}, {}
    for key, value in mapping.items():
        properties[key] = schema_of(value)
        example[key] = properties[key].pop("example")
    return {"type": "object", "required": list(mapping), "properties": properties, "example": example}


def _scalar(kind: str, form: str = "") -> Callable[[Any], dict[str, Any]]:
    def describe(sample: Any) -> dict[str, Any]:
        schema = {"type": kind, "format": form, "example": sample}
        if not form:
            del schema["format"]
        return schema

    return describe


def _encoded(form: str, encode: Callable[[Any], str]) -> Callable[[Any], dict[str, Any]]:
    return lambda sample: {"type": "string", "format": form, "example": encode(sample)}


def _zoned(sample: Any) -> Any:
    return sample if sample.tzinfo is not None else sample.replace(tzinfo=dt.timezone.utc)


def _base64(sample: Any) -> str:
    return base64.b64encode(sample).decode()


_SCHEMAS: dict[type, Callable[[Any], dict[str, Any]]] = {
    int: _scalar("integer", "int64"),
    float: _scalar("number", "double"),
    bool: _scalar("boolean"),
    str: _scalar("string"),
    bytes: _encoded("byte", _base64),
    bytearray: _encoded("byte", _base64),
    dt.date: _encoded("date", lambda sample: sample.strftime("%Y-%m-%d")),
    dt.datetime: _encoded("date-time", lambda sample: _zoned(sample).strftime("%Y-%m-%d %H:%M:%S.%f %z")),
    dt.time: _encoded("time", lambda sample: _zoned(sample).strftime("%H:%M:%S.%f %z")),
    list: array_schema,
    tuple: array_schema,
    range: array_schema,
    dict: object_schema,
}


def _read_date(text: str) -> dt.date:
    return dt.datetime.strptime(text, "%Y-%m-%d").date()


def read_datetime(text: str) -> dt.datetime:
    """A moment from text: by dateutil where the environment has it, else ISO 8601."""
    try:
        parser = importlib.import_module("dateutil.parser")
    except ImportError:
        return _read_plain(text, ("", "%Y-%m-%d %H:%M:%S.%f %z", "%Y-%m-%d %H:%M:%S %z"))
    moment: dt.datetime = parser.parse(text)
    return moment


def _read_time(text: str) -> dt.time:
    try:
        parser = importlib.import_module("dateutil.parser")
    except ImportError:
        forms = ("%H:%M:%S.%f %z", "%H:%M:%S %z", "%H:%M:%S.%f", "%H:%M:%S", "%H:%M")
        return _read_plain(text, forms).timetz()
    moment: dt.datetime = parser.parse(text)
    return moment.timetz()


def _read_plain(text: str, forms: Any) -> dt.datetime:
    """Without dateutil: ISO 8601 for the empty form, else `strptime`."""
    for form in forms:
        try:
            if form:
                return dt.datetime.strptime(text, form)
            return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no date or time that is understood without python-dateutil; use ISO 8601")


_FROM_TEXT: dict[type, Callable[[str], Any]] = {
    dt.date: _read_date,
    dt.datetime: read_datetime,
    dt.time: _read_time,
    bytes: base64.b64decode,
    bytearray: base64.b64decode,
}
