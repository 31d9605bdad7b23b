"""Which HTTP status each failure of scoring gets: the one table.

| what failed | status |
|---|---|
| MalformedInput, SchemaMismatch, any other InputError | 400 |
| UnsupportedMedia | 415 |
| NotAcceptable | 406 |
| the model refuses its input (`is_refusal`) | 400, with the model's own words |
| anything else that the model raises | 500, details in the log only |

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from penstock import errors

_STATUSES = {
    errors.UnsupportedMedia: 415,
    errors.NotAcceptable: 406,
    errors.InputError: 400,
}

_REFUSALS_BY_NAME = frozenset({"InvalidArgument", "LightGBMError", "XGBoostError", "MlflowException"})
"""What libraries raise for input they cannot take, where it is no ValueError; by name, so that nothing is
imported: onnxruntime's, LightGBM's, XGBoost's, MLflow's (its schema enforcement)."""

_FAILURES_BY_NAME = frozenset({"NotFittedError"})
"""ValueErrors that no input can avoid."""


def of(error: errors.InputError) -> int:
    """The status of a request that failed with `error`."""
    for kind in type(error).__mro__:
        if kind in _STATUSES:
            return _STATUSES[kind]
    return 400


_MISFITS = (AttributeError, KeyError, IndexError, RuntimeError)
"""What a model stumbles into when it is given data of another form than it expects. (RuntimeError is torch's word
for shapes that do not fit.)"""


def is_refusal(error: BaseException, *, is_input_known: bool = True) -> bool:
    """Whether `error`, raised by a model that was called, speaks of the values it was given.

    Libraries say so with a ValueError, a TypeError or, for integers of any length, an OverflowError
    (scikit-learn: "Input X contains NaN."). It may be the
    model's own bug just as well, so it is logged either way. Where a model's inputs or their shapes are not
    known (`is_input_known` is false), they were not checked, and a misfit shows in more ways.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _FAILURES_BY_NAME:
        return False
    if not is_input_known and isinstance(error, _MISFITS):
        return True
    return isinstance(error, (ValueError, TypeError, OverflowError)) or bool(names & _REFUSALS_BY_NAME)
