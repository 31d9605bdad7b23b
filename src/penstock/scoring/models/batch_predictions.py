"""What a model answered, as an Arrow table with one row for each row that went in.

Types stay what they are, and NaN stays NaN: null is only what the model itself calls missing.
Runs in workers: Python 3.8; pyarrow, NumPy and pandas inside the functions.
"""

from __future__ import annotations

import contextlib
from typing import Any, Sequence

from penstock import errors
from penstock.bundle.batch import Output
from penstock.scoring.codecs import values
from penstock.scoring.interface import Signature
from penstock.scoring.models import rows

_DEFAULT_NAME = "prediction"
_SELECT = "Name some of these as prediction columns, or none for all."


class Predictions:
    """Names and selects the columns of what `method` answers."""

    def __init__(self, signature: Signature, method: str, output: Output) -> None:
        """Raises SchemaMismatch where `output` selects a column that the model is known not to give."""
        self._method = method
        self._name = output.prediction_name
        self._selected = output.prediction_columns
        answers = {field.name: field for field in signature.outputs}
        self._field = answers.get(method)
        self._classes = tuple(self._field.categories or ()) if self._field is not None else ()
        self.names = self._known_names()
        """The columns of every answer; None where only a call shows them."""
        missing = self._not_among(self.names) if self.names is not None else ""
        if missing:
            raise errors.SchemaMismatch(missing, hint=_SELECT)

    def table(self, result: Any, count: int) -> Any:
        """`result`, which a call for `count` rows gave.

        Raises InputError where it does not have as many rows (smaller calls may tell which rows got no answer),
        and JobError for what no other call would mend: one answer for all rows, a selected column that is not
        there, values that Arrow has no type for.
        """
        self._check_rows(rows.count(result), count, result)
        by_name = self._columns(result)
        missing = self._not_among(list(by_name))
        if missing:
            raise errors.JobError(missing, hint=_SELECT)
        import pyarrow as pa

        wanted = self._selected or tuple(by_name)
        arrays = [_array(by_name[name], name) for name in wanted]
        if self._field is not None and self._field.dtype == "str":
            # A call all of whose answers are missing has the type of the others.
            arrays = [each.cast(pa.string()) if pa.types.is_null(each.type) else each for each in arrays]
        return pa.table(arrays, names=list(wanted))

    def _check_rows(self, found: int, count: int, result: Any) -> None:
        if found == count:
            return
        told = f"{found} rows" if found >= 0 else f"a single {type(result).__name__}"
        message = f"{self._method} answered {told} for {count} rows, so no answer can be told whose it is"
        hint = "A model has to answer one row for each; where it does not, a scoring script can."
        if found in (-1, 1):
            # Rows scored one by one would get answers, and wrong ones.
            raise errors.JobError(message, hint=hint)
        raise errors.InputError(message, hint=hint)

    def _known_names(self) -> list[str] | None:
        shape = self._field.shape if self._field is not None else ()
        if len(shape) == 2:
            return self._spread(shape[1]) if shape[1] > 0 else None
        return [self._name] if shape else None

    def _not_among(self, known: Sequence[str]) -> str:
        """What to say of selected columns that are not among those `known`; empty where all are."""
        missing = [name for name in self._selected if name not in known]
        if not missing:
            return ""
        return (
            f"the prediction has no column {values.listed(missing, most=40)}; {self._method} gives "
            f"{values.listed(known, most=100)}"
        )

    def _spread(self, width: int) -> list[str]:
        """The names of the columns of a matrix."""
        if width == 1:
            return [self._name]
        if self._method == "predict_proba":
            classes = [str(label) for label in self._classes]
            if len(set(classes)) != width or len(classes) != width:
                classes = [str(place) for place in range(width)]
            stem = "probability" if self._name == _DEFAULT_NAME else self._name
            return [f"{stem}_{label}" for label in classes]
        return [f"{self._name}_{place}" for place in range(width)]

    def _columns(self, result: Any) -> dict[str, Any]:
        if hasattr(result, "columns") and hasattr(result, "iloc"):
            names = [str(name) for name in result.columns]
            return _unique({}, names, [result.iloc[:, place] for place in range(len(names))])
        if isinstance(result, dict):
            return {str(name): value for name, value in result.items()}
        if hasattr(result, "toarray"):
            result = result.toarray()
        if isinstance(result, list) and result and all(isinstance(row, dict) for row in result):
            names = list(dict.fromkeys(name for row in result for name in row))
            return {str(name): [row.get(name) for row in result] for name in names}
        if len(getattr(result, "shape", ())) == 2:
            names = self._spread(result.shape[1])
            return dict(zip(names, (result[:, place] for place in range(len(names)))))
        return {self._name: result}


def _unique(by_name: dict[str, Any], names: Sequence[str], found: Sequence[Any]) -> dict[str, Any]:
    for name, column in zip(names, found):
        if name in by_name:
            raise errors.JobError(f"the model's answer has two columns named {name!r}")
        by_name[name] = column
    return by_name


def _array(column: Any, name: str) -> Any:
    """One column of the answer as an Arrow array."""
    import numpy as np

    if hasattr(column, "iloc"):
        return _of_series(column, name)
    if hasattr(column, "toarray"):
        column = column.toarray()
    shape: tuple[int, ...] = getattr(column, "shape", ())
    if len(shape) == 2 and shape[1] == 1:
        column = column[:, 0]
    elif len(shape) > 1:
        return _lists(np.ascontiguousarray(column), name)
    return _values(column, name)


def _values(column: Any, name: str) -> Any:
    import pyarrow as pa

    refused = (pa.ArrowException, TypeError, ValueError, OverflowError)
    try:
        return pa.array(column)
    except refused as error:
        # Text among which what is missing is NaN.
        with contextlib.suppress(*refused):
            return pa.array(column, from_pandas=True)
        raise errors.JobError(
            f"the column {name!r} of the model's answer cannot be written: {error}",
            hint="Its values have to be of one kind: numbers, text, dates, or lists of these.",
        ) from error


def _of_series(column: Any, name: str) -> Any:
    import pyarrow as pa

    if type(column.dtype).__module__.startswith("numpy"):
        return _values(column.to_numpy(), name)
    array = _values(column, name)
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


def _lists(column: Any, name: str) -> Any:
    """An array of more dimensions as lists of fixed sizes."""
    import pyarrow as pa

    array = _values(column.reshape(-1), name)
    for size in reversed(column.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array
