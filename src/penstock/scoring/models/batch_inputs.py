"""What a model takes of a job's columns: decided once from the input's schema, before any work, then made for
every call.

Models that know names get columns by name, whatever else the input holds; models that know only how many they
take get columns by position, where that is plain. Runs in workers: Python 3.8; pyarrow and NumPy inside the
functions.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

from penstock import errors
from penstock.scoring.codecs import arrays, values
from penstock.scoring.interface import Field
from penstock.scoring.loaders.loaded import LoadedModel
from penstock.scoring.models import batch_checks, batch_columns, batch_frames, batch_matrix, batch_tensors

Take = Callable[[Any], Any]
"""An Arrow table to what `Model.call` takes."""


class Inputs:
    """`columns` are the input's columns that a call needs, in order; `take` makes the model's data of a table
    that has them; `notes` are for the log at start."""

    def __init__(self, columns: Sequence[str], take: Take, notes: tuple[str, ...] = ()) -> None:
        self.columns = tuple(columns)
        self.take = take
        self.notes = notes


def fit(model: LoadedModel, found: Any, chosen: Sequence[str]) -> Inputs:
    """How `model` is fed from an input of the Arrow schema `found`. `chosen` are the columns that the user named
    for it (``input_columns``), or none. Raises SchemaMismatch, which names all columns that are missing or of a
    type that the model cannot take."""
    batch_checks.check_chosen(chosen, found)
    layout = model.signature.layout
    if layout == "table":
        return _table(model, found, chosen)
    if layout == "tensors":
        return _tensors(model, found, chosen)
    if layout == "array":
        return _array(model, found, chosen)
    return _unknown(found, chosen)


# Tables: by name


def _table(model: LoadedModel, found: Any, chosen: Sequence[str]) -> Inputs:
    names, fields = _by_name(model, found, chosen, "column")
    is_whole = len(fields) == len(model.signature.inputs)
    if is_whole and model.accepts_array:
        return Inputs(names, _matrix(model, names, fields, found))
    return Inputs(names, lambda table: batch_frames.of(table, names, fields))


def _by_name(
    model: LoadedModel, found: Any, chosen: Sequence[str], what: str
) -> tuple[list[str], list[Field]]:
    """The columns for the model's named inputs, and those inputs; optional ones that are not there are left out.
    Columns that were chosen stand for the inputs by position, unless they are named as these are."""
    fields = list(model.signature.inputs)
    known = [field.name for field in fields]
    if chosen and not set(chosen) <= set(known):
        if len(chosen) != len(fields):
            raise errors.SchemaMismatch(
                f"--input-columns names {len(chosen)} columns, the model takes {len(fields)}: "
                f"{values.listed(known, most=40)}"
            )
        batch_checks.check_repeated(chosen, found.names)
        batch_checks.check_types(chosen, fields, found)
        return list(chosen), fields
    present = set(chosen or found.names)
    given = [field for field in fields if field.name in present]
    names = [field.name for field in given]
    batch_checks.check_repeated(names, found.names)
    batch_checks.check_missing(fields, names, list(chosen or found.names), found, what)
    batch_checks.check_types(names, given, found)
    return names, given


# Matrices: by position


def _matrix(model: LoadedModel, names: Sequence[str], fields: Sequence[Field], found: Any) -> Take:
    """Columns as one matrix of the dtype that the model wants: its own where that is written down, else that
    which the columns share."""
    dtypes = {field.dtype for field in fields}
    dtype = dtypes.pop() if len(dtypes) == 1 else "float64"
    if values.kind_of(dtype) != "float":
        dtype = "float64"
    if model.takes_any_float and {str(found.field(name).type) for name in names} == {"float"}:
        dtype = "float32"
    if all(values.kind_of(field.dtype) == "float" for field in fields):
        return lambda table: batch_matrix.of(table, names, dtype)
    return lambda table: batch_matrix.of_checked(table, names, fields)


def _array(model: LoadedModel, found: Any, chosen: Sequence[str]) -> Inputs:
    field = model.signature.inputs[0]
    if len(field.shape) == 1:
        return _single(field, found, chosen)
    lists = [each.name for each in found if batch_columns.is_list(each.type)]
    if len(field.shape) > 2 or (len(chosen) == 1 and chosen[0] in lists):
        return _nested(field, found, chosen, lists)
    width = field.shape[1]
    names = list(chosen) or _by_position(field, found)
    if len(names) == 1 and names[0] in lists:
        return _nested(field, found, names, lists)
    if chosen and width not in (-1, len(names)):
        raise errors.SchemaMismatch(f"--input-columns names {len(names)} columns, the model takes {width}")
    batch_checks.check_repeated(names, found.names)
    fields = [Field(name, field.dtype, categories=field.categories) for name in names]
    batch_checks.check_types(names, fields, found)
    notes: tuple[str, ...] = ()
    if not chosen and len(names) > 1:
        listed = values.listed(names, most=40)
        notes = (f"the model knows no column names; it gets the input's columns in their order: {listed}",)
    if values.kind_of(field.dtype) == "float":
        return Inputs(names, _matrix(model, names, fields, found), notes)
    return Inputs(names, lambda table: _mixed(table, fields), notes)


def _mixed(table: Any, fields: Sequence[Field]) -> Any:
    """Columns of one dtype that is no float side by side."""
    import numpy as np

    columns = [batch_columns.convert(table.column(field.name), field) for field in fields]
    if values.kind_of(fields[0].dtype) != "object":
        return np.column_stack(columns)
    whole = np.empty((table.num_rows, len(columns)), dtype=object)
    for place, column in enumerate(columns):
        whole[:, place] = column
    return whole


def _by_position(field: Field, found: Any) -> list[str]:
    """The columns for a model without names, where there is but one way to choose them."""
    width = field.shape[1]
    lists = [
        each.name
        for each in found
        if batch_columns.is_list(each.type) and not batch_tensors.misfit(each.type, field)
    ]
    candidates = [
        each.name for each in found if not batch_columns.is_list(each.type) and _can_hold(each.type, field)
    ]
    if len(candidates) == width or (width == -1 and candidates and not lists):
        return candidates
    if len(lists) == 1 and (width != -1 or not candidates):
        return lists
    what = {"object": "columns", "float": "numeric columns"}.get(
        values.kind_of(field.dtype), f"columns of {field.dtype}"
    )
    has = f"the input has {len(candidates)} {what}"
    if candidates:
        has += f": {values.listed(candidates, most=40)}"
    if lists:
        has += f"; and columns of lists: {values.listed(lists, most=40)}"
    if len(candidates) > width:
        takes = f"that it takes {width} columns" if width != -1 else "that it takes columns by position"
        raise errors.SchemaMismatch(
            f"the model knows no column names, only {takes}, and {has}; which of them is not told",
            hint="Say --input-columns with those that the model takes, in its order.",
        )
    raise errors.SchemaMismatch(
        f"the model takes {width} columns, {has}; all of its columns: {batch_checks.typed_names(found)}",
        hint="Say the type of columns that were guessed from text (--column-type NAME=TYPE), or score an input "
        "that has them all.",
    )


def _can_hold(kind: Any, field: Field) -> bool:
    if values.kind_of(field.dtype) == "object":
        return True
    if values.kind_of(field.dtype) == "float":
        return batch_columns.is_number(kind)
    return not batch_columns.misfit(kind, field)


def _single(field: Field, found: Any, chosen: Sequence[str]) -> Inputs:
    """One value a row: a text."""
    if len(chosen) > 1:
        raise errors.SchemaMismatch(f"--input-columns names {len(chosen)} columns, the model takes one")
    candidates = list(chosen) or [each.name for each in found if _can_hold(each.type, field)]
    if len(candidates) > 1 and field.name in candidates:
        candidates = [field.name]
    if len(candidates) != 1:
        shown = (
            f": {values.listed(candidates, most=40)}"
            if candidates
            else f": {batch_checks.typed_names(found)}"
        )
        raise errors.SchemaMismatch(
            f"the model takes one column ({values.expected(field)}), and the input has "
            f"{len(candidates) or 'none'} that could be it{shown}",
            hint="Say --input-columns with the one that the model takes.",
        )
    name = candidates[0]
    batch_checks.check_repeated([name], found.names)
    batch_checks.check_types([name], [field], found)
    named = Field(name, field.dtype, categories=field.categories)
    return Inputs([name], lambda table: batch_columns.convert(table.column(name), named))


# Tensors: lists


def _nested(field: Field, found: Any, chosen: Sequence[str], lists: Sequence[str]) -> Inputs:
    """A row is a list in one column."""
    candidates = list(chosen) or list(lists)
    if len(candidates) > 1 and field.name in candidates:
        candidates = [field.name]
    if len(candidates) != 1 or candidates[0] not in lists:
        raise errors.SchemaMismatch(
            f"the model takes an array of shape {arrays.shape_text(field.shape)}: one column of lists, and "
            f"the input has {batch_checks.typed_names(found)}",
            hint="Say --input-columns with the column that holds each row's values as a list.",
        )
    name = candidates[0]
    batch_checks.check_repeated([name], found.names)
    batch_checks.check_types([name], [field], found)
    return Inputs([name], lambda table: batch_tensors.convert(table.column(name), name, field))


def _tensors(model: LoadedModel, found: Any, chosen: Sequence[str]) -> Inputs:
    names, fields = _by_name(model, found, chosen, "tensor")

    def take(table: Any) -> Any:
        return {field.name: _tensor(table.column(name), name, field) for name, field in zip(names, fields)}

    return Inputs(names, take)


def _tensor(column: Any, name: str, field: Field) -> Any:
    """`column` as an ndarray of the shape of `field`."""
    if batch_columns.is_list(column.type):
        return batch_tensors.convert(column, name, field)
    array = batch_columns.convert(column, Field(name, field.dtype, categories=field.categories))
    return array.reshape(-1, 1) if len(field.shape) == 2 else array


# Models that say nothing


def _unknown(found: Any, chosen: Sequence[str]) -> Inputs:
    names = list(chosen) or list(found.names)
    batch_checks.check_repeated(names, found.names)
    lists = [name for name in names if batch_columns.is_list(found.field(name).type)]
    if len(names) == 1 and lists:
        return Inputs(names, lambda table: batch_tensors.infer(table.column(names[0]), names[0]))
    return Inputs(names, lambda table: batch_frames.inferred(table, names))
