"""The raw request and response where Flask is not installed."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.scoring.interface import Request
from penstock.scoring.scripts import raw_multipart
from penstock.scoring.scripts.raw_headers import Headers, MultiDict
from penstock.scoring.scripts.raw_request import RawRequest
from penstock.scoring.scripts.raw_response import RawResponse


def request(body: bytes = b"", content_type: str = "", **more) -> RawRequest:
    headers = [("host", "h:1"), *([("content-type", content_type)] if content_type else [])]
    return RawRequest(Request(body, headers=[*headers, *more.pop("headers", [])], **more))


def test_where_the_request_went():
    seen = request(method="GET", path="/score/a%20b", query="x=1&x=2&y=%26")
    assert (seen.method, seen.path, seen.full_path) == ("GET", "/score/a b", "/score/a b?x=1&x=2&y=%26")
    assert seen.url == "http://h:1/score/a b?x=1&x=2&y=%26"
    assert (seen.args["x"], seen.args.getlist("x"), seen.args.get("y"), seen.args.get("z")) == (
        "1",
        ["1", "2"],
        "&",
        None,
    )
    assert seen.args.get("x", type=int) == 1
    assert seen.args.to_dict(flat=False) == {"x": ["1", "2"], "y": ["&"]}


def test_headers_are_found_in_any_case():
    seen = request(content_type="text/plain; charset=utf-8", headers=[("x-a", "1"), ("X-A", "2")])
    assert seen.headers["X-a"] == "1"
    assert seen.headers.getlist("x-A") == ["1", "2"]
    assert "x-b" not in seen.headers
    assert (seen.content_type, seen.mimetype) == ("text/plain; charset=utf-8", "text/plain")
    with pytest.raises(KeyError):
        seen.headers["x-b"]


def test_json_only_where_it_is_declared():
    assert request(b"[1]", "application/json").json == [1]
    assert request(b"[1]", "application/vnd.x+json").get_json() == [1]
    assert request(b"[1]", "text/plain").get_json(silent=True) is None
    assert request(b"[1]", "text/plain").get_json(force=True) == [1]
    with pytest.raises(ValueError, match="not application/json"):
        request(b"[1]").get_json()


def test_cookies():
    assert request(headers=[("cookie", 'a=1; b="two"')]).cookies == {"a": "1", "b": "two"}


def test_a_file_can_be_saved(tmp_path):
    body = (
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n\r\n\x00\r\n\x01\r\n--B--\r\n'
    )
    for target in (tmp_path / "x.bin", io.BytesIO()):
        file = request(body, "multipart/form-data; boundary=B").files["f"]
        file.save(target)
        written = target.getvalue() if isinstance(target, io.BytesIO) else target.read_bytes()
        assert (file.filename, written) == ("x.bin", b"\x00\r\n\x01")


def test_a_form_is_not_data_too():
    form = request(b"a=1", "application/x-www-form-urlencoded")
    assert (form.form["a"], form.data, form.get_data()) == ("1", b"", b"a=1")
    plain = request(b"a=1", "multipart/form-data")
    assert (plain.form.to_dict(), plain.data) == ({}, b"a=1")


names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@given(fields=st.lists(st.tuples(names, st.text())), files=st.lists(st.tuples(names, names, st.binary())))
def test_what_is_put_into_a_multipart_form_comes_out(fields, files):
    boundary = b"q7Lr2Zx9"
    parts = [(f'name="{name}"', text.encode()) for name, text in fields]
    parts += [(f'name="{name}"; filename="{filename}"', content) for name, filename, content in files]
    body = b"".join(
        b"--"
        + boundary
        + b"\r\nContent-Disposition: form-data; "
        + head.encode()
        + b"\r\n\r\n"
        + content
        + b"\r\n"
        for head, content in parts
    )
    form, uploads = raw_multipart.parse_form(
        "multipart/form-data; boundary=q7Lr2Zx9", body + b"--" + boundary + b"--\r\n"
    )
    assert form.items(multi=True) == fields
    assert [(name, file.filename, file.read()) for name, file in uploads.items(multi=True)] == files


@given(content_type=st.text(), body=st.binary())
def test_no_body_breaks_the_form_parser(content_type, body):
    raw_multipart.parse_form(content_type, body)
    raw_multipart.parse_form("multipart/form-data; boundary=a", body.replace(b"\x00", b"--a\r\n"))


def test_response_bodies():
    assert RawResponse("\u00fc").get_data() == "\u00fc".encode()
    assert RawResponse(["a", b"b"]).get_data(as_text=True) == "ab"
    assert RawResponse(b"x", content_type="image/png").to_reply().content_type == "image/png"
    assert RawResponse("x").to_reply().content_type == "text/html; charset=utf-8"
    assert RawResponse("x", mimetype="application/json").to_reply().content_type == "application/json"


def test_response_headers_can_be_changed():
    response = RawResponse("x", 201, {"X-A": "1"})
    response.headers["x-a"] = "2"
    response.headers.add("X-B", 3)
    response.headers.extend({"X-B": "4"})
    response.set_cookie("k", "v", max_age=5)
    reply = response.to_reply()
    assert reply.status == 201
    assert reply.headers == [
        ("x-a", "2"),
        ("X-B", "3"),
        ("X-B", "4"),
        ("Set-Cookie", "k=v; Max-Age=5; Path=/"),
    ]


def test_a_header_value_holds_no_line_break():
    with pytest.raises(ValueError, match="line break"):
        Headers({"X-A": "1\r\nX-B: 2"})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "a", "B"]), st.text(st.characters(codec="ascii", exclude_characters="\r\n"))
        )
    )
)
def test_headers_keep_every_pair_in_order(pairs):
    headers = Headers(pairs)
    assert headers.items() == pairs
    assert headers.getlist("a") == [value for name, value in pairs if name in "Aa"]
    headers.remove("A")
    assert headers.items() == [pair for pair in pairs if pair[0] == "B"]


def test_multidict_is_a_mapping():
    values = MultiDict([("a", 1), ("b", 2), ("a", 3)])
    assert (dict(values), len(values), list(values)) == ({"a": 1, "b": 2}, 2, ["a", "b"])
