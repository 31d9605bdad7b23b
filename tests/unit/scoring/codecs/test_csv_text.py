from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payload_models import NAMED_NUMBERS, NUMBERS, PEOPLE, TENSORS, TEXTS, UNKNOWN, Declared

from penstock import errors
from penstock.scoring.codecs import csv_text
from penstock.scoring.interface import Field

PEOPLE_CSV = b"""\xef\xbb\xbfcity,age,children,member,since,plan\r
"Oslo, N",39,2,true,2020-01-31,gold\r
,NA,0,False,2020-01-31T10:00:00,\r
"""


def test_cells_are_read_as_their_columns_want_them() -> None:
    frame = csv_text.read(PEOPLE_CSV, PEOPLE).to_frame()
    assert list(frame.columns) == ["age", "children", "city", "member", "since", "plan"]
    assert frame["age"].fillna(-1).tolist() == [39, -1]
    assert frame["city"].isna().tolist() == [False, True]
    assert frame["city"][0] == "Oslo, N"
    assert frame["member"].tolist() == [True, False]
    assert frame["plan"].isna().tolist() == [False, True]
    assert frame["since"][1].hour == 10


@pytest.mark.parametrize(
    "body",
    [b"a,b,c\n1,2,3\n4,5.5,\n", b"1,2,3\n4,5.5,\n", b"c,a,b\n3,1,2\n,4,5.5", b"1,2,3\n\n4,5.5,nan\n"],
)
def test_a_header_row_is_told_from_rows(body: bytes) -> None:
    np.testing.assert_array_equal(
        csv_text.read(body, NAMED_NUMBERS).to_array(), [[1, 2, 3], [4, 5.5, np.nan]]
    )


def test_models_without_names() -> None:
    expected = [[1, 2, 3], [4, 5.5, np.nan]]
    for body in (b"x,y,z\n1,2,3\n4,5.5,\n", b"1,2,3\n4,5.5,\n"):
        np.testing.assert_array_equal(csv_text.read(body, NUMBERS), expected)
    assert csv_text.read(b"text\ngood\nbad\n", TEXTS).tolist() == ["good", "bad"]
    assert csv_text.read(b'good\n"so, so"\n', TEXTS).tolist() == ["good", "so, so"]
    guessed = csv_text.read(b"n,x,s\n1,2.5,u\n2,,v\n", UNKNOWN).to_frame()
    assert guessed["n"].tolist() == [1, 2]
    assert np.isnan(guessed["x"][1])
    assert guessed["s"].tolist() == ["u", "v"]
    assert csv_text.read(b"1,2\n3,4\n", UNKNOWN).tolist() == [[1, 2], [3, 4]]


def test_header_only_is_no_rows() -> None:
    assert csv_text.read(b"a,b,c\n", NAMED_NUMBERS).rows == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "CSV body is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b'a,b,c\n1,"2,3\n', "not CSV"),
        (b"a,b,c\n1,2\n", "row 0 .*record 2 of the body.*expected 3 cells.*found 2"),
        (b"1,2\n", "expected 3 columns .'a', 'b', 'c'., found 2 and no header row"),
        (b"a,b,d\n1,2,3\n", "missing column: 'c'; unexpected column: 'd'"),
        (b"x,y,z\n1,2,3\n", "missing columns: 'a', 'b', 'c'; unexpected columns: 'x', 'y', 'z'"),
        (b",a,b,c\n0,1,2,3\n", "index=False"),
        (b"a,a,b\n1,2,3\n", "named twice: 'a'"),
        (b"a,b,c\n1,x,3\n", "row 0 .*column 'b': expected a number .float64., found the string \"x\""),
        (b"a,b,c\n1,1_000,3\n", "column 'b': expected a number"),
    ],
)
def test_a_wrong_cell_is_named(body: bytes, message: str) -> None:
    with pytest.raises(errors.InputError, match=message):
        csv_text.read(body, NAMED_NUMBERS)


def test_tensors_do_not_fit_into_csv() -> None:
    with pytest.raises(
        errors.SchemaMismatch, match=r"2 named tensors \('ids', 'mask'\), which CSV cannot say"
    ):
        csv_text.read(b"1,2\n", TENSORS)


def test_missing_integer_is_refused() -> None:
    model = Declared("table", Field("n", "int64"), Field("s", "str"))
    with pytest.raises(
        errors.SchemaMismatch, match=r"row 1 .*column 'n': expected a whole number .*found null"
    ):
        csv_text.read(b"n,s\n1,a\n,b\n", model)


@given(st.lists(st.tuples(*[st.floats(allow_infinity=False)] * 3), min_size=1, max_size=5), st.booleans())
def test_floats_come_through_as_written(rows: list[tuple[float, ...]], has_header: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    if has_header:
        writer.writerow("abc")
    writer.writerows(rows)
    np.testing.assert_array_equal(
        csv_text.read(text.getvalue().encode(), NAMED_NUMBERS).to_array(), np.array(rows)
    )


def test_true_is_one_among_floats_as_pandas_writes_dummies() -> None:
    assert csv_text.read(b"a,b,c\n1,True,3\n2,False,\n", NAMED_NUMBERS).columns["b"].tolist() == [1.0, 0.0]
