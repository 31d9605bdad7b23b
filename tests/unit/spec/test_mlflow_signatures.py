"""What an MLmodel file says of columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.spec import mlflow_signatures


def written(folder: Path, signature: str) -> str:
    (folder / "MLmodel").write_text(f"flavors: {{}}\n{signature}")
    return str(folder)


def test_columns(tmp_path: Path) -> None:
    inputs = [
        {"type": kind, "name": kind, "required": True}
        for kind in ("string", "double", "float", "long", "integer", "boolean", "datetime", "binary")
    ]
    inputs += [{"type": "double"}, {"type": "array", "items": {"type": "long"}, "name": "list"}]
    folder = written(tmp_path, f"signature:\n  inputs: '{json.dumps(inputs)}'\n  outputs: null\n")
    assert mlflow_signatures.column_types(folder) == {
        "string": "string", "double": "double", "float": "double", "long": "int64", "integer": "int64",
    }  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "",
        "signature: null\n",
        "signature: {inputs: null}\n",
        "signature: {inputs: 'no json'}\n",
        "signature: {inputs: '{\"a\": 1}'}\n",
        "signature: [1]\n",
        'signature: {inputs: \'[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]\'}\n',
        'signature: {inputs: \'[{"type": [1], "name": "a"}]\'}\n',
        "nonsense: [\n",
    ],
)
def test_what_cannot_be_understood_says_nothing(tmp_path: Path, said: str) -> None:
    assert mlflow_signatures.column_types(written(tmp_path, said)) == {}


def test_no_file(tmp_path: Path) -> None:
    assert mlflow_signatures.column_types(str(tmp_path)) == {}
