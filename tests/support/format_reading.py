"""What the tests of formats share: a file written, and all that its cuts give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats.interface import Format
from penstock.runtimes.batch.plan import Cut


def written(folder: Path, name: str, content: bytes | str) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def everything(
    form: Format,
    path: str,
    *,
    read: ReadOptions | None = None,
    schema: Any = None,
    columns: list[str] | None = None,
    size: int = 1 << 20,
    rows: int = 0,
    at_once: int = 1000,
    refused: list[DataError] | None = None,
) -> tuple[list[Cut], list[dict[str, Any]]]:
    """The cuts of a file, and its rows, cut by cut; bad rows are added to `refused` when it is given."""
    read = read or ReadOptions()
    schema = schema if schema is not None else form.schema(path, read)
    wanted = pa.schema([schema.field(name) for name in columns]) if columns is not None else schema
    cuts = list(form.cuts(path, read, size=size, rows=rows))
    found: list[dict[str, Any]] = []
    for cut in cuts:
        before = len(found)
        for batch in form.batches(
            path,
            cut,
            read,
            schema=schema,
            columns=columns,
            rows=at_once,
            refuse=None if refused is None else refused.append,
        ):
            assert 0 < batch.num_rows <= at_once
            assert batch.schema.equals(wanted)
            found.extend(batch.to_pylist())
        assert cut.rows == -1 or refused or cut.rows == len(found) - before
        assert cut.first_row == -1 or refused or cut.first_row == before
    return cuts, found
