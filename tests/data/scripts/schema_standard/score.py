"""Python's own types, nested ones with arrays and tables inside, headers, and no conversion."""

import datetime

import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

nested = StandardPythonParameterType(
    {
        "array": NumpyParameterType(np.array([[1, 2]])),
        "table": PandasParameterType(pd.DataFrame({"x": [1.0], "y": ["a"]})),
        "inner": StandardPythonParameterType({"deep": NumpyParameterType(np.array([1.5]))}),
        "plain": 5,
    }
)
many = StandardPythonParameterType([NumpyParameterType(np.array([1])), NumpyParameterType(np.array([2]))])


def init():
    pass


@input_schema("count", StandardPythonParameterType(3))
@input_schema("ratio", StandardPythonParameterType(0.5), optional=True)
@input_schema("label", StandardPythonParameterType("a"), optional=True)
@input_schema("flag", StandardPythonParameterType(True), optional=True)
@input_schema("blob", StandardPythonParameterType(b"\x00\x01"), optional=True)
@input_schema("moment", StandardPythonParameterType(datetime.datetime(2020, 1, 2, 3, 4, 5)), optional=True)
@input_schema("clock", StandardPythonParameterType(datetime.time(3, 4, 5)), optional=True)
@input_schema("day", StandardPythonParameterType(datetime.date(2020, 1, 2)), optional=True)
@input_schema("nested", nested, optional=True)
@input_schema("many", many, optional=True)
@input_schema("untouched", NumpyParameterType(np.array([1])), convert_to_provided_type=False, optional=True)
@output_schema(StandardPythonParameterType({"any": "thing"}))
def run(
    request_headers,
    count,
    ratio=None,
    label=None,
    flag=None,
    blob=None,
    moment=None,
    clock=None,
    day=None,
    nested=None,
    many=None,
    untouched=None,
):
    answer = {"agent": request_headers.get("User-Agent")}
    for name, value in list(locals().items()):
        if name not in ("request_headers", "answer") and value is not None:
            answer[name] = show(value)
    return answer


def show(value):
    if isinstance(value, dict):
        return {key: show(item) for key, item in value.items()}
    if isinstance(value, list):
        return [show(item) for item in value]
    if isinstance(value, pd.DataFrame):
        return ["table", value.astype(str).values.tolist()]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    return [type(value).__name__, str(value)]
