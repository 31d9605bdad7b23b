"""CSV (RFC 4180), and Azure ML's lines for an MLflow model, which are CSV without a header.

A segment of CSV begins with its header, so that it says itself what its columns are; the sink writes one header
and leaves out the others. A missing value is empty, an empty text ``""``; NaN is ``NaN``, which pandas, R, Spark
and DuckDB all read. Lines end with LF, as every tool on Linux writes them.
"""

from __future__ import annotations

from typing import Any

from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import segments, tables, texts


class CsvEncoder:
    """With a header, once."""

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)
        self._names: list[str] = []

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        table = tables.plain(table)
        if not self._names:
            self._names = table.schema.names
            self._file.write(header_line(self._names))
        elif self._names != table.schema.names:
            raise OutputError(
                f"one call has the columns {', '.join(self._names)}, another {', '.join(table.schema.names)}",
                hint="let the scoring script always return the same columns, or write Parquet or JSON Lines",
            )
        _write(self._file, table)

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()


class MlflowRowEncoder:
    """``row,prediction,file`` without a header, as Azure ML's driver for MLflow models writes. A file's answers
    need not be like the next one's."""

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        _write(self._file, tables.plain(table))

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()


def _write(file: segments.SegmentFile, table: Any) -> None:
    for batch in table.to_batches(max_chunksize=texts.ROWS_AT_ONCE):
        file.write(texts.joined(lines(batch.columns)))


def header_line(names: list[str]) -> bytes:
    """The first line of a CSV file with these columns."""
    import pyarrow as pa

    row = [pa.array([name], pa.large_string()) for name in names]
    return bytes(texts.joined(lines(row)))


def lines(columns: list[Any], *, missing: str | None = None) -> Any:
    """Rows of `columns` as lines of CSV, a large_string array. `missing` is what a missing value looks like;
    None: nothing, except in a single column, where a line with nothing on it would be no row to most readers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if missing is None:
        missing = "" if len(columns) > 1 else '""'
    cells = [pc.fill_null(_cells(column), missing) for column in columns]
    end = pa.scalar("\n", pa.large_string())
    cells[-1] = pc.binary_join_element_wise(cells[-1], end, pa.scalar("", pa.large_string()))
    return pc.binary_join_element_wise(*cells, pa.scalar(",", pa.large_string()))


def _cells(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _cells(column.storage)
    if texts.is_nested(kind):
        nested = texts.as_json(column)
        return _quoted(pc.if_else(column.is_valid(), nested, pa.scalar(None, nested.type)))
    values = texts.texts(column)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(column), pa.scalar("NaN", pa.large_string()), values)
    return values if texts.is_number(kind) else _quoted(values)


def _quoted(values: Any) -> Any:
    """`values` with quotes where RFC 4180 needs them, and around empty texts, which are not missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # A lone \. is the end of the data to PostgreSQL.
    needs = pc.match_substring_regex(values, r'[",\r\n]|^$|^\\\.$')
    if not pc.any(needs).as_py():
        return values
    quote, nothing = pa.scalar('"', pa.large_string()), pa.scalar("", pa.large_string())
    doubled = pc.replace_substring(values, '"', '""')
    return pc.if_else(needs, pc.binary_join_element_wise(quote, doubled, quote, nothing), values)
