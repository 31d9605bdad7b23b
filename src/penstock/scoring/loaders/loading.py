"""From a `ModelSource` to a loaded model: look at what it is, then hand it to that format's module.

Runs in workers: Python 3.8, standard library only; each format's module imports its own library.
"""

from __future__ import annotations

import os
from dataclasses import replace

from penstock import errors
from penstock.bundle.manifest import ModelSource
from penstock.scoring.loaders import (
    catboost,
    detection,
    lightgbm,
    mlflow,
    onnx,
    sklearn,
    skops,
    threads,
    torch,
    xgboost,
)
from penstock.scoring.loaders.loaded import LoadedModel

_LOADERS = {
    "sklearn": sklearn.load,
    "python": sklearn.load,
    "xgboost": xgboost.load,
    "lightgbm": lightgbm.load,
    "catboost": catboost.load,
    "onnx": onnx.load,
    "torch": torch.load,
    "skops": skops.load,
    "mlflow": mlflow.load,
}


def load_model(source: ModelSource, *, sample_input: str = "") -> LoadedModel:
    """Load the model at `source`.

    `sample_input` is the path of an example payload, from which the signature of a model that says nothing
    of its inputs is learned. Raises ModelError: missing, of no known format, library missing, not loadable.
    """
    path = detection.locate(source.path)
    form = source.format or detection.detect(path)
    try:
        load = _LOADERS[form]
    except KeyError:
        known = ", ".join(sorted(_LOADERS))
        raise errors.ModelError(f"no loader is called {form!r}", hint=f"The formats are {known}.") from None
    threads.limit()
    model = load(path, name=source.name or os.path.basename(path), sample_input=sample_input)
    return replace(model, version=source.version)
