"""A table by records, one by columns, and one with dates."""

import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema, output_schema

records = pd.DataFrame(
    {"age": [31, 42], "name": ["ada", "bob"], "score": [0.5, 1.5], "member": [True, False]}
)
columns = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
dates = pd.DataFrame({"day": pd.to_datetime(["2020-01-01", "2021-06-30"]), "n": [1, 2]})


def init():
    pass


@input_schema("data", PandasParameterType(records))
@input_schema("wide", PandasParameterType(columns, orient="columns"), optional=True)
@input_schema("split", PandasParameterType(columns, orient="split", enforce_shape=False), optional=True)
@input_schema("dated", PandasParameterType(dates), optional=True)
@output_schema(PandasParameterType(columns))
def run(data, wide=None, split=None, dated=None):
    answer = {"data": describe(data)}
    for name, frame in (("wide", wide), ("split", split), ("dated", dated)):
        if frame is not None:
            answer[name] = describe(frame)
    return answer


def describe(frame):
    return [{str(key): str(value) for key, value in frame.dtypes.items()}, frame.astype(str).values.tolist()]
