"""What an MLTable does to its rows, done where they are read.

All but ``take`` and ``skip`` look at one row at a time, and at the path of its file, so that it makes no
difference how rows are cut into tables, or who reads them. Those two count rows from the beginning of the job;
`penstock.runtimes.batch.transformations.limits` turns them into ``within`` before any work is done.

Transformations are written as in `penstock.bundle.batch.Inputs`. Worker side: Python 3.8; pyarrow inside the
functions.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from penstock.bundle import partition_formats, row_filters
from penstock.errors import DataError
from penstock.runtimes.batch import numbering
from penstock.runtimes.batch.transformations import conditions, conversions, random_rows

Transformations = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Origin:
    """Where the rows of a table come from: its file as people see it, and how many rows of the file stand before
    them."""

    file: str
    first_row: int = 0


def apply(
    table: Any,
    transformations: Transformations,
    origin: Origin,
    *,
    carried: Sequence[str] = (),
    there: Any = None,
) -> Any:
    """`table`, consecutive rows of one file, after all `transformations` but ``take`` and ``skip``.

    Columns of `carried` are nobody's data: whatever is kept or dropped, they are in the result, at its end, with
    the rows that are left. Columns that the reader has left away, as nobody needs them, are passed over. `there` is
    a mask of the rows that count (None: all do): no step sees the others. Raises DataError.
    """
    import pyarrow.compute as pc

    aside = [(name, table.column(name)) for name in carried]
    if aside:
        table = table.drop_columns([name for name, _ in aside])
    table = with_places(table, origin)
    table = through(table if there is None else table.filter(there), transformations, origin)
    rows = pc.subtract(table.column(PLACE), origin.first_row)
    table = table.drop_columns([PLACE])
    for name, column in aside:
        table = table.append_column(name, column.take(rows))
    return table


def with_places(table: Any, origin: Origin) -> Any:
    """`table`, consecutive rows of one file, with the column `PLACE` at its end."""
    return table.append_column(PLACE, numbering.numbers(origin.first_row, table.num_rows))


def schema_after(schema: Any, transformations: Transformations) -> Any:
    """The columns that `apply` makes of those of `schema`. Raises DataError: a column that is not there, values
    that a filter cannot compare."""
    import pyarrow as pa

    table = schema.empty_table().append_column(PLACE, pa.array([], pa.int64()))
    return through(table, transformations, None).drop_columns([PLACE]).schema


def columns_before(transformations: Transformations, schema: Any, wanted: Sequence[str]) -> tuple[str, ...]:
    """The columns of `schema` that must be read so that `wanted` can be made, in the order of `schema`. At least
    one, where there is one: a table without columns has no rows to count."""
    needed = set(wanted)
    for step in transformations:
        ((name, said),) = step.items()
        if name == "filter":
            needed.update(row_filters.columns_of(row_filters.parse(said)))
    found = tuple(name for name in schema.names if name in needed)
    return found or tuple(schema.names[:1])


def needs_row_numbers(transformations: Transformations) -> bool:
    """Whether `Origin.first_row` must be known: rows are sampled, or limited, by their place in the file."""
    return any(name in ("take_random_sample", "within") for step in transformations for name in step)


PLACE = "\0place"
"""A column that holds each row's number in its file, under a name that no file gives to a column."""


def through(table: Any, transformations: Transformations, origin: Origin | None) -> Any:
    """`table`, which has the column `PLACE`, after `transformations`: rows may be missing from it already.

    `origin` None: there are no rows, and every column that is named must be there. Raises DataError."""
    for step in transformations:
        ((name, said),) = step.items()
        if name in ("take", "skip"):
            continue
        if name not in _STEPS:
            raise DataError(f"no transformation is called {name!r}", hint=f"there is {', '.join(_STEPS)}")
        table = _STEPS[name](table, said, origin)
    return table


def _filter(table: Any, said: str, origin: Origin | None) -> Any:
    return table.filter(conditions.mask(table, said), null_selection_behavior="drop")


def _sample(table: Any, said: Mapping[str, Any], origin: Origin | None) -> Any:
    """Drawn by the places that the rows have in the file, whatever earlier steps left of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if origin is None or not table.num_rows:
        return table
    places = table.column(PLACE)
    first, last = places[0].as_py(), places[-1].as_py()
    drawn = random_rows.drawn(
        seed=said["seed"],
        probability=said["probability"],
        file=origin.file,
        first_row=first,
        rows=last - first + 1,
    )
    return table.filter(pa.array(drawn, pa.bool_()).take(pc.subtract(places, first).combine_chunks()))


def _within(table: Any, said: Mapping[str, Any], origin: Origin | None) -> Any:
    import pyarrow.compute as pc

    if origin is None:
        return table
    if origin.file == said["first_file"]:
        table = table.filter(pc.greater_equal(table.column(PLACE), said["first_row"]))
    if origin.file == said["last_file"]:
        table = table.filter(pc.less(table.column(PLACE), said["stop_row"]))
    return table


def _keep(table: Any, said: Any, origin: Origin | None) -> Any:
    names = _selected(table, said, strict=origin is None)
    return table.select([*names, PLACE])


def _drop(table: Any, said: Any, origin: Origin | None) -> Any:
    """Without columns that are not there, as Azure ML has it: that they are gone is what was wanted."""
    gone = set(_selected(table, said, strict=False))
    return table.select([name for name in table.column_names if name not in gone])


def _convert(table: Any, said: Sequence[Mapping[str, Any]], origin: Origin | None) -> Any:
    for each in said:
        for name in _selected(table, each["columns"], strict=origin is None):
            at = table.column_names.index(name)
            made = conversions.convert(
                table.column(name), each, name=name, file=origin.file if origin else ""
            )
            table = table.set_column(at, name, made)
    return table


def _extract(table: Any, said: Mapping[str, Any], origin: Origin | None) -> Any:
    """In front of the others, where Azure ML has them."""
    import pyarrow as pa

    found = partition_formats.parse(said["partition_format"])
    values = dict.fromkeys(found.columns) if origin is None else path_values(said, origin.file)
    for name in reversed(found.columns):
        kind = pa.timestamp("us") if name == found.moment else pa.string()
        table = _in_front(table, name, pa.scalar(values[name], kind))
    return table


def path_values(said: Mapping[str, Any], file: str) -> Mapping[str, Any]:
    """The columns that an ``extract_columns_from_partition_format`` finds in the path `file`. Raises DataError."""
    values = partition_formats.parse(said["partition_format"]).values(file)
    if values is None:
        raise DataError(
            f"the path does not match the partition format {said['partition_format']!r}", file=file
        )
    return values


def _path_column(table: Any, said: Mapping[str, Any], origin: Origin | None) -> Any:
    import pyarrow as pa

    return _in_front(table, said["name"], pa.scalar(origin.file if origin else None, pa.string()))


def _in_front(table: Any, name: str, value: Any) -> Any:
    import pyarrow as pa

    column = pa.repeat(value, table.num_rows)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.add_column(0, name, column)


def _empty_as_string(table: Any, said: Mapping[str, Any], origin: Origin | None) -> Any:
    """Delimited text has no other missing values than empty ones, in columns of text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = table.set_column(at, field.name, pc.fill_null(table.column(at), ""))
    return table


_STEPS: Mapping[str, Callable[[Any, Any, Origin | None], Any]] = {
    "filter": _filter,
    "take_random_sample": _sample,
    "within": _within,
    "keep_columns": _keep,
    "drop_columns": _drop,
    "convert_column_types": _convert,
    "extract_columns_from_partition_format": _extract,
    "include_path_column": _path_column,
    "empty_as_string": _empty_as_string,
}


def _selected(table: Any, said: Any, *, strict: bool) -> list[str]:
    """The columns of `table` that are meant: those of a list, in its order, or those whose names a pattern
    finds. `strict`: those of a list must all be there."""
    there = [name for name in table.column_names if name != PLACE]
    if isinstance(said, Mapping):
        pattern = re.compile(said["pattern"], re.IGNORECASE if said["ignore_case"] else 0)
        return [name for name in there if bool(pattern.search(name)) != said["invert"]]
    missing = [name for name in said if name not in there]
    if missing and strict:
        near = difflib.get_close_matches(missing[0], there, n=1)
        some = ", ".join(there[:12]) + (" and more" if len(there) > 12 else "")
        raise DataError(
            "there is no such column",
            column=missing[0],
            hint=f"did you mean {near[0]}?" if near else f"there is {some}",
        )
    return [name for name in dict.fromkeys(said) if name not in missing]
