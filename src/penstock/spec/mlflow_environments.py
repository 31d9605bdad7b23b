"""The environment files that an MLflow model brings along: ``conda.yaml``, ``python_env.yaml``,
``requirements.txt``."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from penstock.bundle.requirements import Requirements
from penstock.spec import conda

_OWN_LOADER = re.compile(r"^  (sklearn|xgboost|lightgbm|onnx|pytorch):", re.MULTILINE)
"""Flavours that we load without MLflow."""

_MLFLOW = re.compile(r"\s*mlflow(-skinny)?(?![\w.-])", re.IGNORECASE)


def read(folder: str) -> Requirements:
    """What the MLflow model in `folder` asks for: its conda file, which MLflow calls the complete one, else
    ``python_env.yaml``, else ``requirements.txt``. Raises SpecError."""
    for name, reader in _READERS:
        path = Path(folder, name)
        if path.is_file():
            return reader(path)
    raise FileNotFoundError(folder)


_READERS = (
    ("conda.yaml", conda.read_conda_file),
    ("python_env.yaml", conda.read_python_env_file),
    ("requirements.txt", conda.read_requirements_file),
)


def without_mlflow(requirements: Requirements, folder: str) -> Requirements:
    """`requirements` less MLflow itself, where the model in `folder` has a flavour that is loaded without."""
    try:
        described = Path(folder, "MLmodel").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return requirements
    if not _OWN_LOADER.search(described):
        return requirements
    kept = tuple(line for line in requirements.packages if not _MLFLOW.match(line))
    return dataclasses.replace(requirements, packages=kept)
