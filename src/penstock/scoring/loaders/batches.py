"""The row dimension of models that are graphs (ONNX, torch): whether it is free, and what to do where it is
not. Runs in workers: Python 3.8, NumPy."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from penstock.scoring.interface import Field
from penstock.scoring.loaders import probing

Run = Callable[[Any], Any]
"""Arrays in (one, or a dict by name), arrays out; the first dimension is the row."""


def fixed_rows(shapes: Sequence[tuple[int, ...]]) -> int | None:
    """The number of rows that a graph was frozen at, from the `shapes` of its inputs (-1: free); 0 where
    rows are free; None where there is no common row dimension."""
    if not shapes or any(not shape for shape in shapes):
        return None
    firsts = {shape[0] for shape in shapes}
    if firsts == {-1}:
        return 0
    return firsts.pop() if len(firsts) == 1 else None


def free(field: Field) -> Field:
    """`field` with a free row dimension."""
    return Field(field.name, field.dtype, (-1, *field.shape[1:]), field.required, field.categories)


def in_fixed(run: Run, size: int) -> Run:
    """`run`, which takes exactly `size` rows, as a function of any number: called once for every `size`
    rows, the last call filled up with copies of its last row, whose answers are dropped."""

    def whole(data: Any) -> Any:
        count = len(next(iter(data.values()))) if isinstance(data, dict) else len(data)
        pieces = []
        for start in range(0, count, size):
            rows = min(size, count - start)
            result = run(_each(data, _cutter(start, start + rows, size)))
            pieces.append(_each(result, _cutter(0, rows, rows)))
        return _joined(pieces)

    return whole


def _cutter(start: int, stop: int, size: int) -> Callable[[Any], Any]:
    """A function that cuts rows out of an array and fills them up to `size`."""
    return lambda array: _filled(array[start:stop], size)


def _each(data: Any, change: Callable[[Any], Any]) -> Any:
    return {name: change(array) for name, array in data.items()} if isinstance(data, dict) else change(data)


def _filled(array: Any, size: int) -> Any:
    import numpy as np

    missing = size - len(array)
    return array if missing == 0 else np.concatenate((array, np.repeat(array[-1:], missing, axis=0)))


def _joined(pieces: Sequence[Any]) -> Any:
    import numpy as np

    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], dict):
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    if isinstance(pieces[0], list):
        return [row for piece in pieces for row in piece]
    return np.concatenate(pieces)


def rows_are_independent(run: Run, data: Any) -> bool:
    """Whether the rows of `data` get the same answers together and one by one, but for rounding.

    A sample proves nothing for all inputs, yet what breaks it (a sequence along the first dimension, a mean
    over the batch, randomness) breaks it on random rows.
    """
    together = run(data)
    count = len(next(iter(data.values()))) if isinstance(data, dict) else len(data)
    apart = [run(_each(data, _cutter(row, row + 1, 1))) for row in range(count)]
    return probing.close(together, _joined(apart))
