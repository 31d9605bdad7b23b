"""What a script's ``run`` returned, as a table: for outputs that have columns and types.

The rules, so that mini-batches of one job get the same columns:

- A data frame gives its columns; the index is dropped. Column names become text (``("a", "b")`` is ``a_b``);
  columns that nobody named (0, 1, 2, ...) are called like those of lists; a name's second use gets ``_1``.
- A list of scalars is one column, `prediction_name`. A list of tuples, lists, arrays or unnamed Series of
  one length is ``prediction_0``, ``prediction_1``, ... (of length 1: `prediction_name`); of several lengths
  it is refused. Dictionaries and named Series give a column for each key, in order of first appearance.
  Data frames in a list are put under each other.
- NaN, NaT, NA and None are null, as pandas means them. Text is ``string``, categories are their values,
  half floats are floats. What has no common type is text: ``str()`` of each value.

Runs in workers: Python 3.8; pyarrow, pandas and NumPy inside the functions that need them.
"""

from __future__ import annotations

import sys
from typing import Any, Iterable, Mapping, Sequence

from penstock import errors
from penstock.scoring.scripts import batch_columns


def to_table(content: Any, prediction_name: str = "prediction") -> Any:
    """`content` (a pandas DataFrame, or a list) as a ``pyarrow.Table``, a row for each of its elements.

    Raises `ScriptRunError` when the elements have no common shape.
    """
    import pyarrow as pa

    if _is_frame(content):
        names, columns = _of_frame(content, prediction_name)
    else:
        names, columns = _of_list(list(content), prediction_name)
    return pa.table([batch_columns.array_of(values) for values in columns], names=_unique(names))


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _of_frame(frame: Any, prediction_name: str) -> tuple[list[str], list[Any]]:
    labels = list(frame.columns)
    names = (
        _unnamed(len(labels), prediction_name) if _is_counted(labels) else [_text(label) for label in labels]
    )
    # By position: names may repeat.
    return names, [frame.iloc[:, index] for index in range(len(labels))]


def _of_list(elements: list[Any], prediction_name: str) -> tuple[list[str], list[Any]]:
    kinds = _kinds(elements)
    if kinds == {"frame"}:
        import pandas as pd

        whole = pd.concat([element for element in elements if element is not None], ignore_index=True)
        return _of_frame(whole, prediction_name)
    if kinds == {"mapping"}:
        return _of_mappings([{} if element is None else element for element in elements])
    if kinds == {"sequence"}:
        return _of_sequences(elements, prediction_name)
    return [prediction_name], [elements]


def _kinds(elements: Sequence[Any]) -> set[str]:
    """The kinds of `elements` that are there. Most lists have one type, which is looked at once."""
    types = set(map(type, elements)) - {type(None)}
    if all(issubclass(kind, (str, bytes, int, float)) for kind in types):
        return {"scalar"} if types else set()
    return {_kind(element) for element in elements if element is not None}


def _kind(element: Any) -> str:
    """``frame``, ``mapping``, ``sequence`` or ``scalar``."""
    if isinstance(element, (str, bytes)):
        return "scalar"
    if _is_frame(element):
        return "frame"
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(element, pandas.Series):
        return "sequence" if _is_counted(list(element.index)) else "mapping"
    if isinstance(element, Mapping):
        return "mapping"
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(element, numpy.ndarray):
        return "sequence" if element.ndim > 0 else "scalar"
    return "sequence" if isinstance(element, (list, tuple)) else "scalar"


def _of_mappings(elements: Sequence[Any]) -> tuple[list[str], list[Any]]:
    keys: dict[Any, None] = {}
    for element in elements:
        keys.update(dict.fromkeys(element.keys()))
    columns = [[element.get(key) for element in elements] for key in keys]
    return [_text(key) for key in keys], columns


def _of_sequences(elements: Sequence[Any], prediction_name: str) -> tuple[list[str], list[Any]]:
    # A namedtuple says how its parts are called.
    rows = [None if element is None else list(element) for element in elements]
    widths = sorted({len(row) for row in rows if row is not None})
    if len(widths) > 1:
        raise errors.ScriptRunError(
            f"run() returned rows of {widths[0]} to {widths[-1]} values: they cannot be columns",
            hint='Return dictionaries, such as {"values": [...]}, or a pandas DataFrame.',
        )
    width = widths[0]
    fields = next((getattr(element, "_fields", None) for element in elements if element is not None), None)
    names = list(fields) if isinstance(fields, tuple) else _unnamed(width, prediction_name)
    return names, [[None if row is None else row[index] for row in rows] for index in range(width)]


def _is_counted(labels: Sequence[Any]) -> bool:
    """Whether `labels` are 0, 1, 2, ..., which is what pandas puts where nobody names."""
    return all(not isinstance(label, (str, bool)) and label == index for index, label in enumerate(labels))


def _unnamed(width: int, prediction_name: str) -> list[str]:
    return [prediction_name] if width == 1 else [f"{prediction_name}_{index}" for index in range(width)]


def _text(label: Any) -> str:
    if isinstance(label, tuple):
        return "_".join(str(part) for part in label if str(part))
    return str(label)


def _unique(names: Iterable[str]) -> list[str]:
    """`names`, the second ``x`` called ``x_1``, or the next number that is free."""
    wanted = list(names)
    taken: set[str] = set()
    given: list[str] = []
    for name in wanted:
        number, free = 0, name
        while free in taken or (number and free in wanted):
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        given.append(free)
    return given
