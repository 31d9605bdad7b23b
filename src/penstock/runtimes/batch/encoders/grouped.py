"""What the binary forms have in common: rows gathered into groups, and a schema that may widen on the way."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Callable, Iterator

from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import segments, tables


class GroupedEncoder:
    """Writes groups of about 64 MB in memory, at most a million rows, through `open_writer`; `groups_of` gives
    them back from a file that is closed, for the rare case that they must be written with a wider schema."""

    def __init__(
        self,
        path: str,
        form: str,
        open_writer: Callable[[str, Any], Any],
        groups_of: Callable[[str], Iterator[Any]],
    ) -> None:
        self._path = path
        self._form = form
        self._open_writer = open_writer
        self._groups_of = groups_of
        self._schema: Any = None
        self._writer: Any = None
        self._groups = tables.Groups(self._write_group)

    def write(self, table: Any) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        table = tables.plain(table)
        if self._schema is None:
            self._schema = table.schema
        elif not self._schema.equals(table.schema, check_metadata=True):
            self._widen(table.schema)
            table = tables.fitted(table, self._schema)
        self._groups.add(table)

    def close(self) -> None:
        """See `penstock.runtimes.batch.encoders.interface`."""
        self._groups.flush()
        with segments.translated(self._path):
            if self._schema is None:
                open(self._path, "wb").close()
            else:
                self._opened().close()

    @property
    def schema_digest(self) -> str:
        """The same for files of the same schema, which need not be opened to know it; empty: there is none."""
        return "" if self._schema is None else hashlib.sha256(self._schema.serialize()).hexdigest()[:16]

    def _opened(self) -> Any:
        if self._writer is None:
            self._writer = self._open_writer(self._path, self._schema)
        return self._writer

    def _write_group(self, table: Any) -> None:
        import pyarrow as pa

        with segments.translated(self._path):
            try:
                self._opened().write_table(table, tables.ROWS_MOST)
            except pa.ArrowNotImplementedError as error:
                raise OutputError(
                    f"{self._form} cannot hold these results: {error}",
                    hint="return columns of simpler types, or write JSON Lines",
                ) from error

    def _widen(self, schema: Any) -> None:
        """From here on, columns are of types that fit `schema` too; what is written already is written anew."""
        wide = tables.unified([self._schema, schema], what="calls")
        if wide.equals(self._schema, check_metadata=True):
            return
        self._groups.refit(lambda table: tables.fitted(table, wide))
        self._schema = wide
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        narrow = self._path + ".narrow"
        os.replace(self._path, narrow)
        for table in self._groups_of(narrow):
            self._write_group(tables.fitted(tables.plain(table), wide))
        os.unlink(narrow)
