"""The page at /docs: complete, self-contained, and safe whatever the document says."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.realtime.protocols import page_schema, pages

VOID = {"meta", "link", "input", "br"}
OPTIONAL_END = {"td", "th", "tr", "thead"}


class Outline(HTMLParser):
    """Elements, attributes and text of a page; fails on an end tag that closes nothing."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID | OPTIONAL_END:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in OPTIONAL_END:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


ROW = {
    "type": "object",
    "required": ["age"],
    "properties": {
        "age": {"type": "number"},
        "city": {"type": ["string", "null"], "enum": ["Oslo", "Bergen", None], "description": "Where."},
        "tags": {
            "type": "array",
            "items": {"type": "string", "description": "In order."},
            "minItems": 2,
            "maxItems": 2,
        },
    },
}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "people", "version": "7", "description": "Guesses."},
    "paths": {
        "/score": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/In"},
                            "example": {"data": [{"age": 1.5, "city": "it's"}]},
                        }
                    }
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"type": "array", "items": {"type": "integer"}}}
                        }
                    }
                },
            }
        },
        "/other": {"get": {"summary": "Something else."}},
    },
    "components": {
        "schemas": {
            "Row": ROW,
            "In": {
                "properties": {
                    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
                    "instances": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
                }
            },
        }
    },
}


def test_inputs_are_flattened() -> None:
    lines = page_schema.read(DOCUMENT).inputs
    assert [
        (line.depth, line.name, line.type, line.is_required, line.allowed, line.note) for line in lines
    ] == [
        (0, "data", "list of object", False, (), ""),
        (1, "age", "number", True, (), ""),
        (1, "city", "string or null", False, ("Oslo", "Bergen", None), "Where."),
        (1, "tags", "list (2) of string", False, (), "In order."),
        (0, "instances", "list of object", False, (), ""),
        (1, "", "", False, (), "the same as above"),
    ]


def test_what_comes_back_is_told_though_it_has_no_names() -> None:
    (line,) = page_schema.read(DOCUMENT).outputs
    assert line.type == "list of whole number"


def test_several_forms_are_headings() -> None:
    schema = {"oneOf": [{"title": "rows", "properties": {"data": {}}}, {"properties": {"inputs": {}}}]}
    media = DOCUMENT["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    document = json.loads(json.dumps(DOCUMENT).replace(json.dumps(media), json.dumps({"schema": schema})))
    lines = page_schema.read(document).inputs
    assert [(line.name, line.is_group) for line in lines] == [
        ("rows", True),
        ("data", False),
        ("Form 2", True),
        ("inputs", False),
    ]


def test_a_schema_that_contains_itself_ends() -> None:
    document = {
        **DOCUMENT,
        "components": {
            "schemas": {
                "In": {
                    "properties": {"next": {"$ref": "#/components/schemas/In"}, "$ref": {"type": "string"}}
                },
                "Loop": {"$ref": "#/components/schemas/Loop"},
            }
        },
    }
    assert [line.name for line in page_schema.read(document).inputs] == ["next", "", "$ref"]


def page(document: Any, **more: Any) -> bytes:
    return pages.schema_page(document, **{"name": "blue", "origin": "http://127.0.0.1:5001", **more})


def test_the_page_says_how_to_call() -> None:
    found = Outline(
        page(DOCUMENT, prefix="/svc", requires_key=True, inference={"name": "m", "platform": "p"})
    )
    assert "curl http://127.0.0.1:5001/svc/score" in found.text
    # The shell's own way to put a quote into a quoted string.
    assert """-d '{"data": [{"age": 1.5, "city": "it'\\''s"}]}'""" in found.text
    assert "payload = {'data': [{'age': 1.5, 'city': \"it's\"}]}" in found.text
    assert "Authorization: Bearer" in found.text
    assert "/svc/v2/models/m/infer" in found.text
    assert "Something else." in found.text
    assert ("data-score", "/svc/score") in found.attributes


def test_the_page_asks_nothing_of_anyone_else() -> None:
    raw = page(DOCUMENT)
    found = Outline(raw)
    assert len(raw) < 30_000
    assert not {
        value for name, value in found.attributes if name in ("src", "href", "action") and "//" in value
    }
    assert "style" not in dict(found.attributes), "inline styles would break the content security policy"
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert found.tags.count("script") == found.tags.count("style") == 1


def test_a_large_sample_stays_out_of_the_snippets() -> None:
    media = {"example": {"data": [[0.25] * 50] * 50}}
    document = {"paths": {"/score": {"post": {"requestBody": {"content": {"application/json": media}}}}}}
    text = Outline(page(document)).text
    assert "--data-binary @payload.json" in text
    assert 'json.load(open("payload.json"))' in text


ATTACK = "</script></style></textarea><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(ATTACK),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "enum",
                    "description",
                    "title",
                    "$ref",
                    "oneOf",
                    "required",
                    "example",
                ]
            )
            | st.just(ATTACK),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=40)
@given(hostile, hostile, st.just(ATTACK) | st.text(max_size=8))
def test_whatever_the_document_says_the_page_stays_whole(schema: Any, example: Any, text: str) -> None:
    media = {"schema": schema, "example": example}
    document = {
        "info": {"title": text, "description": text, "version": text},
        "paths": {
            "/score": {"post": {"requestBody": {"content": {"application/json": media}}}},
            "/" + text: {"get": {"summary": text}},
        },
    }
    plain = Outline(page({}))
    found = Outline(page(document, name=text, inference={"name": text, "platform": text}))
    assert found.tags.count("script") == plain.tags.count("script")
    assert "img" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]


@settings(max_examples=30)
@given(hostile)
def test_any_document_has_a_page(document: Any) -> None:
    for part in (document, {"paths": document}, {"info": document}, {"paths": {"/score": document}}):
        Outline(page(part if isinstance(part, dict) else {}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=60)
@given(json_values)
def test_samples_are_laid_out_without_changing_them(value: Any) -> None:
    assert json.loads(pages.lay_out(value)) == value
    assert eval(pages.lay_out(value, python=True), {}) == value
