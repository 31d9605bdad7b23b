"""The one concrete `Model`: facts about a loaded model and the function that scores with it.

Each format's module fills it in. It adds to `penstock.scoring.interface.Model` what only some callers ask:
`notes`, `accepts_array` and `params`. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Mapping

from penstock import errors
from penstock.scoring.interface import Field, Signature


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model; satisfies `penstock.scoring.interface.Model`.

    `score` is called as ``score(method, data, params)``. What it raises is the library's own error: this
    class translates nothing, because only the caller knows whose rows were in the call.
    """

    name: str
    format: str
    signature: Signature
    methods: tuple[str, ...]
    fork_safe: bool
    row_independent: bool
    score: Callable[[str, Any, Mapping[str, Any]], Any]
    notes: tuple[str, ...] = ()
    """Lines for people at start: version clashes, settings that were changed for serving."""
    accepts_array: bool = False
    """The layout is ``table``, yet `call` takes a float ndarray ``(rows, columns)`` in signature order too,
    with the same answer and no warning. It saves building a DataFrame, which costs more than most models."""
    takes_any_float: bool = False
    """A ``float64`` among the inputs only says that it is a number: arrays of float32 are taken as they are. False
    where the dtype was written down by somebody or is the graph's own."""
    version: str = ""
    """The version under which it was registered; empty: none."""
    params: tuple[Field, ...] = ()
    """What `call` understands in its `params` (an MLflow params schema)."""

    def call(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        """See `penstock.scoring.interface.Model.call`. Raises SchemaMismatch for a parameter that the model
        does not take, and whatever the library raises."""
        if params:
            self._check_params(params)
        return self.score(method, data, params)

    def _check_params(self, params: Mapping[str, Any]) -> None:
        known = [field.name for field in self.params]
        for name in params:
            if name not in known:
                takes = "it takes " + ", ".join(known) if known else "it takes none"
                raise errors.SchemaMismatch(f"the model has no parameter {name!r}; {takes}", field=name)
