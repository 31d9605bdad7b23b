"""CSV bodies (RFC 4180, commas, UTF-8), with or without a header row.

A cell says nothing of its type, so each column is read as the model's signature wants it; where that is
unknown, as integers, else numbers, else text. An empty cell is a missing value. Runs in workers: Python 3.8.
"""

from __future__ import annotations

import csv
import io
from typing import Any, Callable, Sequence

from penstock import errors
from penstock.scoring.codecs import schema, values
from penstock.scoring.interface import Field, Model

_MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"})
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def read(body: bytes, model: Model) -> Any:
    """The rows of `body`, as `schema` returns them. Raises MalformedInput and SchemaMismatch."""
    rows = _rows(body)
    fields = model.signature.inputs
    layout = model.signature.layout
    if layout == "tensors" and len(fields) > 1:
        names = values.listed([field.name for field in fields], most=40)
        raise errors.SchemaMismatch(
            f"the model takes {len(fields)} named tensors ({names}), which CSV cannot say; send JSON"
        )
    width = len(rows[0])
    header = rows[0] if _has_header(rows[0], fields, layout) else None
    cells = rows[1:] if header else rows
    _check_widths(cells, width, 2 if header else 1)
    columns = [list(column) for column in zip(*cells)] if cells else [[] for _ in range(width)]
    if layout == "table":
        return _table(columns, header, fields, model)
    readers = [_reader(fields[0].dtype if fields else "object")] * width
    typed = [reader(column) for reader, column in zip(readers, columns)]
    if header and layout == "unknown":
        return schema.from_named(dict(zip(_unique(header), typed)), model)
    if fields and fields[0].shape == (-1,) and width == 1:
        return schema.from_grid(typed[0], None, model)
    return schema.from_grid([list(row) for row in zip(*typed)], None, model)


def _rows(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.MalformedInput(f"the CSV body is not UTF-8: {error}") from None
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise errors.MalformedInput(f"the body is not CSV: {error}") from None
    if not rows:
        raise errors.MalformedInput("the CSV body is empty")
    return rows


def _has_header(first: Sequence[str], fields: Sequence[Field], layout: str) -> bool:
    """Whether the first row is one of names: it has a column's name, or text where numbers belong."""
    if layout == "table":
        if {field.name for field in fields} & set(first):
            return True
        numeric = [field for field in fields if values.kind_of(field.dtype) in ("float", "int")]
        return bool(numeric) and not any(_is_value(cell) for cell in first)
    if fields and values.kind_of(fields[0].dtype) in ("float", "int"):
        return not any(_is_value(cell) for cell in first)
    if fields and fields[0].shape == (-1,):
        # One text a row: only the field's own name or a usual word for it can be told from a text.
        return len(first) == 1 and first[0].strip().lower() in {fields[0].name.lower(), "text"}
    return len(set(first)) == len(first) and not any(_is_value(cell) for cell in first)


def _is_value(cell: str) -> bool:
    return cell in _MISSING or cell in _TRUTHS or isinstance(_number(cell), (int, float))


def _check_widths(rows: Sequence[Sequence[str]], width: int, first_line: int) -> None:
    for index, row in enumerate(rows):
        if len(row) != width:
            raise errors.MalformedInput(
                f"CSV row {index} (counting from 0, record {index + first_line} of the body): "
                f"expected {width} cells as in the first row, "
                f"found {len(row)}"
            )


def _table(
    columns: list[list[str]], names: Sequence[str] | None, fields: Sequence[Field], model: Model
) -> Any:
    if names is None:
        if len(columns) != len(fields):
            wanted = values.listed([field.name for field in fields], most=40)
            raise errors.SchemaMismatch(
                f"expected {len(fields)} columns ({wanted}), found {len(columns)} and no header row"
            )
        names = [field.name for field in fields]
    if names[0] == "" and {field.name for field in fields} >= set(names[1:]):
        raise errors.SchemaMismatch(
            "the first column has no name; if it is pandas' index, write the CSV with index=False"
        )
    dtypes = {field.name: field for field in fields}
    by_name: dict[str, Any] = {}
    for name, column in zip(_unique(names), columns):
        field = dtypes.get(name)
        by_name[name] = _reader(field.dtype, field.categories)(column) if field else column
    return schema.from_named(by_name, model)


def _unique(names: Sequence[str]) -> Sequence[str]:
    repeated = [name for index, name in enumerate(names) if name in names[:index]]
    if repeated:
        raise errors.SchemaMismatch(f"columns named twice: {values.listed(repeated)}")
    return names


def _reader(dtype: str, categories: tuple[Any, ...] | None = None) -> Callable[[list[str]], list[Any]]:
    """What makes values of a column's cells. A cell that will not do stays text, and is explained later."""
    kind = values.kind_of(dtype)
    if kind == "category":
        kind = "str" if all(isinstance(each, str) for each in categories or ()) else "object"
    if kind in ("float", "int"):
        quick = float if kind == "float" else int
        return lambda column: _quick_numbers(column, quick)
    if kind == "bool":
        return lambda column: [_TRUTHS.get(cell, None if cell in _MISSING else cell) for cell in column]
    if kind == "object":
        return _guess
    return lambda column: [cell or None for cell in column]


def _quick_numbers(column: list[str], kind: Callable[[str], Any]) -> list[Any]:
    """`_numbers` at the speed of C, for columns that are all floats, or all integers."""
    try:
        if "_" not in "".join(column):
            known = column if kind is int else ["nan" if cell in _MISSING else cell for cell in column]
            return list(map(kind, known))
    except ValueError:
        pass
    found = _numbers(column)
    # pandas writes the booleans of dummies so.
    return [_TRUTHS.get(cell, cell) for cell in found] if kind is float else found


def _numbers(column: list[str]) -> list[Any]:
    return [None if cell in _MISSING else _number(cell) for cell in column]


def _number(cell: str) -> Any:
    """An int or float, or the cell itself; ``1_000``, which only Python reads, is no number."""
    if "_" in cell:
        return cell
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        return float(cell)
    except ValueError:
        return cell


def _guess(column: list[str]) -> list[Any]:
    numbers = _numbers(column)
    if not any(isinstance(value, str) for value in numbers):
        return numbers
    if all(cell in _TRUTHS for cell in column):
        return [_TRUTHS[cell] for cell in column]
    return [cell or None for cell in column]
