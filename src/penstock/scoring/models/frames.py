"""The quick way through a frame of plain requests: rows in JSON, posted to ``/score`` as they are.

Most traffic looks like this, so it is decoded, checked, scored and encoded for the whole frame at once: rows
of numbers cost about a microsecond a request beyond the model's own time. Whatever is not exactly like this
takes the explaining way in `penstock.scoring.models.scorer`, with the same answers. Runs in workers: Python 3.8.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Sequence

from penstock import errors
from penstock.scoring import tables
from penstock.scoring.codecs import arrays, json_text, schema, values
from penstock.scoring.interface import Model, Reply, Request
from penstock.scoring.models import rows

_KEYS = frozenset({"data", "input_data", "instances", "dataframe_split", "dataframe_records"})
_SPLIT_KEYS = frozenset({"input_data", "dataframe_split", "data"})


def is_plain(request: Request) -> bool:
    """Whether `request` says nothing beyond its body (what else there is would change what it means)."""
    return not request.headers and not request.query and request.path == "/score" and request.method == "POST"


class Frames:
    """What `model` needs for the quick way; `of` makes one only where there is such a way."""

    def __init__(self, model: Model, width: int, dtype: str) -> None:
        """`dtype` is the float dtype of all inputs, or empty where they differ (tables only)."""
        self._model = model
        self._width = width
        self._dtype = dtype
        fields = model.signature.inputs
        is_table = model.signature.layout == "table"
        self._names = [field.name for field in fields] if is_table else []
        # Of a single name it would give the bare value, and of none nothing.
        self._row_of = itemgetter(*self._names) if len(self._names) > 1 else None
        self._as_array = not is_table or bool(dtype and getattr(model, "accepts_array", False))

    @classmethod
    def of(cls, model: Model) -> Frames | None:
        """None for models whose requests may not share a call, or whose inputs' types are not known: types
        guessed for a whole frame could differ from those guessed for one request."""
        signature = model.signature
        if not model.row_independent or not signature.inputs:
            return None
        dtype = schema.is_uniform(signature)
        if signature.layout == "table":
            kinds = {values.kind_of(field.dtype) for field in signature.inputs}
            return cls(model, len(signature.inputs), dtype) if "object" not in kinds else None
        shape = signature.inputs[0].shape
        if signature.layout != "array" or not dtype or len(shape) != 2 or shape[0] != -1 or shape[1] < 1:
            return None
        return cls(model, shape[1], dtype)

    def score(self, requests: Sequence[Request]) -> list[Reply] | None:
        """The replies to `requests`, all of them plain; None when any needs the explaining way. Calls the
        model at most once."""
        grid: list[Any] = []
        counts: list[int] = []
        loads = json_text.quick_loads
        try:
            for request in requests:
                found = self._rows_of(loads(request.body))
                if not found:
                    return None
                grid.extend(found)
                counts.append(len(found))
            if len(grid) > rows.MOST_SHARED and len(counts) > 1:
                return None
            data = self._data(grid)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, errors.InputError):
            return None
        result = self._call(data)
        if result is None or rows.count(result) != len(grid):
            return None
        return _replies(result, counts)

    def _rows_of(self, payload: Any) -> Any:
        """The rows of `payload`, columns in the model's order; None for a form that needs a closer look."""
        if type(payload) is list:
            found = payload
        elif type(payload) is dict and len(payload) == 1:
            ((key, found),) = payload.items()
            if key not in _KEYS:
                return None
            if type(found) is dict:
                return self._rows_of_split(found) if key in _SPLIT_KEYS else None
            if (key == "dataframe_split") or type(found) is not list:
                return None
        else:
            return None
        if found and type(found[0]) is dict:
            return self._rows_of_records(found)
        return found

    def _rows_of_split(self, split: dict[str, Any]) -> Any:
        names, found = split.get("columns"), split.get("data")
        if type(names) is not list or type(found) is not list or len(names) != self._width:
            return None
        if self._names and names != self._names:
            return None
        if "index" in split and (type(split["index"]) is not list or len(split["index"]) != len(found)):
            return None
        return found if len(split) == (3 if "index" in split else 2) else None

    def _rows_of_records(self, records: list[Any]) -> Any:
        if (
            self._row_of is None
            or set(map(type, records)) != {dict}
            or set(map(len, records)) != {self._width}
        ):
            return None
        return list(map(self._row_of, records))

    def _data(self, grid: list[Any]) -> Any:
        if self._dtype:
            array = arrays.numbers(grid, self._width, self._dtype)
            if self._as_array:
                return array
            by_name = {name: array[:, index] for index, name in enumerate(self._names)}
            return tables.Table(by_name, len(array), {}).to_frame()
        arrays.check_widths(grid, self._width)
        by_name = dict(zip(self._names, zip(*grid)))
        return tables.prepared(schema.table_by_name(by_name, self._model.signature), self._model)

    def _call(self, data: Any) -> Any:
        try:
            return self._model.call(self._model.methods[0], data, {})
        except Exception:  # noqa: BLE001 - each request is then called for itself, and the culprit is told
            return None


def _replies(result: Any, counts: Sequence[int]) -> list[Reply] | None:
    """Only arrays of numbers or texts; the rest is not this module's."""
    if type(result).__name__ != "ndarray":
        return None
    answers = result.tolist()
    kind = result.dtype.kind
    if kind not in "fiubU" and not (kind == "O" and result.ndim == 1 and set(map(type, answers)) == {str}):
        return None
    dumps = json_text.dumps
    replies = []
    at = 0
    for count in counts:
        replies.append(Reply(dumps(answers[at : at + count])))
        at += count
    return replies
