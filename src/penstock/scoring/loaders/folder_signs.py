"""Which model a folder is, or holds. Runs in workers: Python 3.8, standard library only."""

from __future__ import annotations

import os

from penstock.errors import ModelError
from penstock.scoring.loaders import file_signs

# Deep enough for ``azureml-models/name/version/model`` and MLflow's ``artifacts/model``.
_DEEPEST = 3
_NEVER_A_MODEL = (
    ".md",
    ".txt",
    ".py",
    ".yml",
    ".yaml",
    ".csv",
    ".parquet",
    ".ipynb",
    ".lock",
    ".toml",
    ".npy",
    ".log",
)


def model_in(folder: str) -> str:
    """`folder` if it is an MLflow model, else the path of the one model file or MLflow model in or below it.

    Raises ModelError: none, several, or a folder that some other framework wrote.
    """
    if os.path.isfile(os.path.join(folder, "MLmodel")):
        return folder
    _refuse_foreign(folder)
    found = _candidates(folder, 0)
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(os.path.relpath(path, folder) for path in found[:6])
        raise ModelError(f"{folder} holds {len(found)} models: {shown}", hint="Give the path of one of them.")
    raise _none(folder)


def _candidates(folder: str, depth: int) -> list[str]:
    found: list[str] = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith(".") or name == "__pycache__":
            continue
        if os.path.isdir(path):
            if os.path.isfile(os.path.join(path, "MLmodel")):
                found.append(path)
            elif depth < _DEEPEST:
                found.extend(_candidates(path, depth + 1))
        elif not name.lower().endswith(_NEVER_A_MODEL) and _is_model(path):
            found.append(path)
    return found


def _is_model(path: str) -> bool:
    try:
        file_signs.file_format(path)
    except ModelError:
        return False
    return True


def _refuse_foreign(folder: str) -> None:
    names = set(os.listdir(folder))
    if "saved_model.pb" in names:
        raise ModelError(
            f"{folder} looks like a TensorFlow SavedModel",
            hint="Export it to ONNX (python -m tf2onnx.convert), or load it in a scoring script.",
        )
    if "config.json" in names and names & {
        "model.safetensors",
        "pytorch_model.bin",
        "model.safetensors.index.json",
    }:
        raise ModelError(
            f"{folder} looks like a Hugging Face model",
            hint="Export it to ONNX (optimum-cli export onnx), or load it in a scoring script.",
        )
    if os.path.isdir(os.path.join(folder, "metadata")) and os.path.exists(
        os.path.join(folder, "metadata", "part-00000")
    ):
        raise ModelError(
            f"{folder} looks like a Spark ML model", hint="Log it with mlflow and serve that folder."
        )


def _none(folder: str) -> ModelError:
    files = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    if not files:
        return ModelError(f"the model folder {folder} is empty")
    for name in files:
        path = os.path.join(folder, name)
        if len(files) == 1 and os.path.isfile(path):
            try:
                file_signs.file_format(path)
            except ModelError as error:
                return error
    shown = ", ".join(files[:8]) + (" and more" if len(files) > 8 else "")
    return ModelError(
        f"{folder} holds no model file: there is {shown}", hint=f"Known are {file_signs.FORMATS}."
    )
