"""Arrays: dtypes, shapes, optional parameters and defaults."""

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0, 3.0]])))
@input_schema("weights", NumpyParameterType(np.array([1, 2, 3]), enforce_shape=False), optional=True)
@input_schema("when", NumpyParameterType(np.array(["2020-01-01"], dtype="datetime64[s]")), optional=True)
@input_schema("loose", NumpyParameterType(np.array([[1]]), enforce_column_type=False), optional=True)
@output_schema(NumpyParameterType(np.array([1.0])))
def run(data, weights=None, when=None, loose=None, power: int = 1):
    answer = {"dtype": str(data.dtype), "shape": list(data.shape), "sum": float(data.sum() ** power)}
    for name, array in (("weights", weights), ("when", when), ("loose", loose)):
        if array is not None:
            answer[name] = [str(array.dtype), array.astype(str).tolist()]
    return answer
