"""What the tests of batch models share: opening a scorer on a model file or object, and models that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from penstock.bundle.batch import BatchSettings, Output
from penstock.bundle.manifest import Manifest, ModelSource
from penstock.scoring import opening
from penstock.scoring.interface import Signature
from penstock.scoring.loaders import loading
from penstock.scoring.loaders.loaded import LoadedModel
from penstock.scoring.models.batch import ModelBatchScorer

FOLDER = Output("/nowhere")


def opened(
    path: Path, schema: pa.Schema, *, output: Output = FOLDER, sample_input: str = "", **settings: Any
) -> ModelBatchScorer:
    """The scorer of the model at `path`."""
    manifest = Manifest("sample", model=ModelSource(str(path), "sample"), sample_input=sample_input)
    found = opening.open_batch_scorer(manifest, BatchSettings(**settings), output, schema)
    assert isinstance(found, ModelBatchScorer)
    return found


def loaded(path: Path) -> LoadedModel:
    """The model at `path`."""
    return loading.load_model(ModelSource(str(path), "sample"))


def scripted(
    answer: Callable[[Any], Any], signature: Signature, *, methods: tuple[str, ...] = ("predict",)
) -> LoadedModel:
    """A model that answers what `answer` makes of its data."""
    return LoadedModel(
        name="scripted",
        format="python",
        signature=signature,
        methods=methods,
        fork_safe=True,
        row_independent=True,
        score=lambda method, data, params: answer(data),
    )


def scorer(
    model: LoadedModel, schema: pa.Schema, output: Output = FOLDER, **settings: Any
) -> ModelBatchScorer:
    """The scorer of `model`."""
    return ModelBatchScorer(model, BatchSettings(**settings), output, schema)
