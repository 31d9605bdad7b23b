"""The BatchScorer of a model that is given files: one after another, each scored by one call.

So Azure ML scores an MLflow model in a batch deployment without a script: ``.csv``, ``.parquet`` and ``.pqt`` are
tables, read as pandas reads them, so that a file's types are its own; images are arrays. Whatever else lies there
is an error. Source: learn.microsoft.com, "Deploy MLflow models in batch deployments".

Runs in workers: Python 3.8; pandas, pyarrow and Pillow inside the functions.
"""

from __future__ import annotations

import os
import re
import warnings
from typing import Any, Sequence

from penstock import errors
from penstock.bundle.batch import BatchSettings, Output
from penstock.scoring.interface import Field, Scored
from penstock.scoring.loaders.loaded import LoadedModel
from penstock.scoring.models import batch, batch_images, batch_predictions, rows

TABLES = (".csv", ".parquet", ".pqt")

_INDEX = re.compile(r"__index_level_\d+__$")


class FilesBatchScorer:
    """See `penstock.scoring.interface.BatchScorer`."""

    takes = "files"
    columns: tuple[str, ...] | None = None
    """Each file has its own."""

    def __init__(self, model: LoadedModel, settings: BatchSettings, output: Output) -> None:
        """Raises ModelError (no such method) and SchemaMismatch (prediction columns that the model lacks)."""
        self._model = model
        self._settings = settings
        self._output = output
        self._method = batch.method_of(model, settings)
        self._predictions = batch_predictions.Predictions(model.signature, self._method, output)
        self._texts = {field.name for field in model.signature.inputs if _is_text(field)}
        self._of_rows: batch.ModelBatchScorer | None = None
        self._schema: Any = None

    @property
    def fork_safe(self) -> bool:
        """See `Model.fork_safe`."""
        return self._model.fork_safe

    @property
    def notes(self) -> tuple[str, ...]:
        """What loading the model had to say."""
        return self._model.notes

    def score(self, data: Sequence[str]) -> Scored:
        """Score the files at the paths `data`: a list with one ``pyarrow.Table`` of predictions for each.

        Raises DataError, which names the file, for one that cannot be read or has not what the model takes,
        JobError for a library that the environment lacks, and otherwise as `batch.ModelBatchScorer.score`.
        """
        return Scored([self._scored(path) for path in data], len(data))

    def close(self) -> None:
        """Nothing is held that the end of the process does not free."""

    def _scored(self, path: str) -> Any:
        kind = os.path.splitext(path)[1].lower()
        try:
            if kind in TABLES:
                return self._of_table(self._read_csv(path) if kind == ".csv" else _read_parquet(path))
            if kind in batch_images.SUFFIXES:
                return self._of_image(batch_images.read(path))
        except (errors.DataError, errors.InputError) as error:
            name, row = os.path.basename(path), getattr(error, "row", -1)
            place = f"row {row} (from 0): " if row >= 0 else ""
            raise errors.DataError(f"{place}{error.message}", file=name, hint=error.hint) from error
        raise errors.DataError(
            f"a model is not given files of this kind; it is given {', '.join((*TABLES, *batch_images.SUFFIXES))}",
            file=os.path.basename(path),
            hint="take it out of the input, or write a scoring script that reads it",
        )

    def _read_csv(self, path: str) -> Any:
        """Columns that the model takes as text are read as they stand: the code ``007`` keeps its zeros, and the
        country ``NA`` its name."""
        import pyarrow as pa

        try:
            import pandas as pd
        except ImportError as error:
            raise errors.JobError(
                "a CSV file is read with pandas, which the environment lacks",
                hint="add pandas to its conda file",
            ) from error
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                # Without an index: else values beyond the header's names push all others to the left. In one piece:
                # else a column is guessed anew in every part of the file.
                frame = pd.read_csv(path, index_col=False, low_memory=False)
            texts = [name for name in frame.columns if name in self._texts]
            if texts:
                as_written: Any = {"dtype": str, "keep_default_na": False, "na_values": [""]}
                frame[texts] = pd.read_csv(path, index_col=False, usecols=texts, **as_written)
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except pd.errors.ParserWarning as error:
            raise errors.DataError("its rows have more values than its header has names") from error
        except (
            ValueError,
            OSError,
            pa.ArrowException,
        ) as error:  # what pandas cannot parse is a ValueError, too
            raise errors.DataError(f"cannot be read as CSV: {error}") from error
        for place, name in enumerate(table.column_names):
            if table.column(place).null_count == table.num_rows:
                # Nothing in it says what it is, and pandas takes it for numbers.
                table = table.set_column(place, name, pa.nulls(table.num_rows))
        return table

    def _of_table(self, table: Any) -> Any:
        if not table.num_rows:
            return table.select([])
        if self._of_rows is None or table.schema != self._schema:
            self._of_rows = batch.ModelBatchScorer(self._model, self._settings, self._output, table.schema)
            self._schema = table.schema
        return self._of_rows.score(table).content

    def _of_image(self, image: Any) -> Any:
        signature = self._model.signature
        if signature.layout not in ("array", "unknown"):
            names = ", ".join(field.name for field in signature.inputs[:12])
            raise errors.DataError(f"the model takes columns ({names}), and this is an image")
        field = signature.inputs[0] if signature.layout == "array" else None
        given = batch_images.array(image) if field is None else batch_images.shaped(image, field)
        result = batch.called(self._model, self._method, given)
        found = rows.count(result)
        return self._predictions.table([result] if found < 0 else result, max(found, 1))


def _is_text(field: Field) -> bool:
    named = field.categories or ()
    return field.dtype == "str" or (bool(named) and all(isinstance(value, str) for value in named))


def _read_parquet(path: str) -> Any:
    """Without a frame's nameless index, which pandas would not take for a column either."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise errors.DataError(f"cannot be read as Parquet: {error}") from error
    return table.drop_columns([name for name in table.column_names if _INDEX.match(name)])
