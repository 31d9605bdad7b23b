"""Results in one plain form before they are written, so that the same rows are the same bytes however they came:
no pandas notes, no dictionaries whose content depends on how rows were cut, one schema for all calls.

The driver uses the same rules where mini-batches differ from each other (`penstock.runtimes.batch.sinks`).
"""

from __future__ import annotations

import collections
from typing import Any, Callable, Sequence

from penstock.errors import OutputError

ROWS_SAMPLED = 8192
ROWS_MOST = 2**20
GROUP_BYTES = 64 * 2**20
"""A group of rows in memory; Parquet's row groups are of this size before they are compressed."""


def plain(table: Any) -> Any:
    """`table` (Table or RecordBatch) as a ``pyarrow.Table`` with a plain schema: see `plain_schema`."""
    import pyarrow as pa

    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    schema = plain_schema(table.schema)
    if table.schema.equals(schema, check_metadata=True):
        return table
    for at, field in enumerate(table.schema):
        if pa.types.is_float16(field.type):
            table = table.set_column(at, field.name, _single(table.column(at)))
    return table.cast(schema)


def _single(column: Any) -> Any:
    # By way of NumPy, because pyarrow cannot do it before 15.
    import pyarrow as pa

    missing = column.is_null().to_numpy()
    return pa.array(column.to_numpy().astype("float32"), mask=missing)


def plain_schema(schema: Any) -> Any:
    """`schema` without notes of its makers (pandas' names a version; a Parquet field's number would be there
    twice), with the values in the place of dictionaries, and with 32 bits for floats of 16, which few readers
    know. Raises OutputError where a name is there twice."""
    import pyarrow as pa

    doubles = [name for name, times in collections.Counter(schema.names).items() if times > 1]
    if doubles:
        raise OutputError(
            f"results have two columns with the name {doubles[0]!r}",
            hint="rename one of them, or choose what is kept with --keep-columns",
        )
    return pa.schema([pa.field(field.name, _dense(field.type), metadata=_kept(field)) for field in schema])


def _kept(field: Any) -> Any:
    # The names of extension types that this process does not know stand in the field's metadata.
    return {key: value for key, value in (field.metadata or {}).items() if key.startswith(b"ARROW:")} or None


def _dense(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _dense(kind.value_type)
    return pa.float32() if pa.types.is_float16(kind) else kind


def unified(schemas: Sequence[Any], *, what: str) -> Any:
    """One schema for all `schemas`: columns by name in the order of their first appearance; types that both fit
    (nulls and anything, integers and floats, a narrow and a wide one). The same for any order of types.
    `what` names what has the schemas, for the OutputError where no type fits."""
    import pyarrow as pa

    fields: dict[str, Any] = {}
    for schema in schemas:
        for field in schema:
            known = fields.get(field.name)
            if known is None:
                fields[field.name] = field
            elif not known.equals(field):
                fields[field.name] = _one(known, field, what)
    return pa.schema(fields.values())


def _one(known: Any, field: Any, what: str) -> Any:
    import pyarrow as pa

    try:
        return pa.unify_schemas([pa.schema([known]), pa.schema([field])], promote_options="permissive").field(
            0
        )
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise OutputError(
            f"column {field.name!r} is {known.type} in one of the {what} and {field.type} in another",
            hint="give the column one type in the scoring script (astype), so that all results fit together",
        ) from error


def fitted(table: Any, schema: Any) -> Any:
    """`table` with the columns and types of `schema`, which comes from `unified`; missing columns are null.
    Raises OutputError for a value that the wider type cannot hold (a large integer as a float)."""
    import pyarrow as pa

    if table.schema.equals(schema, check_metadata=True):
        return table
    columns = []
    for field in schema:
        at = table.schema.get_field_index(field.name)
        try:
            columns.append(
                pa.nulls(table.num_rows, field.type) if at < 0 else table.column(at).cast(field.type)
            )
        except pa.ArrowInvalid as error:
            raise OutputError(
                f"column {field.name!r} is {table.schema.field(at).type} in some results and {field.type} in"
                f" others, and not all of its values fit: {error}",
                hint="give the column one type in the scoring script (astype)",
            ) from error
    return pa.table(columns, schema=schema)


class Groups:
    """Gathers tables into groups of rows whose borders depend on the rows alone, not on the calls that they came
    from: `emit` gets each group, in order, in one chunk. In memory is one group and one call's rows."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self._emit = emit
        self._waiting: list[Any] = []
        self._rows = 0
        self._group = 0
        """Rows of a group; 0 until enough rows are there to know their size."""

    def add(self, table: Any) -> None:
        """Gather the rows of `table`, whose schema is that of all others."""
        if not table.num_rows:
            return
        self._waiting.append(table)
        self._rows += table.num_rows
        if not self._group and self._rows >= ROWS_SAMPLED:
            self._group = _rows_of_a_group(self._together())
        while self._group and self._rows >= self._group:
            self._give(self._group)

    def flush(self) -> None:
        """Emit what waits."""
        if self._rows:
            self._give(self._rows)

    def refit(self, fit: Callable[[Any], Any]) -> None:
        """Change what waits."""
        self._waiting = [fit(table) for table in self._waiting]

    def _together(self) -> Any:
        import pyarrow as pa

        if len(self._waiting) > 1:
            self._waiting = [pa.concat_tables(self._waiting)]
        return self._waiting[0]

    def _give(self, rows: int) -> None:
        table = self._together()
        rest = table.slice(rows)
        self._waiting, self._rows = ([rest] if rest.num_rows else []), rest.num_rows
        self._emit(table.slice(0, rows).combine_chunks())


def _rows_of_a_group(table: Any) -> int:
    import pyarrow as pa

    # Taken by index, the sample is dense, whatever slices and offsets it came in: the same bytes for the same rows.
    sample = table.slice(0, ROWS_SAMPLED).take(pa.array(range(ROWS_SAMPLED))).combine_chunks()
    rows = ROWS_MOST
    while rows > ROWS_SAMPLED and rows * sample.nbytes > GROUP_BYTES * ROWS_SAMPLED:
        rows //= 2
    return rows
