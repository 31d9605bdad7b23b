"""From an HTTP request to the arguments of ``run``: the input modes of a scoring script.

Statuses and messages are those of Azure ML's inference server, which callers may have learned to read.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import codecs
import inspect
import json
import urllib.parse
from typing import Any, Callable, Dict, Sequence

from penstock.scoring.interface import Request
from penstock.scoring.scripts.loading import OBJECT, Script

Reader = Callable[[Request], Dict[str, Any]]
"""Keyword arguments for ``run``, without ``request_headers``; raises `Refusal`."""


class Refusal(Exception):
    """A request that never reaches ``run``; `status` and `message` go to the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def reader(script: Script) -> Reader:
    """The reader for a script whose mode is `TEXT` or `OBJECT`."""
    if script.mode == OBJECT:
        return _object_reader(script.parameters)
    return _text_reader(script.parameters[0].name)


def _text_reader(parameter: str) -> Reader:
    def read(request: Request) -> dict[str, Any]:
        if request.method == "POST":
            try:
                return {parameter: request.body.decode()}
            except UnicodeDecodeError as error:
                raise Refusal(400, f"Input cannot be decoded as UTF-8: {error}") from None
        _require_get(request)
        return {parameter: json.dumps(query_values(request.query))}

    return read


def _object_reader(parameters: Sequence[inspect.Parameter]) -> Reader:
    wanted = tuple((parameter.name, parameter.default) for parameter in parameters)

    def read(request: Request) -> dict[str, Any]:
        if request.method == "POST":
            return _pick(wanted, _json_object(request))
        _require_get(request)
        return _pick(wanted, query_values(request.query))

    return read


def _require_get(request: Request) -> None:
    if request.method != "GET":
        raise Refusal(405, "Method not allowed")


def _json_object(request: Request) -> dict[str, Any]:
    # No headers at all: the gateway forwards none of a plain JSON POST.
    if request.headers and not is_json(request.header("content-type")):
        raise Refusal(415, "Expects Content-Type to be application/json")
    if not request.body:
        raise Refusal(400, "POST body is empty. Expecting a JSON dictionary.")
    try:
        content = json.loads(request.body)
    except ValueError as error:
        raise Refusal(400, f"POST body could not be decoded as JSON: {error}") from None
    except RecursionError:
        raise Refusal(400, "POST body could not be decoded as JSON: it is nested too deeply") from None
    if not isinstance(content, dict):
        raise Refusal(400, "POST body should be a JSON dictionary.")
    return content


def _pick(wanted: Sequence[tuple[str, Any]], content: dict[str, Any]) -> dict[str, Any]:
    arguments = {}
    for name, default in wanted:
        value = content.get(name, default)
        if value is inspect.Parameter.empty:
            raise Refusal(400, f"A value is not provided for the {name!r} parameter.")
        arguments[name] = value
    return arguments


def is_json(content_type: str) -> bool:
    """Whether a ``Content-Type`` says JSON: ``application/json`` or ``application/...+json``."""
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def query_values(query: str) -> dict[str, Any]:
    """``a=1&b=[1,2]&c=x&c=y`` -> ``{"a": 1, "b": [1, 2], "c": ["x", "y"]}``: JSON where it parses."""
    values: dict[str, Any] = {}
    for name, texts in query_texts(query).items():
        values[name] = _value(texts[0]) if len(texts) == 1 else [_value(text) for text in texts]
    return values


def query_texts(query: str) -> dict[str, Any]:
    """Each name of a query string with its values in order; bytes that are not UTF-8 stay percent-encoded."""
    texts: dict[str, Any] = {}
    for name, text in urllib.parse.parse_qsl(query, keep_blank_values=True, errors="penstock.percent"):
        texts.setdefault(name, []).append(text)
    return texts


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _keep_percent(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return urllib.parse.quote_from_bytes(error.object[error.start : error.end], safe=""), error.end


codecs.register_error("penstock.percent", _keep_percent)


def request_headers(request: Request) -> dict[str, str]:
    """The dict that a ``request_headers`` parameter receives: names as ``X-Ms-Request-Id``, repeats joined
    by a comma."""
    merged: dict[str, str] = {}
    for name, value in request.headers:
        title = name.title()
        merged[title] = f"{merged[title]},{value}" if title in merged else value
    return merged
