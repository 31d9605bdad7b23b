"""The BatchScorer of a model that is given files: one after another, each scored by one call.

So Azure ML scores an MLflow model in a batch deployment without a script: a file is a table
(`batch_file_tables`) or an image (`batch_images`); whatever else lies there is an error. Source:
learn.microsoft.com, "Deploy MLflow models in batch deployments". Runs in workers: Python 3.8.
"""

from __future__ import annotations

import os
from typing import Any, Sequence

from penstock import errors
from penstock.bundle.batch import BatchSettings, Output
from penstock.scoring.interface import Scored
from penstock.scoring.loaders.loaded import LoadedModel
from penstock.scoring.models import batch, batch_file_tables, batch_images, batch_predictions, rows

_SUFFIXES = (*batch_file_tables.SUFFIXES, *batch_images.SUFFIXES)


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
        self._tables = batch_file_tables.FileTables(model.signature, settings.input_columns)
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
            if kind in batch_file_tables.SUFFIXES:
                return self._of_table(self._tables.read(path))
            if kind in batch_images.SUFFIXES:
                return self._of_image(batch_images.read(path))
        except (errors.DataError, errors.InputError) as error:
            name, row = os.path.basename(path), getattr(error, "row", -1)
            place = f"row {row} (from 0): " if row >= 0 else ""
            raise errors.DataError(f"{place}{error.message}", file=name, hint=error.hint) from error
        raise errors.DataError(
            f"a model is not given files of this kind; it is given {', '.join(_SUFFIXES)}",
            file=os.path.basename(path),
            hint="take it out of the input, or write a scoring script that reads it",
        )

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
