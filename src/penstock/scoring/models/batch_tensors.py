"""Columns of lists to tensors: each row is a list, of fixed or free length, nested or flat.

A flat list is folded where the model's shape leaves but one way: 3072 numbers for ``(rows, 3, 32, 32)``. Buffers
are taken as they are. Runs in workers: Python 3.8; pyarrow and NumPy inside the functions.
"""

from __future__ import annotations

from typing import Any, Sequence

from penstock import errors
from penstock.scoring.codecs import arrays
from penstock.scoring.interface import Field
from penstock.scoring.models import batch_columns


def misfit(kind: Any, field: Field) -> str:
    """Why a column of lists of the Arrow type `kind` can never become `field`; empty where it can, or where only
    its values tell."""
    sizes: list[int] = []
    inner = kind
    while batch_columns.is_list(inner):
        sizes.append(getattr(inner, "list_size", -1))
        inner = inner.value_type
    trouble = batch_columns.misfit(inner, field)
    if trouble:
        return f"is {kind}: a value {trouble}"
    wanted = field.shape[1:]
    fits = len(sizes) == len(wanted) and all(-1 in pair or pair[0] == pair[1] for pair in zip(sizes, wanted))
    folds = len(sizes) == 1 and -1 not in wanted and sizes[0] in (-1, _product(wanted))
    if fits or folds:
        return ""
    return f"is {kind}, the model takes an array of shape {arrays.shape_text(field.shape)}"


def convert(column: Any, name: str, field: Field) -> Any:
    """`column`, a ChunkedArray named `name`, as an ndarray of the dtype and shape of `field`. Raises DataError:
    lists of several lengths, of another length than the model's, missing ones, values that do not fit."""
    array = _flat(column, name)
    wanted = field.shape[1:]
    if array.ndim == 2 and len(wanted) > 1 and -1 not in wanted and array.shape[1] == _product(wanted):
        array = array.reshape(-1, *wanted)
    if len(wanted) == 0 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    try:
        return arrays.convert(array, Field(name, field.dtype, field.shape))
    except errors.SchemaMismatch as error:
        raise errors.DataError(error.message, column=name) from None


def infer(column: Any, name: str) -> Any:
    """`column` as an ndarray of the dtype and shape that it has."""
    return _flat(column, name)


def _product(sizes: Sequence[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def _flat(column: Any, name: str) -> Any:
    """All values of `column`, in its own shape and dtype."""
    import numpy as np

    parts = []
    at = 0
    sizes: list[int] = []
    for chunk in column.chunks:
        if len(chunk):
            parts.append(_of_chunk(chunk, name, at, sizes))
        at += len(chunk)
    flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return flat.reshape(at, *sizes)


def _of_chunk(chunk: Any, name: str, at: int, sizes: list[int]) -> Any:
    """The innermost values; fills in `sizes`, or compares with those of earlier chunks."""
    import pyarrow as pa

    inner = chunk
    lists_a_row = 1
    level = 0
    while batch_columns.is_list(inner.type):
        if inner.null_count:
            row = at + _first(inner.is_null()) // lists_a_row
            raise errors.DataError("expected a list, found null", row=row, column=name)
        size = _size(inner, name, at, lists_a_row, sizes[level] if level < len(sizes) else -1)
        if level == len(sizes):
            sizes.append(size)
        lists_a_row *= max(size, 1)
        level += 1
        inner = _elements(inner, size)
    return batch_columns.infer(pa.chunked_array([inner]), name)


def _size(lists: Any, name: str, at: int, lists_a_row: int, expected: int) -> int:
    """The one length that all of `lists` have; `expected` where earlier ones told it, else -1."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_fixed_size_list(lists.type):
        return int(lists.type.list_size)
    lengths = np.diff(lists.offsets.to_numpy())
    size = int(lengths[0]) if expected == -1 else expected
    different = lengths != size
    if different.any():
        place = int(different.argmax())
        raise errors.DataError(
            f"expected lists of {size} values as in the rows before, found {int(lengths[place])}",
            row=at + place // lists_a_row,
            column=name,
        )
    return size


def _elements(lists: Any, size: int) -> Any:
    """The values of `lists`, each of this `size`."""
    inner = lists.flatten()
    if len(inner) != len(lists) * size:
        # Old versions forget that lists of fixed size may be a slice.
        inner = inner.slice(lists.offset * size, len(lists) * size)
    return inner


def _first(mask: Any) -> int:
    return int(mask.to_numpy(zero_copy_only=False).argmax())
