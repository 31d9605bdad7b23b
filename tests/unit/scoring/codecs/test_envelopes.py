from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from payload_models import (
    IMAGES,
    NAMED_NUMBERS,
    NUMBERS,
    PEOPLE,
    PERSON,
    TENSORS,
    TEXTS,
    UNKNOWN,
    Declared,
)

from penstock import errors
from penstock.scoring import tables
from penstock.scoring.codecs import envelopes, schema
from penstock.scoring.interface import Field

ROWS = [[1, 2, 3], [4, 5.5, None]]
RECORDS = [{"a": 1, "b": 2, "c": 3}, {"c": None, "a": 4, "b": 5.5}]
COLUMNS = {"c": [3, None], "a": [1, 4], "b": [2, 5.5]}
SPLIT = {"columns": ["c", "a", "b"], "index": [7, 8], "data": [[3, 1, 2], [None, 4, 5.5]]}
EXPECTED = np.array([[1, 2, 3], [4, 5.5, np.nan]])


def as_array(data: Any) -> Any:
    return data.to_array() if isinstance(data, tables.Table) else data


@pytest.mark.parametrize(
    "payload",
    [
        ROWS,
        RECORDS,
        {"data": ROWS},
        {"data": RECORDS},
        {"data": COLUMNS},
        {"data": SPLIT},
        {"input_data": ROWS},
        {"input_data": RECORDS},
        {"input_data": COLUMNS},
        {"input_data": SPLIT},
        {"dataframe_split": SPLIT},
        {"dataframe_split": {"data": ROWS}},
        {"dataframe_records": RECORDS},
        {"instances": ROWS},
        {"instances": RECORDS},
        {"inputs": COLUMNS},
        {"inputs": ROWS},
    ],
    ids=str,
)
def test_every_form_gives_the_same_table(payload: Any) -> None:
    data, method, params = envelopes.read(payload, NAMED_NUMBERS)
    assert list(data.columns) == ["a", "b", "c"]
    np.testing.assert_array_equal(as_array(data), EXPECTED)
    assert (method, params) == ("", {})


@pytest.mark.parametrize(
    "payload",
    [
        ROWS,
        {"data": ROWS},
        {"input_data": {"columns": ["x", "y", "z"], "index": [0, 1], "data": ROWS}},
        {"input_data": {"columns": [0, 1, 2], "data": ROWS}},
        {"instances": ROWS},
        {"inputs": {"anything": ROWS}},
        {"inputs": {"x": [1, 4], "y": [2, 5.5], "z": [3, None]}},
        {"dataframe_records": [{"x": 1, "y": 2, "z": 3}, {"z": None, "y": 5.5, "x": 4}]},
    ],
    ids=str,
)
def test_every_form_gives_the_same_array(payload: Any) -> None:
    data, _, _ = envelopes.read(payload, NUMBERS)
    assert data.dtype == np.float64
    np.testing.assert_array_equal(data, EXPECTED)


def test_typed_columns() -> None:
    other = dict(PERSON, age=None, city=None, since="2021-05-01T12:30:00.25Z", plan=None, children=3.0)
    data, _, _ = envelopes.read([PERSON, other], PEOPLE)
    frame = data.to_frame()
    assert list(frame.columns) == ["age", "children", "city", "member", "since", "plan"]
    assert str(frame["children"].dtype) == "int64"
    assert frame["children"].tolist() == [2, 3]
    assert str(frame["member"].dtype) == "bool"
    assert np.isnan(frame["age"][1])
    assert frame["city"].isna().tolist() == [False, True]
    assert frame["since"][1].isoformat() == "2021-05-01T12:30:00.250000"
    assert frame["plan"].cat.categories.tolist() == ["basic", "gold"]
    assert frame["plan"].isna().tolist() == [False, True]


def test_optional_column_may_be_there() -> None:
    data, _, _ = envelopes.read([dict(PERSON, note={"any": "thing"})], PEOPLE)
    assert data.columns["note"][0] == {"any": "thing"}


def test_tensors() -> None:
    for payload in (
        {"inputs": {"ids": [[1, 2], [3, 4]], "mask": [1, 0.5]}},
        {"input_data": {"mask": [1, 0.5], "ids": [[1, 2], [3, 4]]}},
        {"instances": [{"ids": [1, 2], "mask": 1}, {"ids": [3, 4], "mask": 0.5}]},
    ):
        data, _, _ = envelopes.read(payload, TENSORS)
        assert data["ids"].dtype == np.int64
        assert data["mask"].dtype == np.float32
        assert data["ids"].tolist() == [[1, 2], [3, 4]]
        assert data["mask"].tolist() == [1, 0.5]


def test_shapes_beyond_a_matrix() -> None:
    data, _, _ = envelopes.read({"data": [[[1, 2], [3, 4]]]}, IMAGES)
    assert data.shape == (1, 2, 2)
    assert data.dtype == np.float32
    empty, _, _ = envelopes.read({"data": []}, IMAGES)
    assert empty.shape == (0, 2, 2)
    texts, _, _ = envelopes.read({"data": ["good", "bad"]}, TEXTS)
    assert texts.tolist() == ["good", "bad"]
    wrapped, _, _ = envelopes.read({"data": [["good"], ["bad"]]}, TEXTS)
    assert wrapped.tolist() == ["good", "bad"]


def test_a_model_that_says_nothing_gets_what_the_payload_resembles() -> None:
    whole, _, _ = envelopes.read({"data": [[1, 2]]}, UNKNOWN)
    assert (whole.dtype, whole.shape) == (np.int64, (1, 2))
    floats, _, _ = envelopes.read({"data": [[1, 2.5]]}, UNKNOWN)
    assert floats.dtype == np.float64
    mixed, _, _ = envelopes.read({"data": [[1, "x"]]}, UNKNOWN)
    assert mixed.tolist() == [[1, "x"]]
    table, _, _ = envelopes.read({"data": [{"n": 1, "s": "x"}]}, UNKNOWN)
    assert table.to_frame().to_dict("records") == [{"n": 1, "s": "x"}]
    with pytest.raises(errors.SchemaMismatch, match=r"row 1 .*expected 2 values.*found 1"):
        envelopes.read({"data": [[1, 2], [3]]}, UNKNOWN)


def test_params_and_method_stand_beside_the_rows() -> None:
    _, method, params = envelopes.read({"data": ROWS, "params": {"k": 1}, "method": "predict_proba"}, NUMBERS)
    assert (method, params) == ("predict_proba", {"k": 1})
    assert envelopes.method_of(NUMBERS, "", "") == "predict"
    assert envelopes.method_of(NUMBERS, "predict_proba", "predict") == "predict_proba"
    assert envelopes.method_asked("a=1&method=predict_proba") == "predict_proba"
    with pytest.raises(
        errors.MalformedInput, match=r"no method 'predict_prob'; it has predict, predict_proba"
    ):
        envelopes.method_of(NUMBERS, "predict_prob")
    with pytest.raises(errors.MalformedInput, match="'metod'; did you mean 'method'"):
        envelopes.method_asked("metod=predict")


BAD_FORMS = [
    ("text", "one of the keys data, input_data, .*found the string \"text\""),
    (7, "found 7"),
    ({}, "expected one of the keys .*found none"),
    ({"dat": ROWS}, "found 'dat'; did you mean 'data'"),
    ({"a": 1, "b": 2, "c": 3}, "wrap columns or a record in a key"),
    ({"data": ROWS, "inputs": ROWS}, "both data and inputs"),
    ({"data": ROWS, "parms": {}}, "unexpected key 'parms' beside 'data'.*did you mean 'params'"),
    ({"data": ROWS, "params": [1]}, "params: expected an object, found a list of 1"),
    ({"data": ROWS, "method": 3}, "method: expected a string, found 3"),
    ({"data": 41}, "data: expected a list of rows or an object of columns, found 41"),
    ({"data": None}, "found null"),
    ({"data": {}}, "the object is empty"),
    ({"dataframe_split": ROWS}, "dataframe_split: expected an object with columns and data, found a list of 2"),
    ({"dataframe_split": {"columns": ["a"]}}, "expected the keys columns, data and perhaps index"),
    ({"dataframe_split": dict(SPLIT, idx=1)}, "expected the keys columns, data"),
    ({"dataframe_split": dict(SPLIT, columns="a")}, "columns: expected a list, found the string"),
    ({"dataframe_split": dict(SPLIT, data={})}, "data: expected a list of rows, found an empty object"),
    ({"dataframe_split": dict(SPLIT, index=[1])}, "as long as the 2 rows, found 1 of them"),
    ({"dataframe_split": dict(SPLIT, data=[[1, 2, 3], [1, 2]])}, "row 1 .*expected 3 values.*found 2"),
    ({"dataframe_split": dict(SPLIT, columns=["a", "a", "b"])}, "named twice: 'a'"),
    ({"dataframe_records": {"a": 1}}, "dataframe_records: expected a list of objects"),
    ({"dataframe_records": [RECORDS[0], [1, 2, 3]]}, "row 1 .*expected an object like the first row"),
    ({"inputs": {"a": [1], "b": [1, 2], "c": [1]}}, "equal length: 'a' has 1, 'b' has 2, 'c' has 1"),
    ({"inputs": {"a": 1, "b": [1], "c": [1]}}, "column 'a': expected a list with a value a row, found 1"),
    ({"data": [{"a": 1, "bb": 2, "c": 3}]}, "missing column: 'b'; unexpected column: 'bb' .did you mean 'b'"),
    ({"data": [{"x": 1}]}, "missing columns: 'a', 'b', 'c'; unexpected column: 'x'; expected 'a', 'b', 'c'"),
    ({"data": [RECORDS[0], {"a": 1, "b": 2}]}, "row 1 .*missing column: 'c'"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "message"), BAD_FORMS, ids=str)
def test_a_wrong_form_is_named(payload: Any, message: str) -> None:
    with pytest.raises(errors.InputError, match=message):
        envelopes.read(payload, NAMED_NUMBERS)


BAD_ARRAYS = [
    ([[1, 2]], "row 0 .*expected 3 values, found 2"),
    ([[1, 2, 3], [1, 2, 3, 4]], "row 1 .*expected 3 values, found 4"),
    ([[1, 2, 3], 4], "row 1 .*expected a list of 3 values, found 4"),
    ([1, 2, 3], r"expected rows of 3 values each, found 1 as a row; a single row goes .* \[\[...\]\]"),
    ([1, 2], r"expected rows of 3 values each, found 1 as a row; each row is a list"),
    ([[[1, 2, 3]]], "row 0 .*expected 3 values, found 1"),
    ([[1, 2, [3]]], "row 0 .*column 2: expected a single value, found a list of 1"),
    ([[1, 2, 3], [1, "2.5", 3]], 'row 1 .*column 1: expected a number .float64., .*"2.5" .*without quotes'),
    ([[1, "x", 3]], 'row 0 .*column 1: expected a number .float64., found the string "x"$'),
    ([[1, {"a": 1}, 3]], "row 0 .*column 1: .*found an object with the keys 'a'"),
    ([[1, 10**400, 3]], "row 0 .*column 1: .*out of its range"),
    (["abc"], "expected rows of 3 values each, found the string \"abc\" as a row"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), BAD_ARRAYS, ids=lambda value: str(value)[:40])
def test_a_wrong_row_is_named(rows: Any, message: str) -> None:
    with pytest.raises(errors.SchemaMismatch, match=message):
        envelopes.read({"data": rows}, NUMBERS)


BAD_VALUES = [
    ("age", "39", 'expected a number .float64., found the string "39" .send the number without quotes'),
    ("age", [1], "expected a number .float64., found a list of 1"),
    ("children", None, "expected a whole number .int64., found null"),
    ("children", 2.5, "expected a whole number .int64., found 2.5"),
    ("children", 2**70, "expected a whole number .int64., found .*out of its range"),
    ("children", 1e300, "out of its range"),
    ("children", True, "found true .send 1 or 0"),
    ("city", 5, "expected a string, found 5"),
    ("city", "x" * 200 + "y", None),
    ("member", 1, "expected true or false, found 1"),
    ("member", None, "expected true or false, found null"),
    ("since", "yesterday", 'expected a date or date-time in ISO 8601 .*found the string "yesterday"'),
    ("since", 1577836800000, "expected a date or date-time in ISO 8601"),
    ("plan", "glod", "expected one of 'basic', 'gold', found the string \"glod\" .did you mean 'gold'"),
    ("plan", 1, "expected one of 'basic', 'gold', found 1"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_VALUES, ids=lambda value: str(value)[:30])
def test_a_wrong_value_names_column_row_expected_and_found(
    name: str, value: Any, message: str | None
) -> None:
    payload = [PERSON, dict(PERSON, **{name: value})]
    if message is None:
        envelopes.read(payload, PEOPLE)
        return
    with pytest.raises(
        errors.SchemaMismatch, match=f"row 1 .counting from 0., column '{name}': .*{message}"
    ) as caught:
        envelopes.read(payload, PEOPLE)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([[1, 2]], "takes 2 named tensors .'ids', 'mask'., found a list without names"),
        ({"ids": [[1, 2]]}, "missing tensor: 'mask'"),
        ({"ids": [[1, 2]], "mask": [1], "masc": [1]}, "unexpected tensor: 'masc' .did you mean 'mask'"),
        ({"ids": [[1, 2, 3]], "mask": [1]}, "tensor 'ids': row 0 .*expected 2 values, found 3"),
        ({"ids": [1, 2], "mask": [1]}, "tensor 'ids'"),
        ({"ids": [[1, 2]], "mask": [1, 2]}, "equally many rows: 'ids' has 1, 'mask' has 2"),
        ({"ids": [[1, "2"]], "mask": [1]}, r"tensor 'ids', row 0 .*position \[1\]: expected a whole number"),
        ({"ids": [[1, 2]], "mask": [1e39]}, "tensor 'mask', row 0 .*a number .float32., .*out of its range"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_tensor_is_named(payload: Any, message: str) -> None:
    with pytest.raises(errors.SchemaMismatch, match=message):
        envelopes.read({"input_data": payload}, TENSORS)


@pytest.mark.parametrize(
    ("dtype", "value", "is_in_range"),
    [
        ("int8", 127, True),
        ("int8", 128, False),
        ("uint8", -1, False),
        ("int32", 2**31, False),
        ("uint64", 2**64 - 1, True),
        ("uint64", -1, False),
        ("int64", -(2**63), True),
        ("float16", 65504, True),
        ("float16", 70000, False),
    ],
)
def test_ranges(dtype: str, value: int, is_in_range: bool) -> None:
    model = Declared("table", Field("n", dtype))
    if is_in_range:
        data, _, _ = envelopes.read([{"n": value}], model)
        assert data.columns["n"].dtype == dtype
        assert int(data.columns["n"][0]) == value
    else:
        with pytest.raises(errors.SchemaMismatch, match=f"column 'n'.*{dtype}.*out of its range"):
            envelopes.read([{"n": value}], model)


def test_true_is_one_among_floats_as_for_columns_of_dummies() -> None:
    payload = {"data": [{"a": True, "b": 2, "c": False}]}
    assert envelopes.read(payload, NAMED_NUMBERS)[0].to_array().tolist() == [[1.0, 2.0, 0.0]]
    assert envelopes.read({"data": [[True, 2, 0.5]]}, NUMBERS)[0].tolist() == [[1.0, 2.0, 0.5]]


def test_an_empty_record_is_no_row() -> None:
    with pytest.raises(errors.SchemaMismatch, match="found an empty one"):
        envelopes.read({"data": [{}]}, UNKNOWN)


def test_a_single_named_column_is_an_array_of_one_column() -> None:
    single = Declared("array", Field("input", "str", (-1, 1)))
    for column in (["Oslo", "Bern"], [["Oslo"], ["Bern"]]):
        assert envelopes.read({"inputs": {"city": column}}, single)[0].tolist() == [["Oslo"], ["Bern"]]


def test_several_narrow_tensors_are_columns_where_nothing_is_known() -> None:
    narrow = {"x": np.array([[1.0], [2.0]]), "y": np.array([["a"], ["b"]], dtype=object)}
    assert list(schema.from_named(narrow, UNKNOWN).columns) == ["x", "y"]
    assert schema.from_named({"x": narrow["x"]}, UNKNOWN).shape == (2, 1)
