"""A model inside an MLflow folder, dressed in the folder's signature. Runs in workers: Python 3.8; pandas
where a table is asked for."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any, Callable, Mapping

from penstock.scoring.interface import Signature
from penstock.scoring.loaders import probing
from penstock.scoring.loaders.loaded import LoadedModel

_NUMBERS = ("float64", "float32", "int64", "int32", "bool")


def dressed(inner: LoadedModel, outer: Signature) -> LoadedModel:
    """`inner` as callers see it through `outer`, the signature of the folder; `inner` itself where the
    folder has none."""
    if outer.layout == "unknown":
        return inner
    turn, accepts_array = _turn(inner, outer)
    # What the model was seen to give is surer than what was written of it.
    outputs = inner.signature.outputs or outer.outputs
    signature = replace(outer, outputs=outputs)
    if signature.sample is None:
        # A dtype that nobody can make up, or no pandas.
        with contextlib.suppress(ValueError, ImportError):
            signature = replace(signature, sample=probing.sample_of(probing.rows(signature, 1)))
    inner = replace(inner, takes_any_float=False)
    if turn is None:
        return replace(inner, signature=signature, accepts_array=accepts_array)
    change = turn

    def score(method: str, data: Any, params: Mapping[str, Any]) -> Any:
        return inner.score(method, change(data), params)

    return replace(inner, signature=signature, score=score, accepts_array=accepts_array)


def _turn(inner: LoadedModel, outer: Signature) -> tuple[Any, bool]:
    """What to do to data of the layout of `outer` so that `inner` takes it (None: nothing), and whether a
    table may come as an array."""
    wanted = inner.signature
    names = [field.name for field in wanted.inputs]
    given = [field.name for field in outer.inputs]
    all_numbers = all(field.dtype in _NUMBERS for field in outer.inputs)
    if outer.layout == "table":
        if wanted.layout == "array" and len(wanted.inputs[0].shape) > 1:
            return _to_array, all_numbers
        if wanted.layout == "table" and names != given and set(names) <= set(given):
            return _columns(names), False
        if wanted.layout == "tensors" and set(names) <= set(given):
            return _to_tensors, False
        return None, inner.accepts_array and all_numbers and wanted.layout == "table"
    if outer.layout == "array" and wanted.layout == "table" and not inner.accepts_array:
        return _to_table(names), False
    if outer.layout == "array" and wanted.layout == "tensors" and len(given) == 1:
        return lambda data: {given[0]: data}, False
    return None, False


def _to_array(data: Any) -> Any:
    return data.to_numpy() if hasattr(data, "to_numpy") else data


def _columns(names: Any) -> Callable[[Any], Any]:
    return lambda data: data[names]


def _to_tensors(data: Any) -> Any:
    return {name: data[name].to_numpy() for name in data.columns}


def _to_table(names: Any) -> Callable[[Any], Any]:
    def turned(data: Any) -> Any:
        import pandas as pd

        return pd.DataFrame(data, columns=names)

    return turned
