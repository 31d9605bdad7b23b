"""Nested lists to an ndarray of a Field's shape and dtype, or an error that names the row and position.

Works level by level on whole levels at C speed: the lengths of all lists of a level are compared, then they
are flattened into the next. Runs in workers: Python 3.8; NumPy inside the functions.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Sequence

from penstock import errors
from penstock.scoring.codecs import columns, values
from penstock.scoring.interface import Field

_SEQUENCES = {list, tuple}
MOST_DIMENSIONS = 32


def numbers(rows: Sequence[Any], width: int, dtype: str) -> Any:
    """The quick way for rows of `width` JSON numbers: an ndarray ``(rows, width)`` of the float `dtype`.

    Raises ValueError, TypeError or OverflowError for anything else, without saying what: use `convert` for
    that. Costs about 25 ns a value, half of it to see that no string slips through.
    """
    import numpy as np

    check_widths(rows, width)
    flat = list(chain.from_iterable(rows))
    if not set(map(type, flat)) <= values.PLAIN["float"]:
        raise TypeError
    array = np.array(flat, dtype=np.float64).reshape(-1, width)
    if dtype == "float64":
        return array
    # Its own dtype last, so that a number too large for it is seen.
    return columns.convert(array.ravel(), Field("", dtype), str).reshape(-1, width)


def check_widths(rows: Sequence[Any], width: int) -> None:
    """Raise ValueError unless every one of `rows` is a list or tuple of `width` values."""
    if not set(map(type, rows)) <= _SEQUENCES or set(map(len, rows)) != {width}:
        raise ValueError


def convert(found: Any, field: Field, *, name: str = "") -> Any:
    """`found` (nested lists, or an ndarray) as an ndarray of `field`'s dtype and shape.

    `name` is put into messages where there are several tensors. Raises SchemaMismatch: the wrong number of
    features or dimensions, ragged rows, a value of another type.
    """
    shape = field.shape
    subject = f"tensor {name!r}" if name else "the data"
    if type(found).__name__ == "ndarray":
        return _convert_array(found, field, subject)
    flat, dimensions = _flatten(found, shape, subject)
    is_matrix = len(shape) == 2 and not name
    array = columns.convert(flat, field, lambda index: _place(index, dimensions, name, is_matrix))
    return array.reshape(dimensions)


def infer(found: Any) -> Any:
    """`found` as an ndarray of whatever shape and dtype it has. Raises SchemaMismatch when it is ragged."""
    if type(found).__name__ == "ndarray":
        return found
    flat, dimensions = _flatten(found, None, "the data")
    return columns.infer(flat).reshape(dimensions)


def _convert_array(found: Any, field: Field, subject: str) -> Any:
    shape = field.shape
    if len(shape) == 1 and found.ndim == 2 and found.shape[1] == 1:
        found = found.reshape(-1)
    fits = found.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, found.shape))
    if not fits:
        raise errors.SchemaMismatch(
            f"{subject}: expected the shape {shape_text(shape)}, found {shape_text(found.shape)}",
            field=field.name,
        )
    dimensions = found.shape
    flat = found.reshape(-1)
    array = columns.convert(flat, field, lambda index: _place(index, dimensions, field.name, False))
    return array.reshape(dimensions)


def shape_text(shape: Sequence[int]) -> str:
    """``(rows, 10)``: a free first dimension by name, any other as ``any``."""
    words = ["any" if size == -1 else str(size) for size in shape]
    if shape and shape[0] == -1:
        words[0] = "rows"
    return "({})".format(", ".join(words))


def _flatten(found: Any, shape: tuple[int, ...] | None, subject: str) -> tuple[list[Any], tuple[int, ...]]:
    """All innermost values in row-major order, and the dimensions they had."""
    if type(found) not in _SEQUENCES:
        raise errors.SchemaMismatch(f"{subject}: expected a list of rows, found {values.shown(found)}")
    level = list(found)
    dimensions = [len(level)]
    while shape is None or len(dimensions) < len(shape):
        types = set(map(type, level))
        if not types & _SEQUENCES:
            if shape is not None and level:
                if types == {dict} or (len(shape) == 2 and len(dimensions) == 1):
                    _flat_row(found, shape, subject)
                _too_flat(level, shape, dimensions, subject)
            break
        want = shape[len(dimensions)] if shape is not None else -1
        lengths = set(map(len, level)) if types <= _SEQUENCES else set()
        if len(lengths) != 1 or (want != -1 and lengths != {want}):
            _ragged(level, want, dimensions, subject)
        if len(dimensions) == MOST_DIMENSIONS:
            raise errors.SchemaMismatch(f"{subject}: nested deeper than {MOST_DIMENSIONS} lists")
        dimensions.append(lengths.pop())
        level = list(chain.from_iterable(level))
    if not level:
        return level, _empty_dimensions(dimensions, shape)
    if shape is not None:
        if shape == (-1,) and set(map(type, level)) == {list} and set(map(len, level)) == {1}:
            return list(chain.from_iterable(level)), tuple(dimensions)
        _too_deep(level, shape, dimensions, subject)
        if shape[0] not in (-1, dimensions[0]):
            raise errors.SchemaMismatch(f"{subject}: expected {shape[0]} rows, found {dimensions[0]}")
    return level, tuple(dimensions)


def _empty_dimensions(found: Sequence[int], shape: tuple[int, ...] | None) -> tuple[int, ...]:
    rest = [0 if size == -1 else size for size in (shape or ())[len(found) :]]
    return (*found, *rest)


def _flat_row(found: Sequence[Any], shape: tuple[int, ...], subject: str) -> None:
    first = found[0]
    if len(found) == shape[1] and not isinstance(first, dict):
        advice = "a single row goes into a list of its own: [[...]]"
    else:
        advice = "each row is a list: [[...], [...]]"
    raise errors.SchemaMismatch(
        "{}: expected rows of {} values each, found {} as a row; {}".format(
            subject, "any number of" if shape[1] == -1 else shape[1], values.shown(first), advice
        )
    )


def _too_flat(level: Sequence[Any], shape: tuple[int, ...], dimensions: Sequence[int], subject: str) -> None:
    raise errors.SchemaMismatch(
        f"{subject}: expected {len(shape)} nested lists, shape {shape_text(shape)}; "
        f"found {values.shown(level[0])} after {len(dimensions)}"
    )


def _too_deep(level: Sequence[Any], shape: tuple[int, ...], dimensions: Sequence[int], subject: str) -> None:
    for index, value in enumerate(level):
        if type(value) in _SEQUENCES:
            place = _place(index, tuple(dimensions), "", len(shape) == 2)
            raise errors.SchemaMismatch(
                f"{subject}: {place}: expected a single value, found {values.shown(value)}; "
                f"the shape is {shape_text(shape)}"
            )


def _ragged(level: Sequence[Any], want: int, dimensions: Sequence[int], subject: str) -> None:
    """Raise for the first member of `level` that is no list or is not as long as it should be."""
    if want == -1:
        want = next(len(value) for value in level if type(value) in _SEQUENCES)
        reason = " as the first has"
    else:
        reason = ""
    for index, value in enumerate(level):
        place = _place(index, tuple(dimensions), "", False)
        if type(value) not in _SEQUENCES:
            raise errors.SchemaMismatch(
                f"{subject}: {place}: expected a list of {want} values{reason}, found {values.shown(value)}"
            )
        if len(value) != want:
            raise errors.SchemaMismatch(
                f"{subject}: {place}: expected {want} values{reason}, found {len(value)}"
            )


def _place(index: int, dimensions: tuple[int, ...], name: str, is_matrix: bool) -> str:
    """Where the value at `index` of the flattened data stood."""
    position = []
    for size in reversed(dimensions[1:]):
        index, at = divmod(index, size)
        position.append(at)
    position.reverse()
    row = f"row {index} (counting from 0)"
    if name:
        row = f"tensor {name!r}, {row}"
    if not position:
        return row
    if is_matrix:
        return f"{row}, column {position[0]}"
    return f"{row}, position {position}"
