"""The BatchScorer of a loaded model: Arrow tables in, one call on the model each, Arrow tables out.

What the job's input lacks for the model is told when the scorer is opened, before any work. Runs in workers:
Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

from penstock import errors
from penstock.bundle.batch import BatchSettings, Output
from penstock.scoring import statuses
from penstock.scoring.codecs import values
from penstock.scoring.interface import Scored, Signature
from penstock.scoring.loaders.loaded import LoadedModel
from penstock.scoring.models import batch_inputs, batch_predictions


class ModelBatchScorer:
    """See `penstock.scoring.interface.BatchScorer`."""

    def __init__(self, model: LoadedModel, settings: BatchSettings, output: Output, schema: Any) -> None:
        """`schema` is the Arrow schema of the job's input. Raises ModelError (no such method) and
        SchemaMismatch (missing columns, columns of other types, prediction columns that the model lacks)."""
        self._model = model
        self._method = method_of(model, settings)
        self._inputs = batch_inputs.fit(model, schema, settings.input_columns)
        self._predictions = batch_predictions.Predictions(model.signature, self._method, output)

    @property
    def takes(self) -> str:
        """``arrow``."""
        return "arrow"

    @property
    def fork_safe(self) -> bool:
        """See `Model.fork_safe`."""
        return self._model.fork_safe

    @property
    def row_independent(self) -> bool:
        """Whether rows may be scored in calls of any size with the same answers. Where it is false a call should
        get a whole mini-batch."""
        return self._model.row_independent

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The input columns that scoring needs, in the model's order."""
        return self._inputs.columns

    @property
    def notes(self) -> tuple[str, ...]:
        """What loading the model had to say, and which columns it gets where its names do not tell."""
        return (*self._model.notes, *self._inputs.notes)

    def score(self, data: Any) -> Scored:
        """Score `data`, an Arrow table of at least one row.

        Raises DataError for a value that is not what the model's inputs are (its `row` is counted in `data`),
        InputError for what the model itself refuses and for an answer of another number of rows, JobError for an
        answer that can never be used, and what the model's library raises of itself.
        """
        result = called(self._model, self._method, self._inputs.take(data), hint=self._hint())
        content = self._predictions.table(result, data.num_rows)
        return Scored(content, content.num_rows)

    def close(self) -> None:
        """Nothing is held that the end of the process does not free."""

    def _hint(self) -> str:
        """For models that were given all columns, since they say nothing of what they take."""
        if self._model.signature.layout != "unknown":
            return ""
        return (
            "The model tells nothing of its inputs, so it was given these columns: "
            f"{values.listed(self._inputs.columns, most=40)}. --input-columns chooses others."
        )


def method_of(model: LoadedModel, settings: BatchSettings) -> str:
    """What is called: what the user said, or the model's first. Raises ModelError."""
    method = settings.method or model.methods[0]
    if method not in model.methods:
        raise errors.ModelError(
            f"the model has no method {method!r}", hint=f"It has {values.listed(model.methods, most=40)}."
        )
    return method


def called(model: LoadedModel, method: str, data: Any, *, hint: str = "") -> Any:
    """What `model` answers. Raises InputError, with `hint`, where the model refuses `data`, and what the model's
    library raises of itself."""
    try:
        return model.call(method, data, {})
    except errors.PenstockError:
        raise
    except Exception as error:
        if statuses.is_refusal(error, is_input_known=_is_known(model.signature)):
            raise errors.InputError(
                f"the model refused its input: {method}: {_told(error)}", hint=hint
            ) from error
        raise


def _is_known(signature: Signature) -> bool:
    return signature.layout != "unknown" and all(
        size != -1 for field in signature.inputs for size in field.shape[1:]
    )


def _told(error: BaseException) -> str:
    """``ValueError: Input X contains NaN. (validation.py:186)``: what it says, and where it was raised."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {lines[0]}{place}"
