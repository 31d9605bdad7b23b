"""One schema for many files, and what may be cast to it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.runtimes.batch.formats import schemas

WHOLE = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()]


def of(**columns: Any) -> Any:
    return pa.schema(list(columns.items()))


def joint(*kinds: Any, text: bool = False) -> Any:
    found = schemas.unify(((f"{number}.x", of(a=kind)) for number, kind in enumerate(kinds)), text=text)
    return found.field("a").type


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.null(), pa.string(), pa.string()),
        (pa.null(), pa.null(), pa.null()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint32(), pa.int32(), pa.int64()),
        (pa.date32(), pa.timestamp("s"), pa.timestamp("s")),
        (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ns")),
        (pa.timestamp("s", tz="UTC"), pa.timestamp("ms", tz="Europe/Berlin"), pa.timestamp("ms", tz="UTC")),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.list_(pa.int32()), pa.list_(pa.int64()), pa.list_(pa.int64())),
        (pa.list_(pa.null()), pa.list_(pa.string()), pa.list_(pa.string())),
        (
            pa.struct([("x", pa.int64())]),
            pa.struct([("x", pa.float64()), ("y", pa.string())]),
            pa.struct([("x", pa.float64()), ("y", pa.string())]),
        ),
        (pa.decimal128(5, 2), pa.decimal128(7, 3), pa.decimal128(7, 3)),
    ],
)
def test_types_meet(one: Any, other: Any, expected: Any) -> None:
    assert joint(one, other) == expected
    assert joint(other, one) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.string(), pa.int64()),
        (pa.bool_(), pa.int64()),
        (pa.timestamp("s"), pa.timestamp("s", tz="UTC")),
        (pa.list_(pa.string()), pa.string()),
    ],
)
def test_types_that_have_nothing_in_common(one: Any, other: Any) -> None:
    with pytest.raises(DataError, match=r"^1\.x: column 'a': is .* here, but .* in 0\.x"):
        joint(one, other)
    assert joint(one, other, text=True) == pa.string()


def test_columns_stand_as_they_first_appear() -> None:
    found = schemas.unify(
        [("1", of(b=pa.null())), ("2", of(a=pa.int64(), b=pa.int64())), ("3", of())], text=False
    )
    assert found.names == ["b", "a"]
    assert found.field("b").type == pa.int64()


@given(st.sampled_from([*WHOLE, pa.float64()]), st.sampled_from(WHOLE), st.integers(-(2**31), 2**33))
def test_what_meets_can_be_cast_or_is_told(one: Any, other: Any, value: int) -> None:
    target = joint(one, other)
    try:
        array = pa.array([value, None], other)
    except (pa.ArrowInvalid, OverflowError):
        return
    batch = pa.RecordBatch.from_arrays([array], names=["a"])
    assert schemas.fit(batch, of(a=target), "f").column(0).to_pylist() == [value, None]


def test_casts_that_lose_something_are_refused() -> None:
    def cast(array: Any, kind: Any) -> Any:
        return schemas.fit(pa.RecordBatch.from_arrays([array], names=["a"]), of(a=kind), "f.x")

    for array, kind in [
        (pa.array([1.5]), pa.int64()),
        (pa.array([1.5]), pa.float32()),
        (pa.array([1]), pa.string()),
        (pa.array(["1"]), pa.int64()),
        (pa.array([True]), pa.int64()),
        (pa.array([1], pa.timestamp("s", tz="UTC")), pa.timestamp("s")),
        (pa.array([{"x": 1}]), pa.struct([("y", pa.int64())])),
        (pa.array([["x"]]), pa.list_(pa.int64())),
    ]:
        with pytest.raises(DataError, match=r"^f\.x: column 'a': is .* in this file, but .* in the job"):
            cast(array, kind)
    for array, kind in [
        (pa.array([2**53 + 1]), pa.float64()),
        (pa.array([300]), pa.int8()),
        (pa.array([1], pa.timestamp("ns")), pa.timestamp("s")),
    ]:
        with pytest.raises(DataError, match=r"^f\.x: column 'a': a .* is no "):
            cast(array, kind)
    wider = cast(pa.array([{"x": 1}]), pa.struct([("x", pa.float64()), ("y", pa.string())]))
    assert wider.to_pylist() == [{"a": {"x": 1.0, "y": None}}]
    category = cast(pa.array(["x", None]), pa.dictionary(pa.int32(), pa.string()))
    assert category.to_pylist() == [{"a": "x"}, {"a": None}]


def test_long_lists_are_cut_short_in_messages() -> None:
    assert schemas.listed([str(number) for number in range(20)]).endswith("11 and 8 more")
    assert schemas.clipped("x\n" * 100) == " ".join("x" * 39)[:77] + "..."


@pytest.mark.parametrize("any_as_text", [True, False])
def test_a_guess_gives_way_to_what_a_model_expects(any_as_text: bool) -> None:
    guessed = pa.schema(
        {
            "whole": pa.int64(),
            "part": pa.float64(),
            "code": pa.int64(),
            "none": pa.null(),
            "word": pa.string(),
        }
    )
    expected = {
        "whole": "double",
        "part": "int64",
        "code": "string",
        "none": "int64",
        "word": "double",
        "gone": "double",
    }
    found = schemas.as_expected(guessed, expected, any_as_text=any_as_text)
    code = pa.string() if any_as_text else pa.int64()
    assert found == pa.schema(
        {"whole": pa.float64(), "part": pa.float64(), "code": code, "none": pa.int64(), "word": pa.string()}
    )
