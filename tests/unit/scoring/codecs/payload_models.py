"""Models that only declare what they take, for tests of what happens before a model is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.scoring.interface import Field, Signature


class Declared:
    """A model that answers its input's row count of zeros."""

    name = "declared"
    format = "python"
    methods = ("predict", "predict_proba")
    fork_safe = True
    row_independent = True

    def __init__(self, layout: str = "unknown", *inputs: Field) -> None:
        self.signature = Signature(layout, inputs)

    def call(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        import numpy as np

        return np.zeros(len(data))


PEOPLE = Declared(
    "table",
    Field("age", "float64"),
    Field("children", "int64"),
    Field("city", "str"),
    Field("member", "bool"),
    Field("since", "datetime64"),
    Field("plan", "category", categories=("basic", "gold")),
    Field("note", "object", required=False),
)
PERSON = {"age": 39, "children": 2, "city": "Oslo", "member": True, "since": "2020-01-31", "plan": "gold"}

NUMBERS = Declared("array", Field("input", "float64", (-1, 3)))
NAMED_NUMBERS = Declared("table", Field("a", "float64"), Field("b", "float64"), Field("c", "float64"))
IMAGES = Declared("array", Field("input", "float32", (-1, 2, 2)))
TEXTS = Declared("array", Field("text", "str", (-1,)))
TENSORS = Declared("tensors", Field("ids", "int64", (-1, 2)), Field("mask", "float32", (-1,)))
UNKNOWN = Declared()
