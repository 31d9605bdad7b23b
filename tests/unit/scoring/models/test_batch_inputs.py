"""Which columns of a job's input a model gets, what is refused before any work, and what is refused in a call."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from batch_model_bench import opened, scorer, scripted
from sklearn.linear_model import LogisticRegression

from penstock import errors
from penstock.scoring.interface import Field, Signature
from penstock.scoring.loaders import sklearn as sklearn_loader
from support import sample_models

X = sample_models.numbers()
NAMES = sample_models.COLUMNS
FOUR = pa.table({"id": pa.array(range(60))} | {name: X[:, place] for place, name in enumerate(NAMES)})
ARRAY = Signature("array", (Field("input", "float64", (-1, 4)),))


def given(signature: Signature, table: pa.Table, **settings: Any) -> Any:
    """What a model of `signature` is called with for `table`."""
    seen = []

    def answer(data: Any) -> Any:
        seen.append(data)
        return np.zeros(table.num_rows)

    made = scorer(scripted(answer, signature), table.schema, **settings)
    made.score(table.select(made.columns or ()))
    return seen[0]


def one(field: Field, column: Any) -> Any:
    """What becomes of a `column` named x for a table with this `field`."""
    table = pa.table({"x": column})
    return given(Signature("table", (field,)), table)["x"].to_numpy()


@pytest.fixture(scope="module")
def named() -> Any:
    frame = pd.DataFrame(X, columns=NAMES)
    return sklearn_loader.adopt(LogisticRegression().fit(frame, sample_models.labels(X)), path="m", name="m")


def test_names_take_their_columns_and_leave_the_rest(named: Any) -> None:
    made = scorer(named, FOUR.schema)
    assert made.columns == tuple(NAMES)
    assert made.takes == "arrow"
    assert made.row_independent
    assert made.fork_safe


def test_what_is_missing_or_of_another_type_is_told_all_at_once(named: Any) -> None:
    schema = pa.schema(
        [("A", pa.float64()), ("b", pa.string()), ("d", pa.timestamp("us")), ("id", pa.int64())]
    )
    with pytest.raises(errors.SchemaMismatch) as caught:
        scorer(named, schema)
    assert caught.value.message == (
        "the input lacks 2 of the 4 columns that the model takes: 'a' (did you mean 'A'?), 'c'; "
        "it has 'A', 'b', 'd', 'id'; besides, column 'b' is string, the model takes a number (float64); "
        "column 'd' is timestamp[us], the model takes a number (float64)"
    )
    assert "--input-columns" in caught.value.hint
    types = schema.set(0, pa.field("a", pa.float64())).append(pa.field("c", pa.float64()))
    with pytest.raises(errors.SchemaMismatch, match=r"^column 'b' is string.*; column 'd' is ") as caught:
        scorer(named, types)
    assert "--column-type" in caught.value.hint


def test_chosen_columns_stand_for_the_names_by_position(named: Any) -> None:
    renamed = FOUR.rename_columns(["id", "w", "x", "y", "z"])
    expected = scorer(named, FOUR.schema).score(FOUR).content
    made = scorer(named, renamed.schema, input_columns=("w", "x", "y", "z"))
    assert made.columns == ("w", "x", "y", "z")
    assert made.score(renamed).content.equals(expected)
    # Its own names mean themselves, in whatever order.
    assert scorer(named, FOUR.schema, input_columns=("d", "c", "b", "a")).score(FOUR).content.equals(expected)
    with pytest.raises(errors.SchemaMismatch, match="names 2 columns, the model takes 4"):
        scorer(named, renamed.schema, input_columns=("w", "x"))
    with pytest.raises(errors.SchemaMismatch, match=r"has no column 'W' \(did you mean 'w'\?\)"):
        scorer(named, renamed.schema, input_columns=("W", "x", "y", "z"))


def test_a_name_that_stands_twice_is_refused(named: Any) -> None:
    twice = pa.Table.from_arrays([FOUR.column(name) for name in (*NAMES, "a")], names=[*NAMES, "a"])
    with pytest.raises(errors.SchemaMismatch, match="columns named twice: 'a'"):
        scorer(named, twice.schema)


def test_optional_columns_may_be_missing() -> None:
    signature = Signature("table", (Field("a", "float64"), Field("z", "str", required=False)))
    assert list(given(signature, FOUR).columns) == ["a"]


def test_positions_are_told_by_their_number_or_not_at_all() -> None:
    numbers = FOUR.drop_columns(["id"]).append_column("city", pa.array(["Oslo"] * 60))
    np.testing.assert_array_equal(given(ARRAY, numbers), X)
    made = scorer(scripted(len, ARRAY), numbers.schema)
    assert made.notes[-1].endswith("it gets the input's columns in their order: 'a', 'b', 'c', 'd'")
    with pytest.raises(errors.SchemaMismatch) as caught:
        given(ARRAY, FOUR)
    assert "it takes 4 columns, and the input has 5 numeric columns: 'id', 'a', 'b', 'c', 'd'" in str(
        caught.value
    )
    assert "--input-columns" in caught.value.hint
    np.testing.assert_array_equal(given(ARRAY, FOUR, input_columns=tuple(NAMES[::-1])), X[:, ::-1])
    with pytest.raises(errors.SchemaMismatch, match=r"has 3 numeric columns: .*'city' \(string\)"):
        given(ARRAY, numbers.drop_columns(["a"]))
    with pytest.raises(errors.SchemaMismatch, match="names 3 columns, the model takes 4"):
        given(ARRAY, FOUR, input_columns=("a", "b", "c"))
    with pytest.raises(errors.SchemaMismatch, match="column 'city' is string"):
        given(ARRAY, numbers, input_columns=("a", "b", "c", "city"))


def test_a_column_of_lists_is_a_matrix() -> None:
    lists = pa.table({"id": pa.array(range(60)), "features": pa.array(X.tolist())})
    np.testing.assert_array_equal(given(ARRAY, lists), X)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4)
    table = pa.table({"features": fixed, "more": fixed})
    np.testing.assert_array_equal(given(ARRAY, table.slice(7, 5), input_columns=("more",)), X[7:12])
    with pytest.raises(errors.SchemaMismatch, match="columns of lists: 'features', 'more'"):
        given(ARRAY, table)
    free = Signature("array", (Field("input", "float64", (-1, -1)),))
    with pytest.raises(errors.SchemaMismatch, match="that it takes columns by position"):
        given(free, lists)


def test_float32_stays_where_the_model_only_wants_numbers(named: Any) -> None:
    narrow = FOUR.select(NAMES).cast(pa.schema([(name, pa.float32()) for name in NAMES]))
    bare = LogisticRegression().fit(X.astype(np.float32), sample_models.labels(X))
    model = sklearn_loader.adopt(bare, path="m", name="m")
    made = scorer(model, narrow.schema, method="predict_proba")
    expected = bare.predict_proba(np.column_stack([column.to_numpy() for column in narrow.columns]))
    assert expected.dtype == np.float32
    content = made.score(narrow).content
    np.testing.assert_array_equal(
        np.column_stack([column.to_numpy() for column in content.columns]), expected
    )
    assert content.schema.types == [pa.float32()] * 2
    # A dtype that somebody wrote down is kept to.
    assert given(ARRAY, narrow).dtype == np.float64
    single = Signature("array", (Field("input", "float32", (-1, 4)),))
    assert given(single, FOUR.select(NAMES)).dtype == np.float32


def test_several_chunks_and_more_rows_than_a_block() -> None:
    many = pa.table({name: np.arange(30_000.0) + place for place, name in enumerate(NAMES)})
    table = pa.concat_tables([many.slice(0, 11), many.slice(11, 20_000), many.slice(20_011)])
    expected = np.column_stack([np.arange(30_000.0) + place for place in range(4)])
    np.testing.assert_array_equal(given(ARRAY, table), expected)


def test_numbers_of_every_type_become_floats() -> None:
    missing = [1, None, 3]
    table = pa.table(
        {
            "a": pa.array(missing, pa.int16()),
            "b": pa.array([True, None, False]),
            "c": pa.array([Decimal("1.5"), None, Decimal(2)]),
            "d": pa.array(missing, pa.uint64()).dictionary_encode(),
        }
    )
    nan = np.nan
    np.testing.assert_array_equal(
        given(ARRAY, table, input_columns=tuple(NAMES)),
        [[1, 1, 1.5, 1], [nan] * 4, [3, 0, 2, 3]],
    )


@pytest.mark.parametrize(
    ("field", "column", "row", "message"),
    [
        (Field("x", "int64"), pa.array([1, None]), 1, "expected a whole number (int64), found null"),
        (Field("x", "int64"), pa.array([1.0, 2.5]), 1, "expected a whole number (int64), found 2.5"),
        (Field("x", "int8"), pa.array([1, 300]), 1, "found 300, which is out of its range"),
        (Field("x", "bool"), pa.array([True, None]), 1, "expected true or false, found null"),
        (Field("x", "float32"), pa.array([1.0, 1e300]), 1, "found 1e+300, which is out of its range"),
        (Field("x", "datetime64"), pa.array(["2024-01-31", "soon"]), 1, 'found the string "soon"'),
        (
            Field("x", "category", categories=("Oslo", "Rome")),
            pa.array(["Rome", None, "Romw"]),
            2,
            "found the string \"Romw\" (did you mean 'Rome'?)",
        ),
        (Field("x", "datetime64"), pa.array([dt.datetime(9999, 1, 1)]), -1, "years 1678 to 2261"),
    ],
)
def test_a_value_that_does_not_fit_is_named(field: Field, column: Any, row: int, message: str) -> None:
    with pytest.raises(errors.DataError) as caught:
        one(field, column)
    assert message in caught.value.message
    assert caught.value.message.startswith("column 'x': ")
    assert (caught.value.column, caught.value.row) == ("x", row)


def test_a_number_too_large_for_a_matrix_is_named() -> None:
    narrow = Signature("array", (Field("input", "float32", (-1, 4)),))
    table = FOUR.select(NAMES).slice(0, 3).set_column(2, "c", pa.array([1.0, np.inf, 1e300]))
    with pytest.raises(errors.DataError, match=r"column 'c': .*found 1e") as caught:
        given(narrow, table)
    assert caught.value.row == 2


def test_values_as_models_get_them_from_requests() -> None:
    days = pa.array([dt.date(2024, 1, 31), None])
    np.testing.assert_array_equal(
        one(Field("x", "datetime64"), days), np.array(["2024-01-31", "NaT"], "datetime64[ns]")
    )
    zoned = pa.array([dt.datetime(2024, 1, 31, 12)], pa.timestamp("us", "Europe/Oslo"))
    assert one(Field("x", "datetime64"), zoned) == np.datetime64("2024-01-31T12:00")
    assert one(Field("x", "int32"), pa.array([1.0, 2.0])).dtype == np.int32
    assert one(Field("x", "bytes"), pa.array([b"\x00"]))[0] == b"\x00"
    text = one(Field("x", "str"), pa.array(["a", None]).dictionary_encode())
    assert text[0] == "a"
    assert pd.isna(text[1])
    gone = one(Field("x", "category", categories=("Oslo",)), pa.nulls(2))
    assert pd.isna(gone).all()


def test_categories_of_another_kind_are_refused_before_any_work() -> None:
    for categories, column in (((1, 2), pa.array(["1"])), (("a",), pa.array([1]))):
        signature = Signature("table", (Field("x", "category", categories=categories),))
        with pytest.raises(errors.SchemaMismatch, match="the model takes one of"):
            scorer(scripted(len, signature), pa.table({"x": column}).schema)


def test_one_text_a_row() -> None:
    signature = Signature("array", (Field("text", "str", (-1,)),))
    notes = pa.table({"id": [1, 2], "note": ["a", "b"]})
    assert given(signature, notes).tolist() == ["a", "b"]
    # As in requests; None would be a text to some vectorizers.
    assert np.isnan(given(signature, pa.table({"note": ["a", None]}))[1])
    two = notes.append_column("text", pa.array(["c", "d"]))
    assert given(signature, two).tolist() == ["c", "d"]
    assert given(signature, two, input_columns=("note",)).tolist() == ["a", "b"]
    with pytest.raises(errors.SchemaMismatch, match="has 2 that could be it: 'note', 'more'"):
        given(signature, notes.append_column("more", pa.array(["c", "d"])))
    with pytest.raises(errors.SchemaMismatch, match=r"has none that could be it: 'id' \(int64\)"):
        given(signature, notes.select(["id"]))


def test_models_that_say_nothing_get_all_columns() -> None:
    frame = given(Signature(), pa.table({"n": [1, None], "t": ["a", None], "k": [1, 2]}))
    assert list(frame.columns) == ["n", "t", "k"]
    assert frame["n"].dtype == np.float64
    assert frame["k"].dtype == np.int64
    assert list(given(Signature(), FOUR, input_columns=("d", "a")).columns) == ["d", "a"]
    np.testing.assert_array_equal(given(Signature(), pa.table({"v": X.tolist()})), X)

    def refuses(data: Any) -> Any:
        raise ValueError("X has 5 features\nand more")

    with pytest.raises(errors.InputError, match=r"refused its input: predict: ValueError: X has") as caught:
        scorer(scripted(refuses, Signature()), FOUR.schema).score(FOUR)
    assert (
        "given these columns: 'id', 'a', 'b', 'c', 'd'. --input-columns chooses others." in caught.value.hint
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning:torch")
class TestTensors:
    """Several named inputs, and images."""

    IMAGES = Signature("array", (Field("input", "float32", (-1, 3, 4, 2)),))
    PAIR = Signature("tensors", (Field("x", "float32", (-1, 4)), Field("ids", "int64", (-1,))))

    def test_flat_and_nested_lists_are_folded(self) -> None:
        pixels = np.arange(5 * 24, dtype=np.uint8).reshape(5, 3, 4, 2)
        flat = pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), 24)
        for column in (flat, pa.array(pixels.tolist()), pa.array(pixels.reshape(5, 24).tolist())):
            table = pa.table({"id": range(5), "picture": column})
            chunked = pa.concat_tables([table.slice(1, 0), table.slice(1, 1), table.slice(2)])
            found = given(self.IMAGES, chunked)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, pixels[1:])

    def test_lists_of_other_sizes_are_refused_before_any_work(self) -> None:
        short = pa.schema([("picture", pa.list_(pa.float32(), 23))])
        with pytest.raises(errors.SchemaMismatch, match=r"takes an array of shape \(rows, 3, 4, 2\)"):
            scorer(scripted(len, self.IMAGES), short)
        with pytest.raises(errors.SchemaMismatch, match="a value is string, the model takes a number"):
            scorer(scripted(len, self.IMAGES), pa.schema([("picture", pa.list_(pa.string()))]))
        with pytest.raises(errors.SchemaMismatch, match="one column of lists, and the input has 'a'"):
            scorer(scripted(len, self.IMAGES), pa.schema([("a", pa.float32())]))

    @pytest.mark.parametrize(
        ("lists", "row", "message"),
        [
            ([[1.0] * 4, [1.0] * 3], 1, "expected lists of 4 values as in the rows before, found 3"),
            ([[1.0] * 4, None], 1, "expected a list, found null"),
            ([[1.0] * 5], -1, r"expected the shape \(rows, 4\), found \(1, 5\)"),
        ],
    )
    def test_lists_of_other_lengths_are_named(self, lists: Any, row: int, message: str) -> None:
        table = pa.table({"x": pa.array(lists, pa.list_(pa.float64())), "ids": pa.array([1] * len(lists))})
        with pytest.raises(errors.DataError, match=message) as caught:
            given(self.PAIR, table)
        assert (caught.value.column, caught.value.row) == ("x", row)

    def test_the_row_of_a_list_within_lists_is_named(self) -> None:
        pixels = np.ones((4, 3, 4, 2)).tolist()
        pixels[2][1][3] = [1.0]
        table = pa.table({"picture": pixels})
        chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
        with pytest.raises(errors.DataError, match=r"expected lists of 2 values .*, found 1") as caught:
            given(self.IMAGES, chunked)
        assert caught.value.row == 2

    def test_tensors_by_name(self) -> None:
        table = pa.table({"ids": pa.array([3, 4], pa.int32()), "k": [0, 0], "x": X[:2].tolist()})
        found = given(self.PAIR, table)
        np.testing.assert_array_equal(found["x"], X[:2].astype(np.float32))
        np.testing.assert_array_equal(found["ids"], [3, 4])
        with pytest.raises(errors.SchemaMismatch, match="lacks 1 of the 2 tensors that the model takes: 'x'"):
            given(self.PAIR, table.drop_columns(["x"]))
        with pytest.raises(errors.SchemaMismatch, match="column 'x' is int64, the model takes lists"):
            given(self.PAIR, table.drop_columns(["x"]).append_column("x", pa.array([1, 2])))

    def test_a_network_for_pictures(self, tmp_path: Path) -> None:
        import torch

        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 4)
        ).eval()
        pictures = torch.rand(6, 3, 8, 8)
        torch.jit.script(network).save(tmp_path / "model.pt")
        np.save(tmp_path / "sample.npy", pictures[:2].numpy())
        column = pa.FixedSizeListArray.from_arrays(pa.array(pictures.numpy().ravel()), 192)
        table = pa.table({"id": range(6), "pixels": column})
        made = opened(tmp_path / "model.pt", table.schema, sample_input=str(tmp_path / "sample.npy"))
        content = made.score(table).content
        assert content.column_names == [f"prediction_{place}" for place in range(4)]
        with torch.no_grad():
            expected = network(pictures).numpy()
        found = np.column_stack([each.to_numpy() for each in content.columns])
        np.testing.assert_allclose(found, expected, rtol=1e-5)
