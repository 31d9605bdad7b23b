from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from payload_models import NAMED_NUMBERS, NUMBERS, PEOPLE, TENSORS

from penstock import errors
from penstock.scoring.codecs import arrow_stream


def stream(**columns: Any) -> bytes:
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    body: bytes = sink.getvalue().to_pybytes()
    return body


PEOPLE_COLUMNS: dict[str, Any] = {
    "children": pa.array([2, 0], pa.int8()),
    "age": pa.array([39.0, None]),
    "city": pa.array(["Oslo", None]).dictionary_encode(),
    "member": [True, False],
    "since": pa.array([0, None], pa.timestamp("ms", tz="Europe/Oslo")),
    "plan": pa.array(["gold", None]),
}


def test_columns_arrive_typed_in_the_models_order() -> None:
    frame = arrow_stream.read(stream(**PEOPLE_COLUMNS), PEOPLE).to_frame()
    assert list(frame.columns) == ["age", "children", "city", "member", "since", "plan"]
    assert frame["age"].fillna(-1).tolist() == [39, -1]
    assert str(frame["children"].dtype) == "int64"
    assert frame["city"].isna().tolist() == [False, True]
    assert frame["since"].isna().tolist() == [False, True]
    assert frame["since"][0].isoformat() == "1970-01-01T00:00:00"
    assert frame["plan"].cat.categories.tolist() == ["basic", "gold"]


def test_numbers_of_any_width() -> None:
    body = stream(a=pa.array([1, 2], pa.uint8()), b=pa.array([1.5, 2.5], pa.float32()), c=[1.0, None])
    expected = [[1, 1.5, 1], [2, 2.5, np.nan]]
    np.testing.assert_array_equal(arrow_stream.read(body, NAMED_NUMBERS).to_array(), expected)
    np.testing.assert_array_equal(arrow_stream.read(body, NUMBERS), expected)
    lists = stream(rows=pa.array([[1.0, 2.0, 3.0]], pa.list_(pa.float64(), 3)))
    np.testing.assert_array_equal(arrow_stream.read(lists, NUMBERS), [[1, 2, 3]])


def test_tensors_as_list_columns() -> None:
    data = arrow_stream.read(stream(ids=[[1, 2]], mask=pa.array([1.0], pa.float32())), TENSORS)
    assert data["ids"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not an Arrow IPC stream"),
        (b"no arrow at all", "not an Arrow IPC stream"),
        (stream(**PEOPLE_COLUMNS)[:-400], "not an Arrow IPC stream"),
        (stream(a=[1]), "missing columns: 'age', 'children', .*unexpected column: 'a'"),
        (stream(**{**PEOPLE_COLUMNS, "children": pa.array([1, None])}), "row 1 .*column 'children': .*found null"),
        (stream(**{**PEOPLE_COLUMNS, "children": [1.0, 2.5]}), "row 1 .*column 'children': .*found 2.5"),
        (stream(**{**PEOPLE_COLUMNS, "children": [True, False]}), "'children': expected a whole .*type bool"),
        (stream(**{**PEOPLE_COLUMNS, "age": ["1", "2"]}), "row 0 .*column 'age': expected a number .*string \"1\""),
        (stream(**{**PEOPLE_COLUMNS, "city": [1, 2]}), "'city': expected a string, found values of type int64"),
        (stream(**{**PEOPLE_COLUMNS, "plan": ["gold", "g"]}), "row 1 .*'plan': expected one of 'basic', 'gold'"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_wrong_stream_is_named(body: bytes, message: str) -> None:
    with pytest.raises(errors.InputError, match=message):
        arrow_stream.read(body, PEOPLE)
