"""A file that describes a batch job, whichever it is: Azure ML's batch deployment, or its parallel step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from penstock.spec import batch_deployments, deployments, documents, kinds, parallel_steps
from penstock.spec.batch_drafts import BatchDraft
from penstock.spec.documents import Document
from penstock.spec.drafts import Draft


def read(
    file: str,
    *,
    inputs: Mapping[str, str],
    output: str = "",
    step: str = "",
    model_given: bool = False,
    environment_given: bool = False,
) -> BatchDraft:
    """What `file` says. `inputs` are bound to its ``${{inputs.name}}``, `output` to its outputs;
    `step` names a parallel step of a pipeline.

    Raises SpecError."""
    document = documents.read_yaml(file)
    kind = kinds.scorable_kind(document)
    if kind == kinds.BATCH:
        return batch_deployments.read(file, model_given=model_given, environment_given=environment_given)
    if kind in (kinds.MANAGED, kinds.KUBERNETES):
        return _of_online(
            document, deployments.read(file, model_given=model_given, environment_given=environment_given)
        )
    return parallel_steps.read(
        file, inputs=inputs, output_folder=output, step=step, environment_given=environment_given
    )


def _of_online(document: Document, draft: Draft) -> BatchDraft:
    """An online deployment whose model we load can score files as well; a script that answers requests cannot."""
    if draft.code is not None:
        raise document.error(
            "this script answers requests, and batch scoring calls run() with a list of files or a table",
            "code_configuration",
            hint="give a batch script with --script, or the model alone: penstock score MODEL",
        )
    return BatchDraft(draft=dataclasses.replace(draft, settings={}, serving={}), ignores_names=True)
