"""Tables in files, read as pandas reads them, for a model that is given files.

A file's types are its own, as where Azure ML scores an MLflow model without a script. But text that the model takes
is read as it stands: the code ``007`` keeps its zeros, and the country ``NA`` its name. Runs in workers: Python
3.8; pandas and pyarrow inside the functions.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import Any, Sequence

from penstock import errors
from penstock.scoring.interface import Field, Signature

SUFFIXES = (".csv", ".parquet", ".pqt")

_TOO_WIDE = "its rows have more values than its header has names"


class FileTables:
    """Reads files for a model of this `signature`. `chosen` are the columns that the user named for it, or none."""

    def __init__(self, signature: Signature, chosen: Sequence[str]) -> None:
        fields = signature.inputs
        names = [field.name for field in fields] if signature.layout == "table" else []
        by_position = len(chosen) == len(fields) and not set(chosen) <= set(names)
        self._named = {*names, *chosen}
        self._texts = {
            name for name, field in zip(chosen if by_position else names, fields) if _is_text(field)
        }
        self._takes_any_text = signature.layout == "array" and fields[0].dtype == "str"

    def read(self, path: str) -> Any:
        """The ``pyarrow.Table`` in the file at `path`, which ends in one of `SUFFIXES`. Raises DataError, and
        JobError where the environment lacks pandas."""
        if os.path.splitext(path)[1].lower() != ".csv":
            return self._parquet(path)
        try:
            importlib.import_module("pandas")
        except ImportError as error:
            raise errors.JobError(
                "a CSV file is read with pandas, which the environment lacks",
                hint="add pandas to its conda file",
            ) from error
        return self._csv(path)

    def _csv(self, path: str) -> Any:
        import pandas as pd
        import pyarrow as pa

        try:
            frame = _frame(path)
            texts = [name for name in frame.columns if self._is_text(name, frame[name])]
            if texts:
                as_written: Any = {"dtype": str, "keep_default_na": False, "na_values": [""]}
                frame[texts] = pd.read_csv(path, index_col=False, usecols=texts, **as_written)
            table = pa.Table.from_pandas(frame, preserve_index=False)
        # What pandas cannot parse is a ValueError, too.
        except (ValueError, OSError, pa.ArrowException) as error:
            raise errors.DataError(f"cannot be read as CSV: {error}") from error
        for place, name in enumerate(table.column_names):
            if table.column(place).null_count == table.num_rows:
                # Nothing in it says what it is, and pandas takes it for numbers.
                table = table.set_column(place, name, pa.nulls(table.num_rows))
        return table

    def _is_text(self, name: str, column: Any) -> bool:
        """Whether the model takes `column` as text; one that knows no names takes whatever is text."""
        return name in self._texts or (self._takes_any_text and column.dtype.kind not in "biuf")

    def _parquet(self, path: str) -> Any:
        """Without a frame's index, which is no column to pandas either, but for those that were named."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(path).read(use_threads=False)
            index = (table.schema.pandas_metadata or {}).get("index_columns", ())
        except (pa.ArrowException, OSError, ValueError) as error:
            raise errors.DataError(f"cannot be read as Parquet: {error}") from error
        # A range is described there, and no column.
        columns = [name for name in index if isinstance(name, str) and name in table.column_names]
        return table.drop_columns([name for name in columns if name not in self._named])


def _is_text(field: Field) -> bool:
    named = field.categories or ()
    return field.dtype == "str" or (bool(named) and all(isinstance(value, str) for value in named))


def _frame(path: str) -> Any:
    """The CSV file at `path` as pandas reads it. Raises DataError where rows have values beyond the header's names:
    pandas would take their first ones for an index, and push all others to the left."""
    import pandas as pd

    # In one piece: else a column is guessed anew in every part of the file.
    whole: Any = {"low_memory": False}
    if tuple(map(int, pd.__version__.split(".")[:2])) < (1, 3):  # says nothing of what it drops
        frame = pd.read_csv(path, **whole)
        if not isinstance(frame.index, pd.RangeIndex):
            raise errors.DataError(_TOO_WIDE)
        return frame
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(path, index_col=False, **whole)
        except pd.errors.ParserWarning as error:
            raise errors.DataError(_TOO_WIDE) from error
