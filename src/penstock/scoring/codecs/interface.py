"""The seam between `penstock.scoring.models.scorer` and the payload forms: a request in, a `Call` on the model, a
reply out.

A codec only translates. It neither calls the model nor knows of other requests: `ModelScorer` joins the calls
that may share one, calls, cuts the result at the row counts and hands each codec its own part.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Mapping, Protocol

from penstock.scoring.interface import Model, Reply, Request

UNCOUNTED = -1
"""`Call.rows` where the payload has no row dimension: the call is made alone and its result is not cut."""


class Call:
    """One request, understood: what to call the model with, and how its codec means to answer.

    `data` is what `Model.call` takes for the model's layout, already checked against its signature (use
    `penstock.scoring.codecs.schema`). `rows` is its first dimension, or `UNCOUNTED`. `method` is one of
    ``model.methods``. `params` go to the model as they are. `form` is the codec's own: whatever `encode`
    must remember of the request (its id, the outputs it asked for, the content type to answer with).
    """

    __slots__ = ("data", "form", "method", "params", "rows")

    def __init__(
        self, data: Any, rows: int, *, method: str, params: Mapping[str, Any], form: Any = None
    ) -> None:
        self.data = data
        self.rows = rows
        self.method = method
        self.params = params
        self.form = form


class Codec(Protocol):
    """One payload form (or a family of them that differ in detail). Holds no state between requests."""

    def decode(self, request: Request, model: Model) -> Call:
        """Understand `request`. Raises `errors.InputError`, which becomes a 4xx (`scoring.statuses`); also
        for an ``Accept`` that cannot be met, so that nothing is scored in vain."""

    def encode(self, result: Any, call: Call, model: Model) -> Reply:
        """Write the answer. `result` is what `Model.call` returned, cut to this call's rows: an ndarray
        ``(rows, ...)``, a DataFrame or Series, a dict of ndarrays, or a list with one element a row."""

    def refuse(self, status: int, message: str, request: Request) -> Reply:
        """The answer to a request that failed, in this form's way of saying so (``{"message": ...}``,
        ``{"error": ...}``)."""
