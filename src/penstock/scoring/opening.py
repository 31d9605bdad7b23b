"""The one door: what a manifest names becomes a Scorer. Runs in workers: Python 3.8."""

from __future__ import annotations

import os
from typing import Any

from penstock import errors
from penstock.bundle.batch import BatchSettings, Output
from penstock.bundle.manifest import Manifest
from penstock.scoring.interface import BatchScorer, Scorer


def open_scorer(manifest: Manifest) -> Scorer:
    """Load what `manifest` names: its scoring script where it has one, else its model.

    Raises ModelError or ScriptError, which say what failed and what to try.
    """
    # Inside, so that a script's deployment never loads what only models need, nor the reverse.
    if manifest.code is not None:
        from penstock.scoring.scripts import scorer as script

        return script.open_script(manifest)
    if manifest.model is None:
        raise errors.ModelError(
            f"deployment {manifest.name!r} names neither a model nor a scoring script",
            hint="Give a model file or folder, or a code directory with a scoring script.",
        )
    from penstock.scoring.loaders import loading
    from penstock.scoring.models import openapi
    from penstock.scoring.models import scorer as model

    loaded = loading.load_model(manifest.model, sample_input=manifest.sample_input)
    service = openapi.Service(
        name=os.environ.get("SERVICE_NAME", manifest.name),
        version=os.environ.get("SERVICE_VERSION", manifest.model.version),
        prefix=os.environ.get("SERVICE_PATH_PREFIX", ""),
    )
    return model.ModelScorer(loaded, service)


def open_batch_scorer(
    manifest: Manifest, settings: BatchSettings, output: Output, schema: Any
) -> BatchScorer:
    """Load what `manifest` names for a batch job: its scoring script where it has one, else its model.

    `schema` is the input's ``pyarrow.Schema``, or None where files are handed over. Raises ModelError or
    ScriptError, which say what failed and what to try, and SchemaMismatch: columns that are missing, of other
    types, or that the model does not give.
    """
    if manifest.code is not None:
        from penstock.scoring.scripts import batch as script

        return script.open_batch_script(manifest, settings, schema)
    if manifest.model is None:
        raise errors.ModelError(
            f"deployment {manifest.name!r} names neither a model nor a scoring script",
            hint="Give a model file or folder, or a code directory with a scoring script.",
        )
    from penstock.scoring.loaders import loading

    loaded = loading.load_model(manifest.model, sample_input=manifest.sample_input)
    if settings.takes == "files":
        from penstock.scoring.models import batch_files

        return batch_files.FilesBatchScorer(loaded, settings, output)
    from penstock.scoring.models import batch as model

    return model.ModelBatchScorer(loaded, settings, output, schema)
