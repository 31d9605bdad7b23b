"""What the loader tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from penstock.bundle.manifest import ModelSource
from penstock.scoring.loaders import loading
from penstock.scoring.loaders.loaded import LoadedModel


def load(path: Path, **arguments: Any) -> LoadedModel:
    """The model at `path`, its format found out."""
    return loading.load_model(ModelSource(str(path), "sample"), **arguments)


def assert_equal(ours: Any, theirs: Any) -> None:
    """The golden rule: our answers are the library's own, bit for bit and of the same dtype."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
