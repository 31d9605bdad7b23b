"""skops files, scikit-learn's form that executes nothing, which newer MLflow writes.

Only types that skops trusts, or that the caller names, are built: who chose skops chose that.
Runs in workers: Python 3.8; skops.
"""

from __future__ import annotations

from typing import Sequence

from penstock.errors import ModelError
from penstock.scoring.loaders import packages, sklearn
from penstock.scoring.loaders.loaded import LoadedModel


def load(path: str, *, name: str, sample_input: str = "", trusted: Sequence[str] = ()) -> LoadedModel:
    """The estimator at `path`. Raises ModelError, also for types that nobody vouches for."""
    reader = packages.require("skops.io", path, "a skops file")
    try:
        untrusted = [kind for kind in reader.get_untrusted_types(file=path) if kind not in trusted]
        if untrusted:
            raise ModelError(
                f"{path} holds types that skops does not trust: {', '.join(untrusted)}",
                hint="If you trust them, load it in a scoring script with skops.io.load(path, trusted=[...]).",
            )
        loaded = reader.load(path, trusted=list(trusted))
    except ModelError:
        raise
    except Exception as error:  # a class of another version raises anything
        raise ModelError(
            f"{path} cannot be loaded by skops {packages.version('skops')}: {type(error).__name__}: {error}",
            hint="List the scikit-learn and skops that saved it in the model's environment.",
        ) from error
    return sklearn.adopt(loaded, path=path, name=name, sample_input=sample_input)
