"""Parquet: a file of row groups for one mini-batch."""

from __future__ import annotations

from typing import Any, Iterator

from penstock.runtimes.batch.encoders import grouped


def open_writer(path: str, schema: Any) -> Any:
    """A ``pyarrow.parquet.ParquetWriter`` with the properties that all our files have.

    Snappy, because every reader has it, and because it costs half of what Zstandard costs on scores, which
    hardly compress. Dictionaries for text only: on scores they cost three times the writing and save nothing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [
        field.name
        for field in schema
        if pa.types.is_string(field.type)
        or pa.types.is_large_string(field.type)
        or pa.types.is_binary(field.type)
        or pa.types.is_large_binary(field.type)
    ]
    return pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=texts or False)


def groups_of(path: str) -> Iterator[Any]:
    """The row groups of the file at `path` as tables, one in memory at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False)


class ParquetEncoder(grouped.GroupedEncoder):
    """See `penstock.runtimes.batch.encoders.grouped`."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "Parquet", open_writer, groups_of)
