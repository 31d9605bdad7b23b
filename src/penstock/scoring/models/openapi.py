"""The schema pages of a model served without a script: Swagger 2, OpenAPI 3.0 and 3.1.

Operations and schemas are named as on Azure ML's pages (``ServiceHealthCheck``, ``RunMLService``,
``GetSwaggerSpec``; ``ServiceInput``, ``ServiceOutput``, ``ErrorResponse``), for clients generated from those.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.scoring.codecs import accept
from penstock.scoring.interface import Model, Signature
from penstock.scoring.models import json_schema
from penstock.scoring.models.json_schema import Schema

VERSIONS = ("2", "3", "3.1")

_DESCRIPTION = """Scores rows with the model.

Send exactly one of the keys of ServiceInput, a bare JSON list of rows, CSV (`text/csv`, with or without a
header row) or an Arrow IPC stream (`application/vnd.apache.arrow.stream`). The answer has one element a row:
JSON, or by `Accept` Arrow or CSV. In answers, `null` stands for NaN, infinities and missing values; dates are
ISO 8601, bytes base64.

In rows, `null` is a missing value; whole columns of integers, booleans or bytes have no missing values. A
number is never sent as a string or as true or false. Rows in error messages are counted from 0. What the model
itself refuses (a NaN, a category it does not know) is a 400 with the model's own words."""

_RESPONSES: tuple[tuple[str, str], ...] = (
    ("400", "The payload is malformed, does not fit the schema, or was refused by the model."),
    ("406", "Nothing in Accept is written here."),
    ("415", "The content type is not read here."),
    ("500", "The model failed."),
)


@dataclass(frozen=True)
class Service:
    """What the pages say of the service itself. `prefix` stands before every path."""

    name: str = "ML service"
    version: str = "1.0"
    prefix: str = ""


def documents(model: Model, service: Service) -> dict[str, Any]:
    """The pages by version: ``{"2": ..., "3": ..., "3.1": ...}``, JSON-able."""
    return {version: _page(model, service, version) for version in VERSIONS}


def _page(model: Model, service: Service, version: str) -> dict[str, Any]:
    write = _Swagger2() if version == "2" else _OpenApi3()
    prefix = "/" + service.prefix.strip("/") if service.prefix.strip("/") else ""
    method = write.parameter(
        "method", {"type": "string", "enum": list(model.methods), "default": model.methods[0]},
        "Which method of the model answers.",
    )  # fmt: skip
    choice = write.parameter(
        "version", {"type": "string", "enum": list(VERSIONS)}, "Version of the document."
    )
    service_output = write.ref("ServiceOutput")
    wrapped = {"type": "object", "properties": {"predictions": service_output}, "required": ["predictions"]}
    paths = {
        "/": {
            "get": {
                "operationId": "ServiceHealthCheck",
                "description": "Says whether the service is up.",
                "responses": {"200": write.response("The service is up.", {"type": "string"}, "text/plain")},
            }
        },
        "/score": {"post": _scoring("RunMLService", _DESCRIPTION, service_output, method, model, write)},
        "/invocations": {
            "post": _scoring(
                "RunMLflowService",
                "The same for MLflow's clients: answers are wrapped.",
                wrapped,
                method,
                model,
                write,
            )
        },
        "/swagger.json": {
            "get": {
                "operationId": "GetSwaggerSpec",
                "description": "This document, in the version asked for.",
                "parameters": [choice],
                "responses": {"200": write.response("The document.", {"type": "object"})},
            }
        },
    }
    info = {"title": service.name, "version": service.version, "description": _about(model)}
    schemas = _schemas(model, version, write)
    return write.document(version, info, {prefix + path: item for path, item in paths.items()}, schemas)


def _about(model: Model) -> str:
    source = model.signature.source
    known = f"Its inputs are known from: {source}." if source else "It says nothing of its inputs."
    return f"A model of format {model.format}. {known}"


def _scoring(
    operation: str, description: str, answer: Schema, method: Schema, model: Model, write: Any
) -> dict[str, Any]:
    responses = {"200": write.response("One element a row.", answer, *accept.WRITTEN)}
    for status, text in _RESPONSES:
        responses[status] = write.response(text, write.ref("ErrorResponse"))
    operation_object = {
        "operationId": operation,
        "description": description,
        "security": [{"Bearer": []}],
        "parameters": [method],
        "responses": responses,
    }
    write.add_body(operation_object, _examples(model.signature))
    return operation_object


def _examples(signature: Signature) -> dict[str, Any]:
    rows = json_schema.example(signature)
    if rows is None:
        return {}
    if signature.layout == "tensors":
        return {"inputs": {"inputs": rows}}
    examples = {"data": {"data": rows}}
    split = json_schema.example_split(signature)
    if split is not None:
        examples["input_data"] = {"input_data": split}
        examples["dataframe_split"] = {"dataframe_split": split}
    else:
        examples["input_data"] = {"input_data": rows}
    return examples


def _schemas(model: Model, version: str, write: Any) -> dict[str, Schema]:
    signature = model.signature
    rows = json_schema.rows(signature, version)
    records = {"type": "array", "items": write.ref("Record")}
    columns = json_schema.columns(signature, version)
    primary = {"table": records, "tensors": columns}.get(signature.layout, rows)
    names = {"type": "array", "items": {"type": "string"}}
    split = {"type": "object", "properties": {"columns": names, "data": rows}, "required": ["data"]}
    keys: dict[str, Schema] = {
        "data": dict(primary, description="Rows. Also taken: lists, records, columns, columns/data."),
        "input_data": dict(
            split if signature.layout == "table" else primary,
            description="The same, as Azure ML's MLflow deployments name it.",
        ),
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": primary if signature.layout != "tensors" else records,
        "inputs": columns if signature.layout in ("table", "tensors") else rows,
        "params": {"type": "object", "description": "Handed to the model."},
        "method": {"type": "string", "enum": list(model.methods), "default": model.methods[0]},
    }
    service_input: Schema = {
        "type": "object",
        "description": "Exactly one of the keys that hold rows; params and method may stand beside it.",
        "properties": keys,
    }
    examples = _examples(signature)
    if examples:
        service_input["example"] = next(iter(examples.values()))
    return {
        "ServiceInput": service_input,
        "Record": json_schema.record(signature, version),
        "ServiceOutput": json_schema.output(signature, model.methods[0], version),
        "ErrorResponse": {
            "type": "object",
            "properties": {"message": {"type": "string"}},
            "required": ["message"],
        },
    }


_BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "The word Bearer, a space, and the service's key.",
}


class _Swagger2:
    """How Swagger 2 writes what both dialects say."""

    def ref(self, name: str) -> Schema:
        return {"$ref": "#/definitions/" + name}

    def parameter(self, name: str, schema: Schema, description: str) -> dict[str, Any]:
        return dict(schema, name=name, description=description, required=False, **{"in": "query"})

    def response(self, description: str, schema: Schema, *media: str) -> dict[str, Any]:
        return {"description": description, "schema": schema}

    def add_body(self, operation: dict[str, Any], examples: dict[str, Any]) -> None:
        payload = {
            "name": "serviceInputPayload",
            "in": "body",
            "required": True,
            "description": "What to score.",
            "schema": self.ref("ServiceInput"),
        }
        operation["parameters"] = [payload, *operation["parameters"]]

    def document(self, version: str, info: Any, paths: Any, schemas: Any) -> dict[str, Any]:
        return {
            "swagger": "2.0",
            "info": info,
            "schemes": ["https", "http"],
            "consumes": list(accept.WRITTEN),
            "produces": list(accept.WRITTEN),
            "securityDefinitions": {"Bearer": _BEARER},
            "paths": paths,
            "definitions": schemas,
        }


class _OpenApi3:
    """How OpenAPI 3.0 and 3.1 write it."""

    def ref(self, name: str) -> Schema:
        return {"$ref": "#/components/schemas/" + name}

    def parameter(self, name: str, schema: Schema, description: str) -> dict[str, Any]:
        return {
            "name": name, "in": "query", "required": False, "description": description, "schema": schema,
        }  # fmt: skip

    def response(self, description: str, schema: Schema, *media: str) -> dict[str, Any]:
        content = {
            name: {"schema": schema if name in (accept.JSON, "text/plain") else {"type": "string"}}
            for name in media or (accept.JSON,)
        }
        return {"description": description, "content": content}

    def add_body(self, operation: dict[str, Any], examples: dict[str, Any]) -> None:
        content: dict[str, Any] = {
            accept.JSON: {
                "schema": self.ref("ServiceInput"),
            },
            accept.CSV: {"schema": {"type": "string"}},
            accept.ARROW: {"schema": {"type": "string", "format": "binary"}},
        }
        if examples:
            content[accept.JSON]["examples"] = {name: {"value": value} for name, value in examples.items()}
        operation["requestBody"] = {"required": True, "description": "What to score.", "content": content}

    def document(self, version: str, info: Any, paths: Any, schemas: Any) -> dict[str, Any]:
        security: list[dict[str, list[str]]] = [{"Bearer": []}]
        return {
            "openapi": "3.1.0" if version == "3.1" else "3.0.3",
            "info": info,
            "security": security,
            "paths": paths,
            "components": {"schemas": schemas, "securitySchemes": {"Bearer": _BEARER}},
        }
