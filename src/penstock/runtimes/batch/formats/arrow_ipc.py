"""Arrow's own files (Feather 2, ``.arrow``) and streams. A file's cuts count rows and follow its record batches; a
stream is one cut. Columns that nobody wants are not decompressed. Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Sequence

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import row_ranges, schemas
from penstock.runtimes.batch.formats.interface import Refuse
from penstock.runtimes.batch.plan import Cut

_FILE = b"ARROW1"
_FEATHER_1 = b"FEA1"


def schema(path: str, read: ReadOptions) -> Any:
    """As `Format.schema`; a file of zero bytes has no columns."""
    import pyarrow as pa

    if schemas.size_of(path) == 0:
        return pa.schema([])
    with _opened(path) as file:
        found = file.schema.remove_metadata()
    schemas.require(found.names, found.names, path)
    return found


def cuts(path: str, read: ReadOptions, *, size: int, rows: int) -> Iterator[Cut]:
    """As `Format.cuts`. A stream is one cut, its rows uncounted."""
    whole = schemas.size_of(path)
    if whole == 0:
        return
    if (rows <= 1 and whole <= size) or not _is_file(path):
        yield Cut(0, row_ranges.WHOLE, whole, first_row=0)
        return
    counts = _counts(path)
    total = max(1, sum(counts))
    yield from row_ranges.cuts(counts, [whole * count / total for count in counts], size=size, rows=rows)


def _counts(path: str) -> list[int]:
    """The rows of each record batch. Looks at one column, for looking may mean decompressing."""
    import pyarrow as pa

    with _opened(path) as file:
        plain = (index for index, field in enumerate(file.schema) if field.type.num_fields == 0)
        column = next(plain, 0)
    included = [column] if len(file.schema) else None
    with _opened(path, included) as file, _damage(path):
        assert isinstance(file, pa.ipc.RecordBatchFileReader)
        return [file.get_batch(index).num_rows for index in range(file.num_record_batches)]


def batches(
    path: str,
    cut: Cut,
    read: ReadOptions,
    *,
    schema: Any,
    columns: Sequence[str] | None,
    rows: int,
    refuse: Refuse = None,
) -> Iterator[Any]:
    """As `Format.batches`. A record batch is mapped into memory or decompressed as a whole."""
    wanted = schemas.choose(schema, columns)
    if schemas.size_of(path) == 0:
        return
    with _opened(path) as file:
        names = list(file.schema.names)
    schemas.require(wanted.names, names, path)
    included = [names.index(name) for name in wanted.names] or None
    with _opened(path, included) as file:
        for batch in _stored(file, path, cut):
            part = batch if batch.schema.names == wanted.names else batch.select(wanted.names)
            for begin in range(0, part.num_rows, rows):
                yield schemas.fit(part.slice(begin, rows), wanted, path)


def _stored(file: Any, path: str, cut: Cut) -> Iterator[Any]:
    """The record batches of `cut`, the first and the last cut to its rows."""
    import pyarrow as pa

    with _damage(path):
        if not isinstance(file, pa.ipc.RecordBatchFileReader):
            yield from file
        elif cut.stop == row_ranges.WHOLE:
            for index in range(file.num_record_batches):
                yield file.get_batch(index)
        else:
            row = 0
            for index, count in enumerate(_counts(path)):
                if row < cut.stop and row + count > cut.start:
                    begin = max(0, cut.start - row)
                    yield file.get_batch(index).slice(begin, min(count, cut.stop - row) - begin)
                row += count
            if row < cut.stop:
                raise DataError(
                    f"has {row} rows, where {cut.stop} were planned",
                    file=path,
                    hint="The file was changed while the job ran; start a new job.",
                )


def _is_file(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_FILE)) == _FILE


@contextlib.contextmanager
def _opened(path: str, included: list[int] | None = None) -> Iterator[Any]:
    """The file or stream at `path`; `included` are the columns that are looked at."""
    import pyarrow as pa

    try:
        with open(path, "rb") as head:
            magic = head.read(len(_FILE))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", file=path) from error
    if magic.startswith(_FEATHER_1):
        raise DataError(
            "this is Feather version 1, which is no Arrow file",
            file=path,
            hint="Write it anew: pandas.read_feather(path).to_feather(path).",
        )
    options = pa.ipc.IpcReadOptions(included_fields=included, use_threads=False)
    try:
        source = pa.memory_map(path)
        file = (pa.ipc.open_file if magic == _FILE else pa.ipc.open_stream)(source, options=options)
    except (pa.ArrowException, OSError) as error:
        what = "an Arrow file whose end is missing" if magic == _FILE else "no Arrow file or stream"
        raise DataError(f"this is {what}: {schemas.clipped(str(error), 200)}", file=path) from error
    with source, file:
        yield file


@contextlib.contextmanager
def _damage(path: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = schemas.clipped(str(error), 200)
        raise DataError(f"this Arrow file is damaged or cut short: {reason}", file=path) from error
