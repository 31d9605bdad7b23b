"""What a mini-batch's results look like: the input's columns that are kept, the predictions, where they are from.

Worker side: Python 3.8; pyarrow inside the functions.
"""

from __future__ import annotations

import os
from typing import Any, Iterator, Sequence

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch import numbering, rows

LINEAGE = (rows.FILE, rows.ROW, "_model")

AS_RETURNED = ("append-row", "append-row-header", "none")
"""Encodings that take what a script returned, as it is."""


class Results:
    """Turns scored calls into tables for the encoder."""

    def __init__(self, output: Output, encoding: str, kept: Sequence[str], model_digest: str) -> None:
        self._output = output
        self._encoding = encoding
        self._kept = list(kept)
        self._model = model_digest

    def of(self, data: Any, content: Any) -> Iterator[Any]:
        """What the encoder writes, one after another, for `data`, a table of rows or a list of files, and its
        result `content`.

        Raises OutputError where a kept column and a prediction have one name, or where what a script returned
        cannot stand beside its input because the counts differ.
        """
        if self._encoding in AS_RETURNED:
            yield content
        elif self._encoding == "append-row-mlflow":
            yield from (_mlflow(uri, predictions) for uri, predictions in zip(data, content))
        else:
            table = self._table(data, content)
            if table.num_columns:  # a script that sums up may return nothing at all
                yield table

    def _table(self, data: Any, content: Any) -> Any:
        predictions = content
        if not hasattr(content, "schema"):
            from penstock.scoring.scripts import batch_tables

            predictions = batch_tables.to_table(content, self._output.prediction_name)
        beside = self._beside(data)
        if not beside:
            return predictions
        if predictions.num_rows != len(data):
            raise OutputError(
                f"the script returned {predictions.num_rows} rows for {len(data)}, so nobody can say which belong "
                "together",
                hint="leave out --keep-columns and --with-lineage, or return one row for each",
            )
        return self._joined(beside, predictions)

    def _beside(self, data: Any) -> dict[str, Any]:
        import pyarrow as pa

        if isinstance(data, list):
            if not self._output.lineage:
                return {}
            found = {rows.FILE: pa.array(data, pa.string())}
        else:
            found = {name: data.column(name) for name in self._kept}
            if not self._output.lineage:
                return found
            found[rows.FILE] = data.column(rows.FILE).cast(pa.string())
            found[rows.ROW] = data.column(rows.ROW)
        found["_model"] = pa.repeat(pa.scalar(self._model), len(data))
        return found

    def _joined(self, beside: dict[str, Any], predictions: Any) -> Any:
        import pyarrow as pa

        twice = [name for name in predictions.column_names if name in beside]
        if twice:
            raise OutputError(
                f"the input has a column {twice[0]!r}, and so has the prediction",
                hint="--prediction-name gives the prediction another name; --keep-columns keeps fewer columns",
            )
        kept = [name for name in beside if name not in LINEAGE]
        names = [*kept, *predictions.column_names, *(name for name in beside if name in LINEAGE)]
        arrays = [beside[name] if name in beside else predictions.column(name) for name in names]
        return pa.Table.from_arrays(arrays, names=names)


def _mlflow(uri: str, predictions: Any) -> Any:
    """``row,prediction,file``, as Azure ML's deployments of MLflow models write it, for one file. Several
    prediction columns stand between the two others."""
    import pyarrow as pa

    count = predictions.num_rows
    return pa.Table.from_arrays(
        [
            numbering.numbers(0, count),
            *predictions.columns,
            pa.repeat(pa.scalar(os.path.basename(uri)), count),
        ],
        names=["row", *predictions.column_names, "file"],
    )


def kept_columns(output: Output, schema: Any, used: Sequence[str] | None, *, is_script: bool) -> list[str]:
    """The names of the input's columns that stand in the output. `used` are those that scoring needs, None where
    that is not known: then ``*unused`` keeps none. Raises OutputError for a name that the input lacks."""
    if schema is None:
        return []
    names = list(schema.names)
    if output.keep_columns == ("*none",) or not output.keep_columns:
        return []
    if output.keep_columns == ("*all",):
        return names
    if output.keep_columns == ("*unused",):
        return [] if used is None or is_script else [name for name in names if name not in used]
    for name in output.keep_columns:
        if name not in names:
            raise OutputError(
                f"--keep-columns: the input has no column {name!r}",
                hint="it has " + ", ".join(names[:40]) + ("" if len(names) <= 40 else ", ..."),
            )
    return list(output.keep_columns)
