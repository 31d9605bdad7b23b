"""Arrow IPC: for sinks that read staged parts once more, row by row, and want their exact types."""

from __future__ import annotations

from typing import Any, Iterator

from penstock.runtimes.batch.encoders import grouped


def open_writer(path: str, schema: Any) -> Any:
    """A writer of an IPC file; LZ4 halves what is staged and costs next to nothing."""
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    return _Writer(pa.ipc.new_file(path, schema, options=options))


class _Writer:
    """Writes copies: a slice takes the bits beside it along, which depend on how the rows were cut."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write_table(self, table: Any, rows: int) -> None:
        import pyarrow as pa

        columns = [pa.concat_arrays([*column.chunks, pa.nulls(0, column.type)]) for column in table.columns]
        self._writer.write_table(pa.table(columns, schema=table.schema), rows)

    def close(self) -> None:
        self._writer.close()


def groups_of(path: str) -> Iterator[Any]:
    """The record batches of the file at `path` as tables, one in memory at a time."""
    import pyarrow as pa

    with pa.OSFile(path) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(number)])


class ArrowEncoder(grouped.GroupedEncoder):
    """See `penstock.runtimes.batch.encoders.grouped`."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "Arrow", open_writer, groups_of)
