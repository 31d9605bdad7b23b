"""Stands in for ``inference_schema.parameter_types.spark_parameter_type``. Needs PySpark.

Runs in workers: Python 3.8, standard library and the environment's PySpark.
"""

from __future__ import annotations

import base64
import decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from penstock.scoring.compat import standard_py_parameter_type
from penstock.scoring.compat.abstract_parameter_type import AbstractParameterType, example_of

_SIMPLE: dict[str, dict[str, Any]] = {
    "byte": {"type": "integer", "format": "int8"},
    "short": {"type": "integer", "format": "int16"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "boolean": {"type": "boolean"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "decimal": {"type": "number", "format": "decimal"},
    "string": {"type": "string"},
    "binary": {"type": "string", "format": "binary"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "null": {"type": "object"},
    "void": {"type": "object"},
}


class SparkParameterType(AbstractParameterType):
    """A Spark DataFrame, as a JSON array of records; the sample's schema is applied if `apply_sample_schema`."""

    def __init__(self, sample_input: Any, apply_sample_schema: bool = True) -> None:
        if not isinstance(sample_input, DataFrame):
            raise TypeError(f"the sample must be a Spark DataFrame, not a {type(sample_input).__name__}")
        super().__init__(sample_input)
        self.apply_sample_schema = apply_sample_schema

    def deserialize_input(self, input_data: Any) -> Any:
        """A JSON array of records as a Spark DataFrame. Raises ValueError for another JSON type."""
        if isinstance(input_data, DataFrame):
            return input_data
        if not isinstance(input_data, list):
            raise ValueError(f"expected an array of records, got {type(input_data).__name__}")
        session = SparkSession.builder.getOrCreate()
        if not self.apply_sample_schema:
            return session.createDataFrame(input_data)
        schema = self.sample_input.schema
        return session.createDataFrame([_value(row, schema) for row in input_data], schema=schema)

    def input_to_swagger(self) -> dict[str, Any]:
        """An array of the schema's record, the sample's rows as example."""
        row = _schema(self.sample_input.schema)
        example = [example_of(item, row) for item in self.sample_input.collect()]
        return {"type": "array", "items": row, "example": example}


def _schema(spark_type: Any) -> dict[str, Any]:
    name = spark_type.typeName()
    if name == "struct":
        return {
            "type": "object",
            "properties": {field.name: _schema(field.dataType) for field in spark_type.fields},
        }
    if name == "array":
        return {"type": "array", "items": _schema(spark_type.elementType)}
    if name == "map":
        return {"type": "object", "additionalProperties": _schema(spark_type.valueType)}
    if name not in _SIMPLE:
        raise TypeError(f"columns of type {name} have no JSON form; use arrays or maps")
    return dict(_SIMPLE[name])


def _value(value: Any, spark_type: Any) -> Any:
    """JSON has no dates, decimals or bytes: make them of the text that stands for them."""
    if value is None:
        return None
    name = spark_type.typeName()
    if name == "struct":
        return {field.name: _value(value.get(field.name), field.dataType) for field in spark_type.fields}
    if name == "array":
        return [_value(item, spark_type.elementType) for item in value]
    if name == "map":
        return {key: _value(item, spark_type.valueType) for key, item in value.items()}
    if name == "date":
        return standard_py_parameter_type.read_datetime(value).date()
    if name == "timestamp":
        return standard_py_parameter_type.read_datetime(value)
    if name == "decimal":
        return decimal.Decimal(str(value))
    if name == "binary":
        return bytearray(base64.b64decode(value))
    return value
