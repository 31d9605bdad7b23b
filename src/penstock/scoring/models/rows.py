"""Joining the data of several calls into one, and cutting one result back into theirs.

Nothing here may ever move a row: what cannot be cut exactly is refused. Runs in workers: Python 3.8.
"""

from __future__ import annotations

from typing import Any, Sequence

from penstock.scoring import tables

MOST_SHARED = 8192
"""Requests share a call up to this many rows; a larger one gains nothing by company, and delays it."""


def layout(data: Any) -> tuple[Any, ...]:
    """A key that is equal for data that may be joined without changing any of it: same kind, same column
    names and dtypes, same shape but for the rows. Data of an unknown kind equals nothing but itself."""
    if isinstance(data, tables.Table):
        return ("table", data.layout())
    if _is_array(data):
        return ("array", data.dtype.str, data.shape[1:])
    if isinstance(data, dict) and all(_is_array(value) for value in data.values()):
        return ("tensors", tuple((name, value.dtype.str, value.shape[1:]) for name, value in data.items()))
    if _is_frame(data):
        return ("frame", tuple(map(str, data.columns)), tuple(map(repr, data.dtypes)))
    return ("alone", id(data))


def join(parts: Sequence[Any]) -> Any:
    """The rows of all `parts`, whose layouts are equal, in order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, tables.Table):
        return tables.join(parts)
    if isinstance(first, dict):
        return {name: _concatenate([part[name] for part in parts]) for name in first}
    if _is_array(first):
        return _concatenate(list(parts))
    import pandas as pd

    return pd.concat(parts, ignore_index=True)


def count(result: Any) -> int:
    """How many rows a model's result has; -1 where it has none to count (a number, a mixed dict)."""
    if isinstance(result, dict):
        counts = {count(value) for value in result.values()}
        return counts.pop() if len(counts) == 1 else -1
    shape = getattr(result, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else -1
    return len(result) if isinstance(result, (list, tuple)) else -1


def cut(result: Any, counts: Sequence[int]) -> list[Any]:
    """`result`, whose rows are as many as `counts` add up to, in pieces of those counts."""
    pieces = []
    at = 0
    for size in counts:
        pieces.append(_piece(result, at, at + size))
        at += size
    return pieces


def _piece(result: Any, start: int, stop: int) -> Any:
    if isinstance(result, dict):
        return {name: _piece(value, start, stop) for name, value in result.items()}
    if hasattr(result, "iloc"):
        return result.iloc[start:stop]
    return result[start:stop]


def _concatenate(arrays: list[Any]) -> Any:
    import numpy as np

    return np.concatenate(arrays)


def _is_array(value: Any) -> bool:
    return type(value).__name__ == "ndarray" and value.ndim > 0


def _is_frame(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "iloc")
