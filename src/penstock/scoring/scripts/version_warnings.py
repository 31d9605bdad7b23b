"""Version clashes that libraries warn of while a script starts, kept for the start page instead of lost in a log.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import Any, Iterator

_SKLEARN = re.compile(r"unpickle estimator .* from version (\S+) when using version (\S+?)\. ")


@contextlib.contextmanager
def version_clashes() -> Iterator[list[str]]:
    """The clashes that are warned of in the block, one note each; other warnings go their way.

    Filters stay the script's own: what it ignores is not seen here either.
    """
    notes: list[str] = []
    show = warnings.showwarning

    def keep(message: Any, *where: Any, **more: Any) -> None:
        clash = _SKLEARN.search(f"{message} ")
        if clash is None:
            show(message, *where, **more)
            return
        note = (
            f"a model was pickled with scikit-learn {clash.group(1)} and is served with {clash.group(2)}: "
            "answers may differ; list the model's version in the environment"
        )
        if note not in notes:
            notes.append(note)

    warnings.showwarning = keep
    try:
        yield notes
    finally:
        if warnings.showwarning is keep:
            warnings.showwarning = show
