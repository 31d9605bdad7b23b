"""One schema for many files, and batches made to fit it.

A job has one type for each column, whatever its files say: `unify` finds it, `fit` casts a batch to it. No cast
loses anything: what cannot be said in the job's type is a DataError that names file and column. Knows no format.
Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import os
from typing import Any, Iterable, Mapping, Sequence

from penstock.errors import DataError
from penstock.runtimes.batch.formats import column_kinds


def unify(schemas: Iterable[tuple[str, Any]], *, text: bool) -> Any:
    """The schema that all files can be read with, from pairs of a file's name and its ``pyarrow.Schema``.

    Columns stand in the order in which they first appear. Numbers widen (int32 with int64, integers with
    floats), ``null`` gives way to anything. Types that have nothing in common become ``string`` where `text` is
    true, for there they were only guessed; else they are a DataError that names column and both files.
    """
    import pyarrow as pa

    types: dict[str, Any] = {}
    first: dict[str, str] = {}
    for file, schema in schemas:
        for field in schema:
            name = field.name
            if name not in types:
                types[name], first[name] = field.type, file
                continue
            if types[name].equals(field.type):
                continue
            joint = column_kinds.common(types[name], field.type)
            if joint is None and text:
                joint = pa.string()
            if joint is None:
                raise DataError(
                    f"is {field.type} here, but {types[name]} in {first[name]}",
                    file=file,
                    column=name,
                    hint="Score the files in two jobs, or write one of them anew with the other's type.",
                )
            if not joint.equals(types[name]):
                types[name], first[name] = joint, file
    return pa.schema([pa.field(name, kind) for name, kind in types.items()])


def as_expected(schema: Any, expected: Mapping[str, str], *, any_as_text: bool) -> Any:
    """`schema`, guessed from samples of texts, where a column of `expected` gets the type that is named there, if
    whatever looked like the guess can be read so: whole numbers as ``double``, what is missing throughout as
    anything, and anything as ``string`` where `any_as_text`."""
    import pyarrow as pa

    fields = []
    for field in schema:
        kind = column_kinds.type_of(expected[field.name]) if field.name in expected else field.type
        is_wider = pa.types.is_floating(kind) and pa.types.is_integer(field.type)
        is_text = any_as_text and pa.types.is_string(kind)
        if is_wider or is_text or pa.types.is_null(field.type):
            fields.append(pa.field(field.name, kind))
        else:
            fields.append(field)
    return pa.schema(fields)


def choose(schema: Any, columns: Sequence[str] | None) -> Any:
    """The fields of `schema` that `columns` names, in that order; None: all. Raises DataError."""
    import pyarrow as pa

    if columns is None:
        return schema
    known = set(schema.names)
    for name in columns:
        if name not in known:
            raise DataError(f"no such column: {name!r}", hint=f"The input has {listed(schema.names)}.")
    return pa.schema([schema.field(name) for name in columns])


def require(wanted: Iterable[str], found: Sequence[str], file: str) -> None:
    """Raises DataError unless each name in `wanted` stands exactly once in `found`, the columns of `file`."""
    counts: dict[str, int] = {}
    for name in found:
        counts[name] = counts.get(name, 0) + 1
    for name in wanted:
        if counts.get(name, 0) > 1:
            raise DataError(f"the column stands {counts[name]} times in the file", file=file, column=name)
        if name not in counts:
            raise DataError(
                "the file has no such column", file=file, column=name, hint=f"It has {listed(found)}."
            )


def fit(batch: Any, schema: Any, file: str) -> Any:
    """`batch`, which has the columns of `schema` in its order, with the types of `schema`. Raises DataError for a
    type that has no lossless way there, or a value that has none."""
    import pyarrow as pa

    if not schema.names:
        return batch  # its number of rows is all that it says, and `from_arrays` would lose it
    if batch.schema.types == schema.types:
        return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
    arrays = []
    for index, field in enumerate(schema):
        array = batch.column(index)
        if not array.type.equals(field.type):
            array = _cast(array, field, file)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def only_rows(count: int) -> Any:
    """A ``RecordBatch`` of `count` rows without columns."""
    import pyarrow as pa

    return pa.RecordBatch.from_struct_array(pa.nulls(count, pa.struct([])))


def _cast(array: Any, field: Any, file: str) -> Any:
    import pyarrow as pa

    kind = array.type
    if not column_kinds.fits(kind, field.type):
        raise DataError(
            f"is {kind} in this file, but {field.type} in the job",
            file=file,
            column=field.name,
            hint="The job's types come from its first files; write this file anew with them, or leave it out.",
        )
    try:
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(kind):
            return array.cast(field.type.value_type).dictionary_encode().cast(field.type)
        return array.cast(field.type)
    except pa.ArrowException as error:
        raise DataError(
            f"a {kind} is no {field.type}: {clipped(str(error))}", file=file, column=field.name
        ) from error


def size_of(path: str) -> int:
    """The size of the file at `path` in bytes. Raises DataError: gone, no permission."""
    try:
        return os.path.getsize(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from error


def listed(names: Sequence[str], most: int = 12) -> str:
    """Columns' names for a message, not more than `most` of them."""
    shown = ", ".join(str(name) for name in names[:most]) or "no columns"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def clipped(text: str, most: int = 80) -> str:
    """`text` for a message: one line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
