from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from penstock import errors
from penstock.scoring.codecs import accept, answers, json_text
from penstock.scoring.interface import Field, Request


def as_json(result: Any, *, wrapped: bool = False) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(answers.write(result, accept.JSON, None, wrapped=wrapped), parse_constant=refuse)


FRAME = pd.DataFrame({"label": ["a", None], "p": [0.5, math.nan], "n": pd.array([1, None], "Int64")})


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array([1.5, math.nan, math.inf]), [1.5, None, None]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([True, False]), [True, False]),
        (np.array([2**64 - 1], dtype=np.uint64), [2**64 - 1]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["a", 1, None, math.nan], dtype=object), ["a", 1, None, None]),
        (np.array([b"\x00\x01"]), ["AAE="]),
        (np.array(["2020-01-31T12:00", "NaT"], dtype="datetime64[s]"), ["2020-01-31T12:00:00", None]),
        (np.array([90], dtype="timedelta64[s]"), [90.0]),
        (np.float32(0.5), 0.5),
        ([np.float64(1.5), np.int64(2), np.bool_(True), np.str_("x")], [1.5, 2, True, "x"]),
        ([{"a": np.array([1])}, {"a": (1, 2)}], [{"a": [1]}, {"a": [1, 2]}]),
        ([2**80], [2**80]),
        ([dt.datetime(2020, 1, 31), dt.date(2020, 1, 31)], ["2020-01-31T00:00:00", "2020-01-31"]),
        (FRAME, [{"label": "a", "p": 0.5, "n": 1}, {"label": None, "p": None, "n": None}]),
        (FRAME["p"], [0.5, None]),
        (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
        (pd.Series(pd.to_datetime(["2020-01-31T01:00Z", None])), ["2020-01-31T01:00:00+00:00", None]),
        (pd.DataFrame({0: [1], 1: [2.5]}), [{"0": 1, "1": 2.5}]),
        ({"scores": np.array([0.5]), "label": ["a"]}, {"scores": [0.5], "label": ["a"]}),
        (scipy.sparse.csr_matrix(np.eye(2)), [[1, 0], [0, 1]]),
        (3.5, 3.5),
        ("text", "text"),
        (None, None),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_json(result: Any, expected: Any) -> None:
    assert as_json(result) == expected
    assert as_json(result, wrapped=True) == {"predictions": expected}


def test_what_has_no_json_form_is_named() -> None:
    with pytest.raises(TypeError, match="answered a Decimal"):
        as_json([Decimal(1)])


def read_arrow(body: bytes) -> Any:
    return pa.ipc.open_stream(body).read_all().to_pydict()


PROBABILITIES = np.array([[0.25, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("result", "output", "expected"),
    [
        (np.array([1.5, 2]), None, {"predictions": [1.5, 2]}),
        (np.array([[1.5], [2]]), None, {"predictions": [1.5, 2]}),
        (PROBABILITIES, None, {"predictions_0": [0.25, 0.5], "predictions_1": [0.75, 0.5]}),
        (PROBABILITIES, Field("p", categories=("no", "yes")), {"no": [0.25, 0.5], "yes": [0.75, 0.5]}),
        (np.zeros((1, 2, 2)), None, {"predictions": [[[0, 0], [0, 0]]]}),
        (["a", "b"], None, {"predictions": ["a", "b"]}),
        (pd.DataFrame({"x": [1], "y": ["b"]}), None, {"x": [1], "y": ["b"]}),
        (pd.Series([1, 2]), None, {"predictions": [1, 2]}),
        ([{"x": 1}, {"y": 2}], None, {"x": [1, None], "y": [None, 2]}),
        ({"x": np.array([1]), "y": np.array([[1, 2]])}, None, {"x": [1], "y": [[1, 2]]}),
        ([], None, {"predictions": []}),
    ],
    ids=range(11),
)
def test_columns_of_arrow_and_csv(result: Any, output: Field | None, expected: dict[str, Any]) -> None:
    assert read_arrow(answers.write(result, accept.ARROW, output, wrapped=False)) == expected
    text = answers.write(result, accept.CSV, output, wrapped=False).decode()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == list(expected)
    assert len(rows) == 1 + len(next(iter(expected.values())))


def test_csv_cells() -> None:
    frame = pd.DataFrame({"x": [1.5, math.nan], "ok": [True, False], "l": [[1, 2], None]})
    assert answers.write(frame, accept.CSV, None, wrapped=False) == b'x,ok,l\n1.5,true,"[1,2]"\n,false,\n'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_json_text_writes_strict_json_and_reads_it_back(value: Any) -> None:
    def finite(value: Any) -> Any:
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, list):
            return [finite(item) for item in value]
        return {key: finite(item) for key, item in value.items()} if isinstance(value, dict) else value

    written = json_text.dumps(value)
    assert b"NaN" not in written or "NaN" in str(value)
    assert json.loads(written) == finite(value)


@pytest.mark.parametrize(
    ("body", "value"),
    [(b"[NaN]", None), (b"[Infinity]", math.inf), (b"\xef\xbb\xbf[1]", 1), ("[1]".encode("utf-16"), 1)],
)
def test_what_python_clients_send_is_read(body: bytes, value: Any) -> None:
    (found,) = json_text.loads(body)
    assert found == value or (value is None and math.isnan(found))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not JSON: .*line 1 column 2"),
        (b"[1,]", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
    ],
    ids=range(6),
)
def test_what_is_not_json_is_told(body: bytes, message: str) -> None:
    with pytest.raises(errors.MalformedInput, match=message):
        json_text.loads(body)


def headers(**named: str) -> Request:
    return Request(b"", headers=[(name.replace("_", "-"), value) for name, value in named.items()])


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", accept.JSON),
        ("*/*", accept.JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", accept.JSON),
        ("application/json", accept.JSON),
        ("application/*", accept.JSON),
        ("text/csv", accept.CSV),
        ("text/*", accept.CSV),
        ("application/vnd.apache.arrow.stream, application/json;q=0.5", accept.ARROW),
        ("application/vnd.apache.arrow.stream;q=0.1, application/json;q=0.5", accept.JSON),
        ("*/*, text/csv", accept.CSV),
        ("application/json;q=0, text/csv;q=0.1", accept.CSV),
    ],
)
def test_accept(accepted: str, expected: str) -> None:
    assert accept.answer_type(headers(Accept=accepted)) == expected


def test_accept_and_content_types_that_nobody_knows() -> None:
    with pytest.raises(errors.NotAcceptable, match=r"Accept: image/png .*application/json, .*text/csv"):
        accept.answer_type(headers(Accept="image/png"))
    with pytest.raises(
        errors.UnsupportedMedia, match=r"'text/plain' is not read here; send application/json"
    ):
        accept.body_type(headers(Content_Type="text/plain"))
    with pytest.raises(errors.UnsupportedMedia, match="charset 'latin-1'"):
        accept.body_type(headers(Content_Type="application/json; charset=latin-1"))


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("", accept.JSON),
        ("Application/JSON; Charset=UTF-8", accept.JSON),
        ("application/x-www-form-urlencoded", accept.JSON),
        ("application/problem+json", accept.JSON),
        ("text/csv; header=present", accept.CSV),
        ("application/vnd.apache.arrow.stream", accept.ARROW),
    ],
)
def test_content_types(content_type: str, expected: str) -> None:
    assert accept.body_type(headers(content_type=content_type)) == expected
