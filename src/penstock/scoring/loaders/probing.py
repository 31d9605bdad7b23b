"""Rows that fit a signature, and what a model gives for them.

A model of a library that we know is called once at load: it proves that it can answer before it is said to
be ready, tells the form of its outputs, and warms it up. Runs in workers: Python 3.8; NumPy, and pandas for
tables.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Callable, Mapping, Sequence

from penstock.scoring.interface import Field, Signature


def rows(signature: Signature, count: int, free: int = 4) -> Any:
    """`count` rows of made-up data in the form of `signature.layout`, the same on every call; None where the
    layout is unknown or pandas is missing for a table. `free` is the size given to free dimensions other than
    the first. Raises ValueError for a dtype that nobody can make up.
    """
    if signature.layout == "table":
        try:
            import pandas as pd
        except ImportError:
            return None
        return pd.DataFrame(
            {field.name: _column(field, count, place) for place, field in enumerate(signature.inputs)}
        )
    if signature.layout == "array":
        return _array(signature.inputs[0], count, 0, free)
    if signature.layout == "tensors":
        return {field.name: _array(field, count, place, free) for place, field in enumerate(signature.inputs)}
    return None


def _column(field: Field, count: int, seed: int) -> Any:
    values = _array(replace(field, shape=(-1,)), count, seed)
    if field.dtype == "category":
        import pandas as pd

        return pd.Categorical(values, categories=list(field.categories or ()))
    return values


def _array(field: Field, count: int, seed: int, free: int = 4) -> Any:
    import numpy as np

    shape = (count, *(free if size < 0 else size for size in field.shape[1:]))
    random = np.random.RandomState(seed)
    if field.categories:
        choice = random.randint(0, len(field.categories), size=shape)
        values = np.empty(shape, dtype=object)
        values.ravel()[:] = [field.categories[index] for index in choice.ravel()]
        return values if field.dtype in ("str", "object", "category") else values.astype(field.dtype)
    if field.dtype in ("str", "category"):
        values = np.empty(shape, dtype=object)
        values.ravel()[:] = [f"example {number}" for number in range(values.size)]
        return values
    if field.dtype == "bool":
        return random.randint(0, 2, size=shape).astype(bool)
    if field.dtype.startswith(("int", "uint")):
        # Small, for they may be indices into an embedding.
        return random.randint(0, 2, size=shape).astype(field.dtype)
    if field.dtype.startswith("datetime64"):
        return (np.datetime64("2024-01-01", "ns") + random.randint(0, 9, size=shape)).astype("datetime64[ns]")
    if field.dtype in ("object", "bytes"):
        if field.dtype == "bytes":
            raise ValueError("bytes of an unknown kind")
        return random.normal(size=shape)
    return random.normal(size=shape).astype(field.dtype)


def sample_of(data: Any) -> Any:
    """The rows as the JSON-able `Signature.sample`: lists for an array, records for a table, ``{name: list}``
    for tensors; floats are rounded, for people."""
    if hasattr(data, "to_dict"):
        return [{name: _plain(value) for name, value in row.items()} for row in data.to_dict("records")]
    if isinstance(data, dict):
        return {name: _plain(value) for name, value in data.items()}
    return _plain(data)


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def output_field(name: str, result: Any, categories: Sequence[Any] | None = None) -> Field | None:
    """The form of one output, from an actual `result` with a row dimension; None where it has none."""
    if hasattr(result, "to_numpy"):
        result = result.to_numpy()
    if not hasattr(result, "dtype") or not getattr(result, "shape", ()):
        return None
    kind = result.dtype.kind
    if kind in "OUS":
        first = result.ravel()[0] if result.size else ""
        dtype = "str" if isinstance(first, str) else "bytes" if isinstance(first, bytes) else "object"
    else:
        dtype = "datetime64" if kind == "M" else str(result.dtype)
    return Field(name, dtype, (-1, *result.shape[1:]), categories=tuple(categories) if categories else None)


def outputs(
    score: Callable[[str, Any, Mapping[str, Any]], Any],
    methods: Sequence[str],
    data: Any,
    classes: Sequence[Any] | None = None,
) -> tuple[Field, ...]:
    """One Field a method that answers, named after it: ``predict``, ``predict_proba``. Where `predict` gives
    a dict of named arrays, one Field each, named as they are. Raises what `predict` raises."""
    fields: list[Field] = []
    for method in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = score(method, data, {})
            except Exception:
                if method == methods[0]:
                    raise
                continue
        named: dict[str, Any] = result if isinstance(result, dict) else {method: result}
        for name, value in named.items():
            field = output_field(name, value, classes if method in ("predict", "predict_proba") else None)
            if field is not None:
                fields.append(field)
    return tuple(fields)


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal, bit for bit (NaN equals NaN)."""
    import numpy as np

    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    left, right = np.asarray(one), np.asarray(other)
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind == "f":
        return bool(np.array_equal(left[~np.isnan(left)], right[~np.isnan(right)])) and bool(
            (np.isnan(left) == np.isnan(right)).all()
        )
    return bool(np.array_equal(left, right))


def close(one: Any, other: Any) -> bool:
    """Whether two results are equal but for rounding: sums of another order."""
    import numpy as np

    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[name], other[name]) for name in one)
    left, right = np.asarray(one), np.asarray(other)
    if left.shape != right.shape:
        return False
    if left.dtype.kind == "f":
        return bool(np.allclose(left, right, rtol=1e-4, atol=1e-5, equal_nan=True))
    return bool(np.array_equal(left, right))
