"""Tensors survive the way to JSON and binary data and back; what is malformed is refused by name."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.utils import np_to_triton_dtype, serialize_byte_tensor

from penstock import errors
from penstock.scoring.codecs import openinference_tensors as tensors

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
numbers = st.sampled_from(sorted(tensors.DTYPES)).flatmap(
    lambda datatype: hnp.arrays(np.dtype(tensors.DTYPES[datatype]), SHAPES)
)


def objects(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return hnp.arrays(object, SHAPES, elements=elements, fill=st.nothing())


texts = objects(st.text())
blobs = objects(st.binary())


def through_json(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


def assert_same(found: Any, sent: Any) -> None:
    assert found.shape == sent.shape
    assert found.dtype == sent.dtype
    np.testing.assert_array_equal(found, sent)


@given(numbers)
def test_numbers_survive_binary(array: Any) -> None:
    datatype = tensors.datatype_of(array.dtype)
    found = tensors.from_binary("x", datatype, array.shape, tensors.to_binary(array))
    assert_same(found, array)
    assert found.flags.writeable
    assert found.flags.aligned


@given(numbers)
def test_numbers_survive_json_flat_and_nested(array: Any) -> None:
    datatype = tensors.datatype_of(array.dtype)
    data, parameters = tensors.to_json(array)
    expected = np.where(np.isinf(array), np.nan, array) if array.dtype.kind == "f" else array
    assert parameters == {}
    found = tensors.from_json("x", datatype, array.shape, through_json(data))
    assert_same(found, expected.astype(array.dtype))
    if array.ndim and not (array.dtype.kind == "f" and not np.isfinite(array).all()):
        nested = through_json(array.tolist())
        assert_same(tensors.from_json("x", datatype, array.shape, nested), array)


@given(texts)
def test_text_survives_json_and_binary(array: Any) -> None:
    shape = array.shape
    data, parameters = tensors.to_json(array)
    assert parameters == {}
    assert_same(tensors.from_json("x", "BYTES", shape, through_json(data)), array)
    if array.ndim:
        assert_same(tensors.from_json("x", "BYTES", shape, through_json(array.tolist())), array)
    read = tensors.from_binary("x", "BYTES", shape, tensors.to_binary(array))
    assert_same(tensors.as_text("x", read), array)


@given(blobs)
def test_bytes_survive_json_and_binary(array: Any) -> None:
    data, parameters = tensors.to_json(array)
    encoded = parameters.get("content_type") == "base64"
    read = tensors.from_json("x", "BYTES", array.shape, through_json(data), encoded=encoded)
    assert_same(tensors.as_bytes(read), array)
    assert_same(tensors.from_binary("x", "BYTES", array.shape, tensors.to_binary(array)), array)


@given(numbers)
def test_binary_is_what_triton_writes(array: Any) -> None:
    assert tensors.datatype_of(array.dtype) == np_to_triton_dtype(array.dtype)
    assert tensors.to_binary(array) == array.tobytes()


@given(blobs.filter(lambda array: array.size > 0))
def test_bytes_are_what_triton_writes(array: Any) -> None:
    assert tensors.to_binary(array) == serialize_byte_tensor(array).item()


@given(hnp.arrays(np.dtype("<f4"), SHAPES, elements=st.floats(width=32)))
def test_bf16_reads_as_ml_dtypes_has_it(array: Any) -> None:
    with np.errstate(over="ignore"):
        brief = array.astype(ml_dtypes.bfloat16)
    found = tensors.from_binary("x", "BF16", array.shape, brief.tobytes())
    assert_same(found, brief.astype(np.float32))
    if np.isfinite(array).all() and np.isfinite(found).all():
        assert_same(
            tensors.from_json(
                "x", "BF16", array.shape, through_json(array.tolist()) if array.ndim else [float(array)]
            ),
            found,
        )


@given(st.binary(max_size=40), st.sampled_from(tensors.DATATYPES), SHAPES)
def test_any_bytes_are_read_or_refused(data: bytes, datatype: str, shape: tuple[int, ...]) -> None:
    try:
        array = tensors.from_binary("x", datatype, shape, data)
    except errors.MalformedInput as refusal:
        error = refusal
    else:
        assert array.shape == shape
        return
    assert "'x'" in str(error)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)


@given(anything, st.sampled_from(tensors.DATATYPES), SHAPES)
def test_any_json_is_read_or_refused(data: Any, datatype: str, shape: tuple[int, ...]) -> None:
    try:
        array = tensors.from_json("x", datatype, shape, data)
    except errors.MalformedInput as refusal:
        error = refusal
    else:
        assert array.shape == shape
        return
    assert "'x'" in str(error)


@given(anything, anything)
def test_any_datatype_and_shape_are_known_or_refused(datatype: Any, shape: Any) -> None:
    try:
        tensors.check("x", datatype, shape)
    except errors.MalformedInput as refusal:
        error = refusal
    else:
        return
    assert "'x'" in str(error)


@pytest.mark.parametrize(
    ("datatype", "data", "complaint"),
    [
        ("INT8", [1, 128], "128 is no element of INT8, expected from -128 to 127"),
        ("UINT64", [1, -1], "-1 is no element of UINT64"),
        ("UINT64", [1, 2**64], "18446744073709551616 is no element of UINT64"),
        ("INT64", [1, 1.5], "1.5 is no element of INT64, expected a whole number"),
        ("INT64", [1, "2"], "'2' is no element of INT64"),
        ("INT64", [True, False], "True is no element of INT64"),
        ("INT64", [1, None], "None is no element of INT64"),
        ("FP32", [1, "2"], "'2' is no element of FP32, expected a number"),
        ("FP32", ["1", "2"], "'1' is no element of FP32"),
        ("FP32", [1, 1e300], "1e+300 is no element of FP32, expected a number that it can hold"),
        ("FP64", [1, 10**400], "is no element of FP64"),
        ("FP64", [True, False], "True is no element of FP64"),
        ("BOOL", [True, 2], "2 is no element of BOOL, expected true or false"),
        ("BYTES", ["a", 1], "a BYTES element is 1, expected a string"),
        ("FP32", [1.0], "shape [2] holds 2 elements, but data is 1 elements"),
        ("FP32", [[1.0], [2.0]], "shape [2] holds 2 elements, but data is nested otherwise"),
        ("FP32", {"0": 1}, "data is {'0': 1}, expected a list"),
    ],
)
def test_a_wrong_element_is_named(datatype: str, data: Any, complaint: str) -> None:
    with pytest.raises(errors.MalformedInput) as caught:
        tensors.from_json("x", datatype, (2,), data)
    assert "tensor 'x'" in str(caught.value)
    assert complaint in str(caught.value)


def test_what_means_the_same_is_accepted() -> None:
    assert tensors.from_json("x", "INT64", (2,), [1.0, 2]).tolist() == [1, 2]
    assert tensors.from_json("x", "INT64", (2,), [2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]
    assert tensors.from_json("x", "UINT64", (2,), [0, 2**64 - 1]).tolist() == [0, 2**64 - 1]
    assert tensors.from_json("x", "FP64", (2,), [1, 2]).dtype == np.float64
    assert tensors.from_json("x", "BOOL", (2,), [1, False]).tolist() == [True, False]
    assert math.isnan(tensors.from_json("x", "FP32", (2,), [None, 1])[0])
    assert tensors.from_json("x", "FP64", (2,), [float("inf"), 1]).tolist() == [math.inf, 1]
    assert tensors.from_json("x", "FP32", (), [3.5]).item() == 3.5


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ([-1], "shape holds -1"),
        ([2, True], "shape holds True"),
        ([1.0], "shape holds 1.0"),
        ([2**31], "shape holds 2147483648"),
        ([2**31 - 1, 2**31 - 1], "larger than any request"),
        ([0, 2**31 - 1, 2**31 - 1], "larger than any request"),
        ([1] * 33, "33 dimensions"),
        ("2", "expected a list"),
        (None, "expected a list"),
    ],
)
def test_a_wrong_shape_is_named(shape: Any, complaint: str) -> None:
    with pytest.raises(errors.MalformedInput, match="tensor 'x'") as caught:
        tensors.check("x", "FP32", shape)
    assert complaint in str(caught.value)


def test_a_huge_shape_costs_nothing() -> None:
    shape = tensors.check("x", "BYTES", [2**31 - 1])
    for datatype in ("BYTES", "FP64", "BOOL"):
        with pytest.raises(errors.MalformedInput):
            tensors.from_binary("x", datatype, shape, b"\0" * 8)
        with pytest.raises(errors.MalformedInput):
            tensors.from_json("x", datatype, shape, [1])


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (struct.pack("<I", 2) + b"ab", "hold 1"),
        (struct.pack("<I", 2) + b"ab" + struct.pack("<I", 3) + b"ab", "said to have 3 bytes, but 2 are left"),
        (struct.pack("<I", 2**32 - 1), "said to have 4294967295 bytes, but 0 are left"),
        (struct.pack("<I", 0) * 2 + b"x", "and 1 bytes more"),
        (struct.pack("<I", 0) + b"\0\0", "hold 1 and 2 bytes more"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(errors.MalformedInput) as caught:
        tensors.from_binary("x", "BYTES", (2,), data)
    assert complaint in str(caught.value)


def test_a_bool_byte_is_nought_or_one() -> None:
    with pytest.raises(errors.MalformedInput, match="a BOOL byte is 2"):
        tensors.from_binary("x", "BOOL", (2,), b"\1\2")


def test_base64_is_checked() -> None:
    with pytest.raises(errors.MalformedInput, match="is not base64"):
        tensors.from_json("x", "BYTES", (1,), ["%%%"], encoded=True)
    sent = [base64.b64encode(b"\xff").decode()]
    assert tensors.from_json("x", "BYTES", (1,), sent, encoded=True).tolist() == [b"\xff"]


def test_bytes_that_are_not_text_are_refused_where_text_is_meant() -> None:
    with pytest.raises(errors.SchemaMismatch, match="element 1 is not UTF-8") as caught:
        tensors.as_text("x", np.array([b"a", b"\xff"], dtype=object))
    assert caught.value.field == "x"
