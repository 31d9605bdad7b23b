"""A signature learned from an example payload (``--sample-input``), for models that say nothing of theirs.

The forms are those that the score route takes: a JSON payload, CSV, Parquet or a NumPy array.
Runs in workers: Python 3.8; NumPy, and pandas for tables.
"""

from __future__ import annotations

import json
import os
from typing import Any

from penstock.errors import ModelError
from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import packages, probing

_SOURCE = "--sample-input"
_WRAPPERS = ("data", "input_data", "instances", "inputs", "dataframe_split", "dataframe_records")


def signature(path: str) -> Signature:
    """The layout, names, dtypes and shapes of the payload in the file at `path`; its first dimension is
    free. Raises ModelError: not there, not readable, or of no form known."""
    data = read(path)
    if hasattr(data, "columns"):
        fields = tuple(Field(str(name), _dtype(data[name].to_numpy()), (-1,)) for name in data.columns)
        return Signature("table", fields, (), _SOURCE, probing.sample_of(data[:1]))
    if isinstance(data, dict):
        fields = tuple(Field(name, _dtype(value), (-1, *value.shape[1:])) for name, value in data.items())
        return Signature("tensors", fields, (), _SOURCE, probing.sample_of(data))
    return Signature(
        "array",
        (Field("input", _dtype(data), (-1, *data.shape[1:])),),
        (),
        _SOURCE,
        probing.sample_of(data[:1]),
    )


def read(path: str) -> Any:
    """The payload: an ndarray, a DataFrame, or a dict of ndarrays. Raises ModelError."""
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix in (".npy", ".npz"):
            numpy = packages.require("numpy", path, "a NumPy file")
            loaded = numpy.load(path, allow_pickle=False)
            return {name: loaded[name] for name in loaded.files} if suffix == ".npz" else loaded
        if suffix in (".csv", ".tsv"):
            pandas = packages.require("pandas", path, "a CSV file")
            return pandas.read_csv(path, sep="\t" if suffix == ".tsv" else ",")
        if suffix in (".parquet", ".pq"):
            return packages.require("pandas", path, "a Parquet file").read_parquet(path)
        with open(path, encoding="utf-8") as file:
            return _from_json(json.load(file), path)
    except OSError as error:
        raise ModelError(f"cannot read the sample input {path}: {error.strerror or error}") from error
    except (ValueError, ImportError) as error:
        hint = "A sample is a JSON payload, a CSV or Parquet table, or a NumPy array (.npy)."
        raise ModelError(f"the sample input {path} cannot be used: {error}", hint=hint) from error


def _from_json(payload: Any, path: str) -> Any:
    while isinstance(payload, dict):
        wrapper = next((name for name in _WRAPPERS if name in payload), None)
        if wrapper is None or {"columns", "data"} <= payload.keys():
            break
        payload = payload[wrapper]
    numpy = packages.require("numpy", path, "a sample of arrays")
    if isinstance(payload, dict):
        if {"columns", "data"} <= payload.keys():
            return _table(payload["data"], path, columns=payload["columns"])
        return {name: _array(numpy, values) for name, values in payload.items()}
    if isinstance(payload, list) and payload and all(isinstance(row, dict) for row in payload):
        if all({"name", "shape", "data"} <= row.keys() for row in payload):
            return {row["name"]: _array(numpy, row["data"]).reshape(row["shape"]) for row in payload}
        return _table(payload, path)
    if not isinstance(payload, list) or not payload:
        raise ValueError("it holds no rows")
    return _array(numpy, payload)


def _table(rows: list[Any], path: str, **arguments: Any) -> Any:
    return packages.require("pandas", path, "a sample of a table").DataFrame(rows, **arguments)


def _array(numpy: Any, values: Any) -> Any:
    array = numpy.asarray(values)
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype == object:
        raise ValueError("its rows differ in length")
    return array if array.ndim else array.reshape(1)


def _dtype(array: Any) -> str:
    names: dict[str, str] = {"O": "object", "U": "str", "S": "bytes", "M": "datetime64"}
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel()[:100]):
        return "str"
    return names.get(array.dtype.kind) or str(array.dtype)
