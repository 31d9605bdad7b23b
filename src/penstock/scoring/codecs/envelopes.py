"""The JSON forms that clients send rows in, told apart by their keys.

| key | whose | holds |
|---|---|---|
| ``data`` | Azure ML's v1 and custom clients | rows, records, columns, or columns/index/data |
| ``input_data`` | Azure ML's MLflow deployments | the same |
| ``dataframe_split`` | MLflow 2 | columns/index/data |
| ``dataframe_records`` | MLflow 2 | records |
| ``instances`` | TensorFlow Serving, MLflow | rows or records |
| ``inputs`` | TensorFlow Serving, MLflow | columns or tensors by name, or rows |
| none, a bare list | | rows or records |

``params`` (an object, handed to the model) and ``method`` (which of the model's methods answers) may stand
beside any of them. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import difflib
from typing import Any, Mapping
from urllib.parse import parse_qsl

from penstock import errors
from penstock.scoring.codecs import schema, values
from penstock.scoring.interface import Model

KEYS = ("data", "input_data", "dataframe_split", "dataframe_records", "instances", "inputs")
_BESIDE = ("params", "method")
_SPLIT = frozenset({"columns", "index", "data"})


def read(payload: Any, model: Model) -> tuple[Any, str, Mapping[str, Any]]:
    """``(data, method, params)`` of a JSON `payload`; `data` as `schema` returns it, `method` empty where
    the payload names none. Raises MalformedInput when it is no known form, SchemaMismatch when it does not
    fit the model."""
    if isinstance(payload, list):
        return _any_form(payload, "the body", model), "", {}
    if not isinstance(payload, dict):
        raise errors.MalformedInput(
            "expected a JSON object with one of the keys {}, or a list of rows; found {}".format(
                ", ".join(KEYS), values.shown(payload)
            )
        )
    present = [key for key in KEYS if key in payload]
    strange = [key for key in payload if key not in KEYS and key not in _BESIDE]
    if len(present) != 1 or strange:
        _refuse_keys(payload, present, strange, model)
    key = present[0]
    params = payload.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise errors.MalformedInput(f"params: expected an object, found {values.shown(params)}")
    method = payload.get("method", "")
    if not isinstance(method, str):
        raise errors.MalformedInput(f"method: expected a string, found {values.shown(method)}")
    return _value(key, payload[key], model), method, params


def method_asked(query: str) -> str:
    """The model's method that the `query` string asks for (``method=predict_proba``), or empty. Other
    parameters are left to those who know them, unless they look like a misspelt ``method``."""
    asked = ""
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "method":
            asked = value
        elif difflib.get_close_matches(name, ["method"], n=1, cutoff=0.75):
            raise errors.MalformedInput(f"unknown query parameter {name!r}; did you mean 'method'?")
    return asked


def method_of(model: Model, *asked: str) -> str:
    """The method to call: the first of `asked` that is not empty, or the model's default. Raises
    MalformedInput for one that the model does not have, naming those it has."""
    for name in asked:
        if name:
            if name not in model.methods:
                raise errors.MalformedInput(
                    "the model has no method {!r}; it has {}".format(name, ", ".join(model.methods))
                )
            return name
    return model.methods[0]


def _refuse_keys(payload: dict[str, Any], present: list[str], strange: list[str], model: Model) -> None:
    if len(present) > 1:
        raise errors.MalformedInput(
            "the body has both {}; expected one of them".format(" and ".join(present))
        )
    if not present:
        known = {field.name for field in model.signature.inputs}
        hint = ""
        if known & set(payload):
            hint = '; wrap columns or a record in a key: {"data": [{...}]}'
        near = [difflib.get_close_matches(key, KEYS, n=1) for key in strange]
        for key, match in zip(strange, near):
            if match and not hint:
                hint = f"; did you mean {match[0]!r} where it says {key!r}?"
        found = values.listed(list(payload)) if payload else "none"
        raise errors.MalformedInput(
            "expected one of the keys {}; found {}{}".format(", ".join(KEYS), found, hint)
        )
    near_beside = difflib.get_close_matches(strange[0], _BESIDE, n=1)
    raise errors.MalformedInput(
        "unexpected key{} {} beside {!r}; expected at most params and method{}".format(
            "" if len(strange) == 1 else "s",
            values.listed(strange),
            present[0],
            f" (did you mean {near_beside[0]!r}?)" if near_beside else "",
        )
    )


def _value(key: str, value: Any, model: Model) -> Any:
    if key == "dataframe_split":
        if not isinstance(value, dict):
            raise errors.MalformedInput(
                f"{key}: expected an object with columns and data, found {values.shown(value)}"
            )
        return _split(key, value, model)
    if key == "dataframe_records" and not isinstance(value, list):
        raise errors.MalformedInput(f"{key}: expected a list of objects, found {values.shown(value)}")
    return _any_form(value, key, model)


def _any_form(value: Any, key: str, model: Model) -> Any:
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            return schema.from_records(value, model)
        return schema.from_grid(value, None, model)
    if isinstance(value, dict):
        if _is_split(value, model):
            return _split(key, value, model)
        if not value:
            raise errors.MalformedInput(f"{key}: the object is empty; expected columns by name")
        return schema.from_named(value, model)
    raise errors.MalformedInput(
        f"{key}: expected a list of rows or an object of columns, found {values.shown(value)}"
    )


def _is_split(value: Mapping[str, Any], model: Model) -> bool:
    """Whether an object is columns/index/data and not a table with columns of those very names."""
    if not ("data" in value and value.keys() <= _SPLIT):
        return False
    return not {field.name for field in model.signature.inputs} >= value.keys()


def _split(key: str, value: Mapping[str, Any], model: Model) -> Any:
    strange = [name for name in value if name not in _SPLIT]
    if strange or "data" not in value:
        raise errors.MalformedInput(
            f"{key}: expected the keys columns, data and perhaps index; found {values.listed(list(value))}"
        )
    names = value.get("columns")
    rows = value["data"]
    index = value.get("index")
    if names is not None and not isinstance(names, list):
        raise errors.MalformedInput(f"{key}.columns: expected a list, found {values.shown(names)}")
    if not isinstance(rows, list):
        raise errors.MalformedInput(f"{key}.data: expected a list of rows, found {values.shown(rows)}")
    if index is not None and (not isinstance(index, list) or len(index) != len(rows)):
        found = f"{len(index)} of them" if isinstance(index, list) else values.shown(index)
        raise errors.MalformedInput(
            f"{key}.index: expected a list as long as the {len(rows)} rows, found {found}"
        )
    if names is not None:
        # A frame whose columns were numbered has numbers here; names are text everywhere else.
        names = [str(name) for name in names]
        if len(set(names)) == len(names) and rows and all(isinstance(row, list) for row in rows):
            _check_widths(key, rows, len(names))
    return schema.from_grid(rows, names, model)


def _check_widths(key: str, rows: list[list[Any]], width: int) -> None:
    if set(map(len, rows)) == {width}:
        return
    for index, row in enumerate(rows):
        if len(row) != width:
            raise errors.SchemaMismatch(
                f"{key}.data: row {index} (counting from 0): expected {width} values, one for each of columns, "
                f"found {len(row)}"
            )
