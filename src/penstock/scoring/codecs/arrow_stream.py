"""Arrow IPC stream bodies: record batches of named columns.

Runs in workers: Python 3.8; pyarrow where the environment has it, and no pandas.
"""

from __future__ import annotations

from typing import Any

from penstock import errors
from penstock.scoring.codecs import answers, schema, values
from penstock.scoring.interface import Model


def read(body: bytes, model: Model) -> Any:
    """The rows of `body`, as `schema` returns them. Raises UnsupportedMedia (no pyarrow), MalformedInput
    and SchemaMismatch."""
    pyarrow = answers.arrow_library()
    try:
        with pyarrow.ipc.open_stream(body) as stream:
            table = stream.read_all()
        table.validate(full=True)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise errors.MalformedInput(f"the body is not an Arrow IPC stream: {error}") from None
    names = [str(name) for name in table.column_names]
    repeated = [name for index, name in enumerate(names) if name in names[:index]]
    if repeated:
        raise errors.SchemaMismatch(f"columns named twice: {values.listed(repeated)}")
    if not names:
        raise errors.MalformedInput("the Arrow stream has no columns")
    columns: dict[str, Any] = {name: _column(pyarrow, column) for name, column in zip(names, table.columns)}
    return schema.from_named(columns, model)


def _column(pyarrow: Any, column: Any) -> Any:
    """A 1-D ndarray for numbers, booleans and timestamps; a list of Python values for all else, and where an
    integer is missing (NumPy has no word for that)."""
    types = pyarrow.types
    kind = column.type
    if types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    is_whole = types.is_integer(kind) or types.is_boolean(kind)
    if types.is_floating(kind) or (is_whole and not column.null_count):
        return column.to_numpy()
    if types.is_timestamp(kind) or types.is_date(kind):
        # Zoned timestamps are stored in UTC, which is what models get.
        return column.cast(pyarrow.timestamp("ns")).to_numpy()
    return column.to_pylist()
