"""Stands in for ``inference_schema.parameter_types.pandas_parameter_type``. Needs pandas.

Runs in workers: Python 3.8, standard library and the environment's pandas.
"""

from __future__ import annotations

import io
import json
import warnings
from typing import Any, Iterable

import pandas as pd

from penstock.scoring.compat.abstract_parameter_type import AbstractParameterType
from penstock.scoring.compat.standard_py_parameter_type import array_schema, object_schema

ORIENTS = ("split", "records", "index", "columns", "values", "table")


class PandasParameterType(AbstractParameterType):
    """A DataFrame in one of pandas' JSON forms (`orient`). The sample's column types are applied if
    `enforce_column_type`; the number of columns must be the sample's if `enforce_shape`."""

    def __init__(
        self,
        sample_input: Any,
        enforce_column_type: bool = True,
        enforce_shape: bool = True,
        apply_column_names: bool = False,
        orient: str = "records",
    ) -> None:
        if not isinstance(sample_input, pd.DataFrame):
            raise TypeError(f"the sample must be a pandas DataFrame, not a {type(sample_input).__name__}")
        if orient not in ORIENTS:
            raise ValueError(f"orient is {orient!r}; use one of {', '.join(ORIENTS)}")
        if apply_column_names:
            warnings.warn(
                "apply_column_names trusts the order of JSON keys", DeprecationWarning, stacklevel=2
            )
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self.apply_column_names = apply_column_names
        self.orient = orient

    def deserialize_input(self, input_data: Any) -> Any:
        """A JSON array or object as a DataFrame. Raises ValueError where type or shape do not fit."""
        if isinstance(input_data, pd.DataFrame):
            return input_data
        if not isinstance(input_data, (list, dict)):
            raise ValueError(f"expected a table in the form {self.orient!r}, got {type(input_data).__name__}")
        text = io.StringIO(json.dumps(input_data))
        frame: Any = pd.read_json(text, orient=self.orient, dtype=False)  # type: ignore[call-overload, unused-ignore] # checked in __init__
        if self.apply_column_names:
            frame.columns = self.sample_input.columns.copy()
        if self.enforce_column_type:
            frame = self._with_types(frame)
        if self.enforce_shape and frame.shape[1] != self.sample_input.shape[1]:
            raise ValueError(f"expected {self.sample_input.shape[1]} columns, got {frame.shape[1]}")
        return frame

    def _with_types(self, frame: Any) -> Any:
        known = self.sample_input.dtypes.to_dict()
        wanted = {column: known.get(column, object) for column in frame.columns}
        for column, dtype in wanted.items():
            if str(dtype).startswith("timedelta"):
                frame[column] = pd.to_timedelta(frame[column])
        return frame.astype(wanted)

    def input_to_swagger(self) -> dict[str, Any]:
        """The schema of the JSON form, the sample as example."""
        sample = json.loads(self.sample_input.to_json(orient=self.orient, date_format="iso"))
        schema = array_schema(sample) if self.orient in ("records", "values") else object_schema(sample)
        for column in self.sample_input.columns:
            dtype = str(self.sample_input.dtypes[column])
            form = next((form for word, form in _FORMS.items() if dtype.startswith(word)), "")
            if form:
                for cell in self._cells(schema, str(column)):
                    cell["format"] = form
        schema["format"] = f"pandas.DataFrame:{self.orient}"
        return schema

    def _cells(self, schema: dict[str, Any], column: str) -> Iterable[dict[str, Any]]:
        """The schemas of the cells of `column`, wherever this form has them; some forms have none by name."""
        if self.orient == "records":
            return [schema["items"]["properties"][column]] if "properties" in schema["items"] else []
        if self.orient == "index":
            return [row["properties"][column] for row in schema["properties"].values()]
        if self.orient == "columns":
            return list(schema["properties"][column]["properties"].values())
        if self.orient == "table":
            return [schema["properties"]["data"]["items"]["properties"][column]]
        return []


_FORMS = {"datetime": "date-time", "timedelta": "timedelta"}
