"""What a script's ``run`` returned for a mini-batch: is it usable, and how many items does it count.

Azure ML's rules: a data frame or a list; each element (row) counts one success; fewer than went in, unless a
partition was summed up, or anything else, fails the mini-batch. Runs in workers: Python 3.8; pandas and NumPy
only where a script loaded them.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from penstock import errors
from penstock.scoring.interface import Scored

_HINTS = {
    "NoneType": "The function ends without a return statement, or one of its branches does.",
    "dict": "Return a list of dictionaries, one for each item, or a pandas DataFrame.",
    "str": "Return a list of strings, one for each item.",
    "set": "A set has no order: return a list.",
    "frozenset": "A set has no order: return a list.",
    "Tensor": "Return tensor.tolist(), or a pandas DataFrame.",
    "EagerTensor": "Return tensor.numpy(), or a pandas DataFrame.",
}


def scored(returned: Any, given: int, noun: str, *, any_number: bool = False) -> Scored:
    """`returned` as a data frame or a list, and its count.

    `given` is the number of `noun`s (``file``, ``row``) that went in; `any_number` of them may come out. Raises
    `ScriptRunError`.
    """
    content = _frame_or_list(returned)
    if len(content) < given and not any_number:
        raise errors.ScriptRunError(
            f"run() returned {_count(len(content), 'item')} for {_count(given, noun)}",
            hint=(
                f"Each element that run() returns counts as one {noun} processed: return at least one for each, "
                "or the mini-batch counts as failed."
            ),
        )
    return Scored(content=content, successes=len(content))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _frame_or_list(returned: Any) -> Any:
    if isinstance(returned, (list, tuple)):
        return list(returned)
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if isinstance(returned, pandas.DataFrame):
            return returned
        if isinstance(returned, (pandas.Series, pandas.Index)):
            # Not tolist(): it would write a float32 with the digits of a double.
            return list(returned.array)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(returned, numpy.ndarray) and returned.ndim > 0:
        return list(returned)
    raise errors.ScriptRunError(
        f"run() returned {_described(returned)}; a list or a pandas DataFrame is expected",
        hint=_hint(returned),
    )


def _described(returned: Any) -> str:
    if returned is None:
        return "None"
    name = type(returned).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def _hint(returned: Any) -> str:
    if inspect.isgenerator(returned):
        return "run() contains yield: collect the results in a list and return that."
    if inspect.iscoroutine(returned):
        returned.close()
        return "run() is an async function: make it a plain one, which calls asyncio.run() inside."
    if type(returned).__name__ in _HINTS:
        return _HINTS[type(returned).__name__]
    if hasattr(returned, "to_pandas"):
        return "Return its .to_pandas()."
    if hasattr(returned, "__iter__"):
        return "Return list(...) of it."
    return "Return a list with one element for each item of the mini-batch."
