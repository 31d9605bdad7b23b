"""The quick way through a frame of plain requests: rows of numbers in JSON, posted to ``/score`` as they are.

Most traffic looks like this, so it is decoded, checked, scored and encoded for the whole frame at once, at
about a microsecond a request beyond the model's own time. Whatever is not exactly like this takes the
explaining way in `penstock.scoring.model`, with the same answers. Runs in workers: Python 3.8.
"""

from __future__ import annotations

from typing import Any, Sequence

from penstock import errors
from penstock.scoring import rows, tables
from penstock.scoring.codecs import arrays, envelopes, json_text, schema
from penstock.scoring.interface import Model, Reply, Request


def is_plain(request: Request) -> bool:
    """Whether `request` says nothing beyond its body (what else there is would change what it means)."""
    return not request.headers and not request.query and request.path == "/score" and request.method == "POST"


class Frames:
    """What `model` needs for the quick way; `of` makes one only where there is such a way."""

    def __init__(
        self, model: Model, width: int, dtype: str, names: tuple[str, ...], *, as_array: bool
    ) -> None:
        self._model = model
        self._width = width
        self._dtype = dtype
        self._names = names
        self._as_array = as_array

    @classmethod
    def of(cls, model: Model) -> Frames | None:
        """None for models that do not take rows of floats, or whose requests may not share a call."""
        signature = model.signature
        dtype = schema.is_uniform(signature)
        if not dtype or not model.row_independent:
            return None
        if signature.layout == "table":
            names = tuple(field.name for field in signature.inputs)
            as_array = bool(getattr(model, "accepts_array", False))
            return cls(model, len(names), dtype, names, as_array=as_array)
        shape = signature.inputs[0].shape
        if signature.layout != "array" or len(shape) != 2 or shape[0] != -1 or shape[1] < 1:
            return None
        return cls(model, shape[1], dtype, (), as_array=True)

    def score(self, requests: Sequence[Request]) -> list[Reply] | None:
        """The replies to `requests`, all of them plain; None when any needs the explaining way. Calls the
        model at most once."""
        grid: list[Any] = []
        counts: list[int] = []
        names = self._names
        loads = json_text.quick_loads
        try:
            for request in requests:
                found = envelopes.quick_rows(loads(request.body), names)
                if not found:
                    return None
                grid.extend(found)
                counts.append(len(found))
            array = arrays.numbers(grid, self._width, self._dtype)
        except (ValueError, TypeError, OverflowError, RecursionError, errors.InputError):
            return None
        result = self._call(self._data(array))
        if result is None or rows.count(result) != len(grid):
            return None
        return _replies(result, counts)

    def _data(self, array: Any) -> Any:
        if self._as_array:
            return array
        by_name = {name: array[:, index] for index, name in enumerate(self._names)}
        return tables.Table(by_name, len(array), {}).to_frame()

    def _call(self, data: Any) -> Any:
        try:
            return self._model.call(self._model.methods[0], data, {})
        except Exception:  # noqa: BLE001 - each request is then called for itself, and the culprit is told
            return None


def _replies(result: Any, counts: Sequence[int]) -> list[Reply] | None:
    """Only results that are numbers through and through; the rest is not this module's."""
    dtype = getattr(result, "dtype", None)
    if type(result).__name__ != "ndarray" or dtype is None or dtype.kind not in "fiub":
        return None
    answers = result.tolist()
    dumps = json_text.dumps
    replies = []
    at = 0
    for count in counts:
        replies.append(Reply(dumps(answers[at : at + count])))
        at += count
    return replies
