"""What an MLflow model says of its columns, before anybody loads it. Source of the format: mlflow.types.schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.errors import SpecError
from penstock.spec import documents

_TYPES = {"string": "string", "double": "double", "float": "double", "long": "int64", "integer": "int64"}
"""Of those that a text may be read as: Arrow's name of the type that holds all of its values."""


def column_types(folder: str) -> Mapping[str, str]:
    """Arrow's type by column, for the named columns of the model's inputs whose type says how a text is read. A
    signature that cannot be understood says nothing here: whoever loads the model will tell."""
    try:
        described = documents.read_yaml(str(Path(folder, "MLmodel"))).data
        said: Any = described.get("signature") or {}
        inputs = json.loads(said.get("inputs") or "[]")
        return {
            str(column["name"]): _TYPES[column["type"]]
            for column in inputs
            if column.get("name") and column.get("type") in _TYPES
        }
    except (SpecError, ValueError, TypeError, AttributeError, KeyError):
        return {}
