"""JSON Lines: one object a line, keys in the order of the columns. See `texts` for what values look like."""

from __future__ import annotations

from typing import Any

from penstock.runtimes.batch.encoders import segments, tables, texts


class JsonLinesEncoder:
    """NaN and the infinities are ``null``: JSON has no word for them, and readers refuse what others invent."""

    def __init__(self, path: str) -> None:
        self._file = segments.SegmentFile(path)

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        table = tables.plain(table)
        for batch in table.to_batches(max_chunksize=texts.ROWS_AT_ONCE):
            self._file.write(texts.joined(texts.objects(batch.schema.names, batch.columns, end="}\n")))

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._file.close()
