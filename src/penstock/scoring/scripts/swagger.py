"""The schema pages of a scoring script: Swagger 2, OpenAPI 3.0 and 3.1.

A file of the user's own in the code directory wins. Otherwise the page says what the inference-schema
decorators of ``run`` say, or, without them, that a JSON object goes in and comes out. Operation and schema
names are those that clients generated from Azure ML's pages rely on. Runs in workers: Python 3.8.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Mapping

from penstock.scoring.scripts import loading
from penstock.scoring.scripts.loading import Script
from penstock.scoring.scripts.settings import ScriptSettings

_VERSIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("2", "2.0", ("swagger.json", "swagger2.json")),
    ("3", "3.0", ("swagger3.json",)),
    ("3.1", "3.1", ("swagger3.1.json",)),
)
"""Version as asked for, as inference-schema names it, and the user's files that win, first found first."""

_UNKNOWN: Mapping[str, Any] = {"type": "object", "example": {}}


def documents(
    script: Script, settings: ScriptSettings, code_directory: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """``(pages by version, notes)``; a version that the script's types cannot be written in is missing."""
    pages: dict[str, Any] = {}
    notes: list[str] = []
    received, returned, supported = _schemas(script.run)
    for version, alias, files in _VERSIONS:
        page = _users_page(code_directory, files, notes)
        if page is None and (supported is None or alias in supported):
            build = _swagger_2 if version == "2" else _openapi_3
            page = build(version, settings, received, returned)
        if page is not None:
            pages[version] = page
    return pages, tuple(notes)


def _schemas(run: Callable[..., Any]) -> tuple[Any, Any, list[str] | None]:
    if not loading.is_schema_decorated(run):
        return _UNKNOWN, _UNKNOWN, None
    schema_util = loading.schema_registry()
    # inference-schema before 1.2 knows Swagger 2 only, and no question about it.
    supported = getattr(schema_util, "get_supported_versions", lambda _: ["2.0"])
    return schema_util.get_input_schema(run), schema_util.get_output_schema(run), list(supported(run))


def _users_page(code_directory: str, files: tuple[str, ...], notes: list[str]) -> Any | None:
    for name in files:
        path = os.path.join(code_directory, name)
        try:
            with open(path, encoding="utf-8") as file:
                page = json.load(file)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            notes.append(f"{path} is ignored: {error}")
            continue
        if page:
            return page
    return None


def _prefix(settings: ScriptSettings) -> str:
    prefix = settings.service_path_prefix.strip("/")
    return "/" + prefix if prefix else ""


def _info(settings: ScriptSettings) -> dict[str, str]:
    return {
        "title": settings.service_name,
        "version": settings.service_version,
        "description": f"How to call {settings.service_name}.",
    }


_HEALTH = {"operationId": "ServiceHealthCheck", "description": "Says whether the service is up."}
_SCORE = {"operationId": "RunMLService", "description": "Scores the payload with the service's model."}
_PAGES = {"operationId": "GetSwaggerSpec", "description": "This document, in the version asked for."}
_SECURITY: list[dict[str, list[str]]] = [{"Bearer": []}]
_BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "The word Bearer, a space, and the service's key.",
}
_ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
_UP, _DONE, _WENT_WRONG = "The service is up.", "What the model answered.", "The request could not be served."


def _swagger_2(version: str, settings: ScriptSettings, received: Any, returned: Any) -> dict[str, Any]:
    prefix = _prefix(settings)
    wrong = {"description": _WENT_WRONG, "schema": {"$ref": "#/definitions/ErrorResponse"}}

    def answers(description: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"200": {"description": description, "schema": schema}, "default": wrong}

    payload = {
        "name": "serviceInputPayload",
        "in": "body",
        "description": "What to score.",
        "schema": {"$ref": "#/definitions/ServiceInput"},
    }
    choice = {
        "name": "version",
        "in": "query",
        "required": False,
        "type": "string",
        "enum": ["2", "3", "3.1"],
    }
    return {
        "swagger": "2.0",
        "info": _info(settings),
        "schemes": ["https", "http"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": _BEARER},
        "paths": {
            prefix + "/": {
                "get": dict(_HEALTH, produces=["text/plain"], responses=answers(_UP, {"type": "string"}))
            },
            prefix + "/score": {
                "post": dict(
                    _SCORE,
                    security=_SECURITY,
                    parameters=[payload],
                    responses=answers(_DONE, {"$ref": "#/definitions/ServiceOutput"}),
                )
            },
            prefix + "/swagger.json": {
                "get": dict(
                    _PAGES, parameters=[choice], responses=answers("The document.", {"type": "object"})
                )
            },
        },
        "definitions": {"ServiceInput": received, "ServiceOutput": returned, "ErrorResponse": _ERROR},
    }


def _openapi_3(version: str, settings: ScriptSettings, received: Any, returned: Any) -> dict[str, Any]:
    prefix = _prefix(settings)

    def content(media: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {media: {"schema": schema}}

    wrong = {
        "description": _WENT_WRONG,
        "content": content("application/json", {"$ref": "#/components/schemas/ErrorResponse"}),
    }

    def answers(description: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"200": {"description": description, "content": content(media, schema)}, "default": wrong}

    body = {
        "description": "What to score.",
        "content": content("application/json", {"$ref": "#/components/schemas/ServiceInput"}),
    }
    choice = {
        "name": "version",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "enum": ["2", "3", "3.1"]},
    }
    up = answers(_UP, "text/plain", {"type": "string", "example": "Healthy"})
    done = answers(_DONE, "application/json", {"$ref": "#/components/schemas/ServiceOutput"})
    page = answers("The document.", "application/json", {"type": "object"})
    return {
        "openapi": "3.1.0" if version == "3.1" else "3.0.3",
        "info": _info(settings),
        "security": _SECURITY,
        "paths": {
            prefix + "/": {"get": dict(_HEALTH, responses=up)},
            prefix + "/score": {"post": dict(_SCORE, security=_SECURITY, requestBody=body, responses=done)},
            prefix + "/swagger.json": {"get": dict(_PAGES, parameters=[choice], responses=page)},
        },
        "components": {
            "schemas": {"ServiceInput": received, "ServiceOutput": returned, "ErrorResponse": _ERROR},
            "securitySchemes": {"Bearer": _BEARER},
        },
    }
