"""What a payload says, fitted to what the model takes: columns by name, rows by position, tensors by name.

The forms a payload can have meet the layouts a model can have here, and only here. Every function returns
data that `Call.data` may hold: an ndarray, a dict of ndarrays, or a `tables.Table` (the scorer makes the
DataFrame). All raise SchemaMismatch, which names the column or tensor, the row, what was expected and what
came. Runs in workers: Python 3.8; NumPy inside the functions.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import Any, Mapping, Sequence

from penstock import errors
from penstock.scoring import tables
from penstock.scoring.codecs import arrays, columns, values
from penstock.scoring.interface import Field, Model, Signature


def from_grid(grid: Any, names: Sequence[str] | None, model: Model) -> Any:
    """Rows as (nested) lists; `names` are their columns', where the payload gives any."""
    signature = model.signature
    if signature.layout == "table":
        return _table_of_grid(grid, names, signature)
    if signature.layout == "tensors":
        if len(signature.inputs) == 1:
            return {signature.inputs[0].name: _tensor(grid, signature.inputs[0])}
        wanted = values.listed([field.name for field in signature.inputs], most=40)
        raise errors.SchemaMismatch(
            f"the model takes {len(signature.inputs)} named tensors ({wanted}), found a list without names"
        )
    if signature.layout == "array":
        return arrays.convert(grid, signature.inputs[0])
    if names is None:
        return arrays.infer(grid)
    return _table(dict(zip(names, _columns_of(grid, len(names)))), {})


def from_records(records: Sequence[Any], model: Model) -> Any:
    """Rows as objects: ``[{"age": 39, "city": "Oslo"}, ...]``."""
    signature = model.signature
    for row, record in enumerate(records):
        if type(record) is not dict:
            raise errors.SchemaMismatch(
                f"row {row} (counting from 0): expected an object like the first row, found {values.shown(record)}"
            )
    fields = signature.inputs if signature.layout in ("table", "tensors") else ()
    if not fields:
        return _of_unnamed_records(records, model)
    names = _record_names(records, fields, "column" if signature.layout == "table" else "tensor")
    if signature.layout == "tensors":
        return {
            field.name: _tensor([record.get(field.name) for record in records], field)
            for field in fields
            if field.name in names
        }
    return table_by_name(_columns_of_records(records, names), signature)


def from_named(named: Mapping[str, Any], model: Model) -> Any:
    """Columns or tensors by name: each value a list, nested or not, or an ndarray."""
    signature = model.signature
    if signature.layout == "table":
        whole = _whole_table(named, signature)
        if whole is not None:
            return whole
        values.names_mismatch(named, signature.inputs, what="column")
        return table_by_name(_flat_columns(named), signature)
    if signature.layout == "tensors":
        return _tensors(named, signature)
    if signature.layout == "array":
        return _array_of_named(named, model)
    return _unknown_named(named)


def is_uniform(signature: Signature) -> str:
    """The float dtype that every input of a table or array has; empty where they differ or are no floats."""
    dtypes = {field.dtype for field in signature.inputs}
    dtype = dtypes.pop() if len(dtypes) == 1 else ""
    return dtype if values.kind_of(dtype) == "float" else ""


def row_count(data: Any) -> int:
    """The rows of data that this module returned; -1 where tensors have no dimension in common."""
    if isinstance(data, tables.Table):
        return data.rows
    if isinstance(data, dict):
        counts = {value.shape[0] if value.ndim else -1 for value in data.values()}
        return int(counts.pop()) if len(counts) == 1 else -1
    return int(data.shape[0])


# Tables


def _table_of_grid(grid: Any, names: Sequence[str] | None, signature: Signature) -> tables.Table:
    fields = signature.inputs
    if names is not None:
        repeated = [name for index, name in enumerate(names) if name in names[:index]]
        if repeated:
            raise errors.SchemaMismatch(f"columns named twice: {values.listed(repeated)}")
        values.names_mismatch(names, fields, what="column")
        return table_by_name(dict(zip(names, _columns_of(grid, len(names)))), signature)
    dtype = is_uniform(signature)
    if dtype:
        try:
            array = arrays.numbers(grid, len(fields), dtype)
        except (ValueError, TypeError, OverflowError, errors.SchemaMismatch):
            pass  # explained below, column by column
        else:
            by_name = {field.name: array[:, index] for index, field in enumerate(fields)}
            return tables.Table(by_name, len(grid), {})
    if len(fields) == 1 and isinstance(grid, list) and not any(isinstance(row, list) for row in grid):
        return table_by_name({fields[0].name: grid}, signature)
    try:
        split = _columns_of(grid, len(fields))
    except errors.SchemaMismatch as error:
        known = values.listed([field.name for field in fields], most=40)
        raise errors.SchemaMismatch(f"{error.message}; the columns are {known}") from None
    return table_by_name({field.name: column for field, column in zip(fields, split)}, signature)


def _columns_of(grid: Any, width: int) -> list[Any]:
    """The columns of a grid of `width`; refuses rows of any other length."""
    # Only the outer two levels are judged: a cell may itself be a list where the model says ``object``.
    if not isinstance(grid, (list, tuple)):
        raise errors.SchemaMismatch(f"expected a list of rows, found {values.shown(grid)}")
    if set(map(type, grid)) - {list, tuple} or set(map(len, grid)) - {width}:
        arrays.convert(grid, Field("", "object", (-1, width)))
        raise errors.SchemaMismatch(f"expected rows of {width} values each")
    return list(zip(*grid)) if grid else [[] for _ in range(width)]


def table_by_name(by_name: Mapping[str, Any], signature: Signature) -> tables.Table:
    """The columns of `by_name`, whose names are checked already, in the model's order and typed. Optional
    columns that are absent stay absent."""
    typed: dict[str, Any] = {}
    categories: dict[str, tuple[Any, ...]] = {}
    for field in signature.inputs:
        if field.name in by_name:
            typed[field.name] = columns.convert(by_name[field.name], field, columns.place_in(field.name))
            if field.dtype == "category" and field.categories is not None:
                categories[field.name] = field.categories
    return _table(typed, categories)


def _table(by_name: Mapping[str, Any], categories: dict[str, tuple[Any, ...]]) -> tables.Table:
    typed = {
        name: column if type(column).__name__ == "ndarray" else columns.infer(column)
        for name, column in by_name.items()
    }
    lengths = {name: len(column) for name, column in typed.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length}" for name, length in list(lengths.items())[:8])
        raise errors.SchemaMismatch(f"columns must be of equal length: {told}")
    return tables.Table(typed, next(iter(lengths.values()), 0), categories)


def _flat_columns(named: Mapping[str, Any]) -> dict[str, Any]:
    """Columns as 1-D sequences; a tensor ``(rows, 1)`` counts as a column."""
    flat: dict[str, Any] = {}
    for name, column in named.items():
        if type(column).__name__ == "ndarray":
            if column.ndim == 2 and column.shape[1] == 1:
                column = column.reshape(-1)
            if column.ndim != 1:
                raise errors.SchemaMismatch(
                    f"column {name!r}: expected the shape (rows) or (rows, 1), "
                    f"found {arrays.shape_text(column.shape)}",
                    field=name,
                )
        elif not isinstance(column, (list, tuple)):
            raise errors.SchemaMismatch(
                f"column {name!r}: expected a list with a value a row, found {values.shown(column)}",
                field=name,
            )
        flat[name] = column
    return flat


def _whole_table(named: Mapping[str, Any], signature: Signature) -> tables.Table | None:
    """A single tensor ``(rows, columns)`` that holds all columns in order, as the Open Inference Protocol's
    clients send tables; None when `named` is something else."""
    if len(named) != 1:
        return None
    ((name, whole),) = named.items()
    width = len(signature.inputs)
    if name in {field.name for field in signature.inputs}:
        return None
    if type(whole).__name__ != "ndarray" or whole.ndim != 2 or whole.shape[1] != width:
        return None
    by_name = {field.name: whole[:, index] for index, field in enumerate(signature.inputs)}
    return table_by_name(by_name, signature)


def _record_names(records: Sequence[Any], fields: Sequence[Field], what: str) -> list[str]:
    """The names that the records have, all checked: the first record's keys if all share them."""
    if not records:
        return [field.name for field in fields]
    first = records[0].keys()
    if all(record.keys() == first for record in records):
        values.names_mismatch(first, fields, what=what)
        return list(first)
    present: set[str] = set()
    for row, record in enumerate(records):
        values.names_mismatch(record, fields, what=what, where=f"row {row} (counting from 0): ")
        present.update(record)
    return list(present)


def _columns_of_records(records: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    if not records:
        return {name: [] for name in names}
    if len(names) > 1 and all(len(record) == len(names) for record in records):
        return dict(zip(names, zip(*map(itemgetter(*names), records))))
    return {name: [record.get(name) for record in records] for name in names}


# Arrays, tensors and models that say nothing


def _of_unnamed_records(records: Sequence[Any], model: Model) -> Any:
    """Records for a model whose inputs have no names: in the order of the first record's keys."""
    if not records:
        return from_grid([], None, model)
    names = list(records[0])
    if not names:
        raise errors.SchemaMismatch(
            "row 0 (counting from 0): expected an object with values, found an empty one"
        )
    for row, record in enumerate(records):
        values.names_mismatch(
            record,
            [Field(name) for name in names],
            what="key",
            where=f"row {row} (counting from 0): ",
        )
    if model.signature.layout == "array":
        return from_grid([[record[name] for name in names] for record in records], None, model)
    return _table({name: [record[name] for record in records] for name in names}, {})


def _array_of_named(named: Mapping[str, Any], model: Model) -> Any:
    """Named columns for a model whose inputs have no names: by position. A single name is the array itself."""
    field = model.signature.inputs[0]
    if len(named) == 1:
        ((_, only),) = named.items()
        if len(field.shape) != 2 or field.shape[1] != 1 or not _is_column(only):
            return arrays.convert(only, field)
    flat = _flat_columns(named)
    if len(field.shape) != 2 or field.shape[1] not in (-1, len(flat)):
        raise errors.SchemaMismatch(
            f"expected one array of shape {arrays.shape_text(field.shape)}, found {len(flat)} named columns"
        )
    _table(flat, {})
    lists = [column.tolist() if hasattr(column, "tolist") else column for column in flat.values()]
    return arrays.convert([list(row) for row in zip(*lists)], field)


def _tensors(named: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    fields = signature.inputs
    if len(fields) == 1 and len(named) == 1 and fields[0].name not in named and not fields[0].name:
        named = {fields[0].name: next(iter(named.values()))}
    values.names_mismatch(named, fields, what="tensor")
    tensors = {field.name: _tensor(named[field.name], field) for field in fields if field.name in named}
    rows = {name: tensor.shape[0] for name, tensor in tensors.items() if tensor.ndim}
    free = {field.name for field in fields if field.shape and field.shape[0] == -1}
    if len({rows[name] for name in rows if name in free}) > 1:
        told = ", ".join(f"{name!r} has {count}" for name, count in rows.items())
        raise errors.SchemaMismatch(f"tensors must have equally many rows: {told}")
    return tensors


def _tensor(found: Any, field: Field) -> Any:
    if not isinstance(found, (list, tuple)) and type(found).__name__ != "ndarray" and not field.shape:
        return columns.convert([found], field, columns.place_in(field.name)).reshape(())
    return arrays.convert(found, field, name=field.name)


def _unknown_named(named: Mapping[str, Any]) -> Any:
    # Of several, ``(rows, 1)`` is how the Open Inference Protocol's clients send columns.
    are_several = len(named) > 1
    if all(_is_column(column) or (are_several and _is_narrow(column)) for column in named.values()):
        return _table(_flat_columns(named), {})
    found = {name: arrays.infer(column) for name, column in named.items()}
    return next(iter(found.values())) if len(found) == 1 else found


def _is_narrow(column: Any) -> bool:
    return type(column).__name__ == "ndarray" and column.ndim == 2 and column.shape[1] == 1


def _is_column(column: Any) -> bool:
    if type(column).__name__ == "ndarray":
        return bool(column.ndim == 1)
    return isinstance(column, (list, tuple)) and not any(
        isinstance(cell, (list, tuple)) for cell in chain(column[:1])
    )
