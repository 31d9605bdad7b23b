"""What a script returned, as a table: every shape that people return, and columns that do not depend on chance."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import errors
from penstock.scoring.scripts import batch_tables
from penstock.scoring.scripts.batch_tables import to_table

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")

Point = collections.namedtuple("Point", "x y")


def types(table) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in table.schema]


# Frames


def test_the_index_is_dropped():
    table = to_table(pd.DataFrame({"a": [1, 2]}, index=pd.Index(["x", "x"], name="b")))
    assert (table.column_names, table.to_pylist()) == (["a"], [{"a": 1}, {"a": 2}])


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["a", "a", "a_1"], ["a", "a_2", "a_1"]),
        (["a", "a", "a"], ["a", "a_1", "a_2"]),
        ([0, 1, 2], ["p_0", "p_1", "p_2"]),
        ([1, 2, 3], ["1", "2", "3"]),
        ([2.5, None, ("x", "y")], ["2.5", "None", "x_y"]),
        ([False, True, 2], ["False", "True", "2"]),
        ([Path("/a"), dt.date(2020, 1, 2), "prediction"], ["/a", "2020-01-02", "prediction"]),
    ],
)
def test_names(columns, names):
    frame = pd.DataFrame([[1, 2, 3]])
    frame.columns = pd.Index(columns, dtype=object, tupleize_cols=False)
    assert to_table(frame, "p").column_names == names


def test_levels_of_names():
    frame = pd.DataFrame({"k": [1, 1], "v": [2, 3]}).groupby("k", as_index=False).agg({"v": ["min", "max"]})
    assert to_table(frame).column_names == ["k", "v_min", "v_max"]


def test_a_single_unnamed_column():
    assert to_table(pd.DataFrame([[1], [2]]), "p").column_names == ["p"]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pd.Categorical(["a", None]), "string", ["a", None]),
        (pd.Categorical([3, 4]), "int64", [3, 4]),
        (pd.array([1, None], dtype="Int64"), "int64", [1, None]),
        (pd.array([True, None], dtype="boolean"), "bool", [True, None]),
        (pd.array([1.5, None], dtype="Float32"), "float", [1.5, None]),
        (np.array([1, 2], "float16"), "float", [1.0, 2.0]),
        (np.array([1.5, math.nan]), "double", [1.5, None]),
        (np.array([1.5, math.inf]), "double", [1.5, math.inf]),
        (np.array([1, 2], "uint8"), "uint8", [1, 2]),
        (pd.arrays.SparseArray([0, 1]), "int64", [0, 1]),
        (pd.period_range("2020-01", periods=2, freq="M"), "string", ["2020-01", "2020-02"]),
        (pd.interval_range(0, 2), "string", ["(0, 1]", "(1, 2]"]),
        (pd.Series(["a", None], dtype=object), "string", ["a", None]),
        (pd.Series(["a", None], dtype="string"), "string", ["a", None]),
        (pd.Series(["a", None], dtype="str"), "string", ["a", None]),
        (pd.Series([1, "a"], dtype=object), "string", ["1", "a"]),
        (pd.Series([1, None], dtype=object), "int64", [1, None]),
        (pd.Series([b"x", None], dtype=object), "binary", [b"x", None]),
        (
            pd.Series([{"a": 1}, {"b": 2}]),
            "struct<a: int64, b: int64>",
            [{"a": 1, "b": None}, {"a": None, "b": 2}],
        ),
        (pd.Series([np.array([1.0]), np.array([2.0, 3.0])]), "list<item: double>", [[1.0], [2.0, 3.0]]),
        (pd.Series([[1], "x"], dtype=object), "string", ["[1]", "x"]),
        (pd.Series([dt.datetime(2020, 1, 2), 5], dtype=object), "string", ["2020-01-02 00:00:00", "5"]),
        (pd.Series([b"x", "y"], dtype=object), "string", ["b'x'", "y"]),
    ],
)
def test_columns_of_frames(values, kind, expected):
    table = to_table(pd.DataFrame({"v": values}))
    assert (types(table), table.column("v").to_pylist()) == ([("v", kind)], expected)


def test_times():
    frame = pd.DataFrame(
        {"t": pd.to_datetime(["2020-01-02", None]), "z": pd.to_datetime(["2020-01-02", None], utc=True)}
    )
    table = to_table(frame)
    assert table.column("t").to_pylist() == [dt.datetime(2020, 1, 2), None]
    assert pa.types.is_timestamp(table.schema.field("z").type)
    assert table.schema.field("z").type.tz == "UTC"


def test_a_frame_without_rows_keeps_its_columns():
    assert types(to_table(pd.DataFrame({"a": pd.Series([], dtype="int32")}))) == [("a", "int32")]


# Lists of scalars


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        ([1, 2], "int64", [1, 2]),
        ([1, None], "int64", [1, None]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([1.5, math.nan, None], "double", [1.5, None, None]),
        ([np.float32(0.5)], "float", [0.5]),
        ([np.float16(0.5)], "float", [0.5]),
        ([np.int64(5), np.int64(6)], "int64", [5, 6]),
        ([np.bool_(True)], "bool", [True]),
        ([np.str_("a")], "string", ["a"]),
        ([np.array(5), np.array(6)], "int64", [5, 6]),
        (["a", None], "string", ["a", None]),
        ([b"a"], "binary", [b"a"]),
        ([1, "a", None, math.nan, pd.NA, pd.NaT], "string", ["1", "a", None, None, None, None]),
        ([True, 2], "string", ["True", "2"]),
        ([np.bool_(True), 2], "string", ["True", "2"]),
        ([dt.datetime(2020, 1, 2), 5], "string", ["2020-01-02 00:00:00", "5"]),
        ([dt.date(2020, 1, 2), 5], "string", ["2020-01-02", "5"]),
        ([dt.date(2020, 1, 2), dt.datetime(2020, 1, 3)], "string", ["2020-01-02", "2020-01-03 00:00:00"]),
        (["a", b"b"], "string", ["a", "b'b'"]),
        ([1, np.float32(0.5), math.nan], "double", [1.0, 0.5, None]),
        ([decimal.Decimal("1.5"), 2], "string", ["1.5", "2"]),
        ([2**70], "string", [str(2**70)]),
        ([1 + 2j], "string", ["(1+2j)"]),
        ([Path("/a")], "string", ["/a"]),
        ([decimal.Decimal("1.20")], "decimal128(3, 2)", [decimal.Decimal("1.20")]),
        ([dt.date(2020, 1, 2)], "date32[day]", [dt.date(2020, 1, 2)]),
        ([dt.datetime(2020, 1, 2)], "timestamp[us]", [dt.datetime(2020, 1, 2)]),
        ([np.datetime64("2020-01-02")], "date32[day]", [dt.date(2020, 1, 2)]),
        ([set("gfedcba"), None], "list<item: string>", [list("abcdefg"), None]),
        ([None, None], "null", [None, None]),
        ([], "null", []),
        ([1, (2, 3)], "string", ["1", "(2, 3)"]),
        ([{"a": 1}, "x"], "string", ["{'a': 1}", "x"]),
    ],
)
def test_lists_of_scalars(content, kind, expected):
    table = to_table(content, "p")
    assert (types(table), table.column("p").to_pylist()) == ([("p", kind)], expected)


# Lists of records


@pytest.mark.parametrize(
    "content",
    [
        [("f", 1), ("g", 2)],
        [["f", 1], ["g", 2]],
        list(np.array([["f", 1], ["g", 2]], dtype=object)),
        [pd.Series(["f", 1]), pd.Series(["g", 2])],
    ],
)
def test_records_without_names(content):
    assert to_table(content, "p").to_pylist() == [{"p_0": "f", "p_1": 1}, {"p_0": "g", "p_1": 2}]


@pytest.mark.parametrize(
    "content",
    [
        [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}],
        [Point(1, "a"), Point(2, "b")],
        [pd.Series({"x": 1, "y": "a"}), pd.Series({"x": 2, "y": "b"})],
        [pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})],
        [pd.DataFrame({"x": [1], "y": ["a"]}), pd.DataFrame({"x": [2], "y": ["b"]})],
        [collections.OrderedDict(x=1, y="a"), {"y": "b", "x": 2}],
    ],
)
def test_records_with_names(content):
    assert to_table(content).to_pylist() == [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]


def test_records_of_one_value_are_predictions():
    assert to_table([[0.5], [1.5]], "p").to_pylist() == [{"p": 0.5}, {"p": 1.5}]


def test_records_that_are_missing():
    assert to_table([None, (1, 2)], "p").to_pylist() == [{"p_0": None, "p_1": None}, {"p_0": 1, "p_1": 2}]
    assert to_table([{"a": 1}, None]).to_pylist() == [{"a": 1}, {"a": None}]


def test_keys_that_some_lack_stand_in_the_order_of_their_appearance():
    assert to_table([{"b": 1}, {"a": 2, "b": 3}]).to_pylist() == [{"b": 1, "a": None}, {"b": 3, "a": 2}]


def test_arrays_in_records():
    table = to_table([{"box": np.zeros((2, 2)), "embedding": np.array([1.0, 2.0])}])
    assert types(table) == [("box", "list<item: list<item: double>>"), ("embedding", "list<item: double>")]


def test_rows_of_several_lengths_are_refused():
    with pytest.raises(errors.ScriptRunError, match="rows of 1 to 2 values") as caught:
        to_table([[1], [2, 3]])
    assert "dictionaries" in caught.value.hint


# What holds for all


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.decimals(),
    st.datetimes(),
)


@given(st.lists(SCALARS, min_size=1, max_size=20))
def test_any_list_is_a_table_with_a_row_for_each(values):
    table = to_table(values)
    assert (table.num_rows, table.column_names) == (len(values), ["prediction"])
    missing = [
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, decimal.Decimal) and value.is_nan())
        for value in values
    ]
    assert [cell is None for cell in table.column(0).to_pylist()] == missing


@given(st.lists(st.one_of(st.text(max_size=2), st.integers(0, 3)), min_size=1, max_size=8))
def test_names_are_unique_and_as_many(names):
    frame = pd.DataFrame([range(len(names))])
    frame.columns = pd.Index(names, dtype=object)
    found = to_table(frame).column_names
    assert len(set(found)) == len(names)


@given(st.lists(st.text(max_size=2), max_size=8))
def test_names_that_are_unique_stay(names):
    unique = list(dict.fromkeys(names))
    assert batch_tables._unique(unique) == unique


@given(
    st.lists(st.tuples(st.integers(-(2**40), 2**40), st.text(max_size=3)), min_size=2, max_size=10), st.data()
)
def test_parts_of_a_result_have_the_columns_of_the_whole(values, data):
    middle = data.draw(st.integers(1, len(values) - 1))
    whole, first, second = (to_table(part) for part in (values, values[:middle], values[middle:]))
    assert pa.concat_tables([first, second]).equals(whole)
