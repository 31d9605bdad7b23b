"""The schema pages of models: valid in their dialects, and true of what ModelScorer takes and gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from penstock.scoring.interface import Field, Request, Signature
from penstock.scoring.models import openapi
from penstock.scoring.models.scorer import ModelScorer


class Ones:
    """A model that answers 1 for each row."""

    name = "ones"
    format = "sklearn"
    methods = ("predict", "predict_proba")
    fork_safe = True
    row_independent = True

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def call(self, method: str, data: Any, params: Mapping[str, Any]) -> Any:
        count = len(next(iter(data.values()))) if isinstance(data, dict) else len(data)
        return np.ones(count)


OUTPUTS = (Field("predict", "float64"), Field("predict_proba", "float64", (-1, 2)))
TABLE = Signature(
    "table",
    (
        Field("age", "float64"),
        Field("children", "int32"),
        Field("city", "str", categories=("Oslo", "Bern")),
        Field("member", "bool"),
        Field("since", "datetime64"),
        Field("photo", "bytes"),
        Field("plan", "category", categories=("basic", "gold")),
        Field("note", "object", required=False),
    ),
    OUTPUTS,
    "mlflow signature",
)
MODELS = {
    "table": Ones(TABLE),
    "array": Ones(Signature("array", (Field("input", "float64", (-1, 3)),), OUTPUTS)),
    "image": Ones(Signature("array", (Field("input", "float32", (-1, 2, 2)),))),
    "texts": Ones(Signature("array", (Field("text", "str", (-1,)),), OUTPUTS)),
    "tensors": Ones(Signature("tensors", (Field("ids", "int64", (-1, 4)), Field("mask", "bool", (-1,))))),
    "unknown": Ones(Signature()),
    "sampled": Ones(
        Signature("table", (Field("a", "float64"), Field("b", "str")), sample=[{"a": 1.5, "b": "x"}])
    ),
}
SERVICE = openapi.Service(name="demo", version="3", prefix="/v1/demo/")


@pytest.mark.parametrize("version", openapi.VERSIONS)
@pytest.mark.parametrize("name", MODELS)
def test_pages_are_valid_and_named_as_azures(name: str, version: str) -> None:
    page = openapi.documents(MODELS[name], SERVICE)[version]
    validate(json.loads(json.dumps(page)))
    paths = page["paths"]
    assert paths["/v1/demo/"]["get"]["operationId"] == "ServiceHealthCheck"
    assert paths["/v1/demo/score"]["post"]["operationId"] == "RunMLService"
    assert paths["/v1/demo/swagger.json"]["get"]["operationId"] == "GetSwaggerSpec"
    assert paths["/v1/demo/score"]["post"]["security"] == [{"Bearer": []}]
    schemas = page["definitions"] if version == "2" else page["components"]["schemas"]
    assert {"ServiceInput", "ServiceOutput", "ErrorResponse"} <= set(schemas)
    assert (page.get("swagger") or page["openapi"]).startswith(version)


def check(page: dict[str, Any], schema: str, value: Any) -> None:
    registry: Any = Registry().with_resource("urn:page", Resource(page, DRAFT202012))
    Draft202012Validator({"$ref": f"urn:page#/components/schemas/{schema}"}, registry=registry).validate(
        value
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_examples_fit_the_schema_and_are_scored(name: str) -> None:
    scorer = ModelScorer(MODELS[name])
    page = scorer.describe().documents["3.1"]
    media = page["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    if name == "unknown":
        assert "examples" not in media
        return
    payloads = [example["value"] for example in media["examples"].values()]
    payloads.append(page["components"]["schemas"]["ServiceInput"]["example"])
    for payload in payloads:
        check(page, "ServiceInput", payload)
        reply = scorer.score([Request(json.dumps(payload).encode())])[0]
        assert (reply.status, json.loads(reply.body)) == (200, [1]), payload
        check(page, "ServiceOutput", json.loads(reply.body))
    refused = scorer.score([Request(b"{}")])[0]
    check(page, "ErrorResponse", json.loads(refused.body))


def test_a_record_has_the_columns_types() -> None:
    record = openapi.documents(MODELS["table"], SERVICE)["3.1"]["components"]["schemas"]["Record"]
    assert record["required"] == ["age", "children", "city", "member", "since", "photo", "plan"]
    assert record["additionalProperties"] is False
    assert record["properties"]["age"] == {"type": ["number", "null"], "format": "double"}
    assert record["properties"]["children"] == {"type": "integer", "format": "int32"}
    assert record["properties"]["city"]["description"] == "The model was trained on: Oslo, Bern."
    assert record["properties"]["since"]["format"] == "date-time"
    assert record["properties"]["plan"] == {"enum": ["basic", "gold", None]}
    page_3 = openapi.documents(MODELS["table"], SERVICE)["3"]["components"]["schemas"]
    assert page_3["Record"]["properties"]["age"] == {"type": "number", "format": "double", "nullable": True}
    rows = openapi.documents(MODELS["array"], SERVICE)["2"]["definitions"]["ServiceInput"]["properties"][
        "data"
    ]
    assert (rows["items"]["minItems"], rows["items"]["maxItems"]) == (3, 3)
