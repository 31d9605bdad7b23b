"""``model:`` of a deployment file: from a reference or an inline model to a `ModelSource`."""

from __future__ import annotations

import re

from penstock.bundle.manifest import ModelSource
from penstock.spec import paths, placeholders
from penstock.spec.deployment_schema import InlineModel
from penstock.spec.documents import Document

_REMOTE = re.compile(r"(azureml:|runs:/|models:/|[A-Za-z][A-Za-z0-9+.-]+://)")


def read(document: Document, spec: str | InlineModel) -> ModelSource:
    """The model that `spec` says. Raises SpecError: a registered or remote model, no such file, Triton."""
    if isinstance(spec, str):
        raise _reference_error(document, spec)
    if spec.type == "triton_model":
        raise document.error(
            "triton_model is not served yet",
            "model",
            "type",
            hint="an ONNX, TorchScript or MLflow model inside the repository can be served by itself",
        )
    if spec.path is None:
        raise document.error("is missing: there is no registry here to look a name up", "model", "path")
    if _REMOTE.match(spec.path):
        raise document.error(
            f"{spec.path} cannot be fetched from here",
            "model",
            "path",
            hint="download it and write its path, or give it with --model",
        )
    path = paths.absolute(spec.path.removeprefix("file:"), document.folder)
    if not paths.exists(path):
        hint = placeholders.hint_for(spec.path) or paths.neighbour(path)
        raise document.error(f"no file or folder {path}", "model", "path", hint=hint)
    if spec.type == "mlflow_model" and not paths.is_file(path / "MLmodel"):
        raise document.error(
            f"{path} is no MLflow model: there is no file MLmodel in it",
            "model",
            "path",
            hint="write the folder that holds MLmodel, or type: custom_model",
        )
    return ModelSource(
        path=str(path),
        name=spec.name or (path.name if paths.is_folder(path) else path.stem),
        version=spec.version or "1",
        format="mlflow" if spec.type == "mlflow_model" else "",
    )


def _reference_error(document: Document, reference: str) -> Exception:
    if _REMOTE.match(reference):
        return document.error(
            f"{reference} is a registered model, and there is no registry here to ask",
            "model",
            hint="download it (az ml model download) and write model: {path: ...}, or give it with --model",
        )
    return document.error(
        f"must be a mapping with path, or azureml:NAME:VERSION, found {reference!r}",
        "model",
        hint=f"for a file on this machine write model: {{path: {reference}}}",
    )
