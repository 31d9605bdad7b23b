"""What an MLTable does to its rows: the same however they are cut. Rules without a reason of ours are those that
Azure ML's own reader was seen to follow."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import operator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.runtimes.batch.transformations import limits, random_rows, rewriting
from penstock.runtimes.batch.transformations.rewriting import Origin

TABLE = pa.table(
    {
        "id": [1, 2, 3, 4],
        "x": [1.5, None, 2.5, 9.0],
        "flag": ["yes", "no", "maybe", "yes"],
        "when": ["01/02/2023", "15/03/2023", "bad", "01/02/2023"],
        "name": ["ann", None, "b,c", "zed"],
    }
)
HERE = Origin("/data/a/2023/05/d.csv")


def kept(text: str) -> list[int]:
    """The ids that the filter `text` keeps."""
    return rewriting.apply(TABLE, [{"filter": text}], HERE).column("id").to_pylist()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('col("x") > 1.6', [3, 4]),
        ("x > 1.6", [3, 4]),
        ("col('x') > 1.6", [3, 4]),
        ("not (x > 1.6)", [1]),
        ("not x > 1.6", [1]),
        ("x > 1.6 or id == 1", [1, 3, 4]),
        ("x > 1.6 or id == 2", [2, 3, 4]),
        ("x > 1.6 and id == 3", [3]),
        ("not (x > 1.6 and id == 2)", [1, 3, 4]),
        ("not (x > 1.6 and id == 1)", [1, 3, 4]),
        ("not (x > 1.6 or id == 2)", [1]),
        ("not (x > 1.6 or id == 99)", [1]),
        ("not (id == 99 or x > 1.6)", [1]),
        ("not (id == 99 and x > 1.6)", [1, 2, 3, 4]),
        ("not (id == 2 and x > 1.6)", [1, 3, 4]),
        ("not (x > 1.6 and id == 99)", [1, 3, 4]),
        ("x != 1.5", [3, 4]),
        ("x == None", []),
        ("name == None", []),
        ('name != "ann"', [3, 4]),
        ('not (name == "ann")', [3, 4]),
        ("x + 1 > 3", [3, 4]),
        ("x * 2 > 4", [3, 4]),
        ("x - 1 > 1", [3, 4]),
        ("x / 2 > 1", [3, 4]),
        ("-x < -2", [3, 4]),
        ("id % 2 == 0", [2, 4]),
        ("id / 2 == 1.5", [3]),
        ("id // 2 == 1", [2, 3]),
        ("(id - 4) // 2 == -1", [1, 2]),
        ("(id - 4) // 2.0 == -1", [2, 3]),
        ("(x - 4) % 2 == 1.5", [1]),
        ("id != 2 and 1 / (id - 2) > 0", [3, 4]),
        ("id ** 2 == 4", [2]),
        ("(id - 5) % 3 == 2", [1, 4]),
        ('flag.startswith("y")', [1, 4]),
        ('when.startswith("01/") and id == 1', [1]),
        ('flag + "x" == "yesx"', [1, 4]),
        ("flag == flag", [1, 2, 3, 4]),
        ('(flag == "yes") == True', [1, 4]),
        ('flag > "m"', [1, 2, 3, 4]),
        ("id == 1.0", [1]),
        ("id > -1", [1, 2, 3, 4]),
        ("id > +1", [2, 3, 4]),
        ("id == 1.5e0 - 0.5", [1]),
        ("id == 0x1", [1]),
        ("True", [1, 2, 3, 4]),
        ("False", []),
        ("1 == 1", [1, 2, 3, 4]),
        ("id < x", [1, 4]),
        ("1 == id", [1]),
        ("id == 1 or id == 2 and x > 100", [1]),
        ("datetime(2015, 7, 5) < datetime(2016,1,1)", [1, 2, 3, 4]),
        ("datetime(2015, 7, 5, 23, 1, 2, 500) > datetime(2015, 7, 5)", [1, 2, 3, 4]),
    ],
)
def test_a_filter_keeps_what_azure_mls_reader_keeps(text, ids):
    assert kept(text) == ids


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('col("nope") > 1', "'nope'"),
        ("true", "'true'"),
        ('id == "1"', "compares a number with a text"),
        ("flag == True", "compares a text with a truth value"),
        ("id", "is a number, not true or false"),
        ("not id", "not takes a truth value, found a number"),
        ("id and x > 1", "and takes a truth value, found a number"),
        ('id + "a" == 1', "+ takes numbers, found a text"),
        ("id.startswith('a')", "startswith takes a text, found a number"),
        ("id * 9223372036854775807 > 1", "cannot be computed"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_an_error(text, words):
    with pytest.raises(DataError) as caught:
        kept(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ['col("nope") > 1', 'id == "1"', "id", "not id", 'id + "a" == 1'])
def test_it_is_an_error_before_any_row_is_read(text):
    with pytest.raises(DataError):
        rewriting.schema_after(TABLE.schema, [{"filter": text}])


def test_times_are_compared_as_times():
    moment = dt.datetime(2020, 1, 2, 3, 4, 5)
    table = pa.table(
        {
            "naive": pa.array([moment, None], pa.timestamp("ms")),
            "zoned": pa.array([moment, None], pa.timestamp("ns", "Europe/Berlin")),
            "day": pa.array([moment.date(), None], pa.date32()),
            "code": pa.array(["a", "b"]).dictionary_encode(),
            "yes": pa.array([True, None]),
        }
    )
    for text in (
        "naive > datetime(2020, 1, 1)",
        "zoned >= datetime(2020, 1, 2, 3, 4, 5)",
        "day == datetime(2020, 1, 2)",
        "naive > day",
        'code == "a"',
        "yes",
    ):
        assert rewriting.apply(table, [{"filter": text}], HERE).num_rows == 1, text
    assert rewriting.apply(table, [{"filter": "not yes"}], HERE).num_rows == 0


def columns(steps, table: pa.Table = TABLE) -> list[str]:
    found = rewriting.apply(table, steps, HERE).column_names
    assert rewriting.schema_after(table.schema, steps).names == found
    return found


def test_columns_are_kept_in_the_order_that_is_said():
    pattern = {"pattern": "^[in]", "ignore_case": False, "invert": False}
    assert columns([{"keep_columns": ["name", "id"]}]) == ["name", "id"]
    assert columns([{"drop_columns": ["name", "nope"]}]) == ["id", "x", "flag", "when"]
    assert columns([{"keep_columns": pattern}]) == ["id", "name"]
    assert columns([{"drop_columns": pattern}]) == ["x", "flag", "when"]
    assert columns([{"drop_columns": {**pattern, "pattern": "ID", "ignore_case": True, "invert": True}}]) == [
        "id"
    ]


def test_a_column_that_is_not_there_is_said_before_any_row_is_read():
    for step in (
        {"keep_columns": ["nam"]},
        {"convert_column_types": [{"columns": ["nam"], "type": "int"}]},
    ):
        with pytest.raises(DataError) as caught:
            rewriting.schema_after(TABLE.schema, [step])
        assert caught.value.column == "nam"
        assert "did you mean name?" in caught.value.hint
        rewriting.apply(TABLE, [step], HERE)  # the reader leaves away what nobody needs


def test_the_path_gives_columns():
    steps = [
        {"extract_columns_from_partition_format": {"partition_format": "/a/{month:yyyy/MM}/{part}.csv"}},
        {"include_path_column": {"name": "Path"}},
        {"keep_columns": ["Path", "part", "month", "id"]},
        {"filter": 'part == "d" and month >= datetime(2023, 5, 1)'},
    ]
    table = rewriting.apply(TABLE, steps, HERE)
    assert table.column_names == ["Path", "part", "month", "id"]
    assert table.slice(0, 1).to_pylist() == [
        {"Path": HERE.file, "part": "d", "month": dt.datetime(2023, 5, 1), "id": 1}
    ]
    assert rewriting.schema_after(TABLE.schema, steps) == table.schema
    with pytest.raises(DataError) as caught:
        rewriting.apply(TABLE, steps, Origin("/data/b/x.csv"))
    assert caught.value.file == "/data/b/x.csv"
    first = rewriting.apply(TABLE, steps[:1], HERE).column_names
    assert first == ["part", "month", *TABLE.column_names]


def converted(values: pa.Array | list, kind: str, **said: object) -> list:
    table = pa.table({"c": values})
    step = {"convert_column_types": [{"columns": ["c"], "type": kind, **said}]}
    made = rewriting.apply(table, [step], HERE)
    assert rewriting.schema_after(table.schema, [step]) == made.schema
    return made.column("c").to_pylist()


MOMENT = pa.array([dt.datetime(2020, 1, 2, 3, 4, 5), None])


@pytest.mark.parametrize(
    ("values", "kind", "made"),
    [
        (["3.0", " 3", "x", "007", "1e3", "+5", None], "int", [3, 3, None, 7, 1000, 5, None]),
        ([9.0, 1.5, -1.5, None, float("nan"), float("inf"), 1e30], "int", [9, 1, -1, None, None, None, None]),
        (["9223372036854775807", "9223372036854775808", "1_0"], "int", [2**63 - 1, None, None]),
        ([True, False, None], "int", [None, None, None]),
        (MOMENT, "int", [None, None]),
        (["3.0", " 3", "x", "007", "1e3", None], "float", [3.0, 3.0, None, 7.0, 1000.0, None]),
        ([1, None], "float", [1.0, None]),
        ([1, None, 3], "string", ["1", None, "3"]),
        ([9.0, 1.5, None], "string", ["9", "1.5", None]),
        ([True, False, None], "string", ["true", "false", None]),
        (MOMENT, "string", ["2020-01-02T03:04:05+00:00", None]),
        (["true", "True", "0", "1", "yes", None], "boolean", [True, True, False, True, None, None]),
        ([0, 2, None], "boolean", [False, True, None]),
        (
            ["2020-01-02", "2020-01-02T03:04:05Z", "x"],
            "datetime",
            [dt.datetime(2020, 1, 2), MOMENT[0].as_py(), None],
        ),
    ],
)
def test_types_are_converted_as_azure_mls_reader_does(values, kind, made):
    assert converted(values, kind, **({"formats": []} if kind == "datetime" else {})) == made


def test_words_of_truth():
    said = {"true_values": ["yes"], "false_values": ["no"]}
    flags = ["yes", "no", "maybe", None]
    assert converted(flags, "boolean", **said, mismatch_as="") == [True, False, None, None]
    assert converted(flags, "boolean", **said, mismatch_as="true") == [True, False, True, None]
    assert converted(flags, "boolean", **said, mismatch_as="false") == [True, False, False, None]
    assert converted([1, 0], "boolean", true_values=["1"], false_values=["0"]) == [True, False]
    with pytest.raises(DataError, match="'maybe' is neither true nor false") as caught:
        converted(flags, "boolean", **said, mismatch_as="error")
    assert (caught.value.file, caught.value.column) == (HERE.file, "c")


def test_formats_of_time_are_tried_in_turn():
    texts = ["01/02/2023", "2023-03-15", "bad", None]
    assert converted(texts, "datetime", formats=["%d/%m/%Y", "%Y-%m-%d"]) == [
        dt.datetime(2023, 2, 1),
        dt.datetime(2023, 3, 15),
        None,
        None,
    ]
    assert converted([20230201], "datetime", formats=["%Y%m%d"]) == [dt.datetime(2023, 2, 1)]


def test_empty_text_may_stay_text():
    table = pa.table({"t": ["a", None], "n": [1, None]})
    assert rewriting.apply(table, [{"empty_as_string": {}}], HERE).to_pylist() == [
        {"t": "a", "n": 1},
        {"t": "", "n": None},
    ]


def test_what_is_carried_survives_with_its_rows():
    table = TABLE.append_column("_row", pa.array([10, 11, 12, 13]))
    steps = [{"filter": "x > 1.6"}, {"keep_columns": ["name"]}]
    found = rewriting.apply(table, steps, HERE, carried=["_row"])
    assert found.column_names == ["name", "_row"]
    assert found.column("_row").to_pylist() == [12, 13]


def test_columns_that_must_be_read():
    steps = [{"filter": 'col("x") > 1 and flag == "yes"'}, {"keep_columns": ["id"]}]
    assert rewriting.columns_before(steps, TABLE.schema, ["id"]) == ("id", "x", "flag")
    assert rewriting.columns_before([], TABLE.schema, []) == ("id",)


STEPS = st.lists(
    st.sampled_from(
        [
            {"filter": "x > 0.3"},
            {"filter": 'not (kind == "a") or x < 0.1'},
            {"take_random_sample": {"probability": 0.5, "seed": 3}},
            {"take_random_sample": {"probability": 0.9, "seed": 4}},
            {"include_path_column": {"name": "Path"}},
            {"convert_column_types": [{"columns": ["kind"], "type": "string"}]},
            {"extract_columns_from_partition_format": {"partition_format": "/{day}/{part}.csv"}},
        ]
    ),
    max_size=4,
)
LIMITS = st.lists(st.tuples(st.sampled_from(["take", "skip"]), st.integers(0, 12)), max_size=3)
ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(0, 1)), st.sampled_from(["a", "b", None])),
    min_size=1,
    max_size=25,
)


def as_table(rows) -> pa.Table:
    return pa.table(
        {
            "x": pa.array([r[0] for r in rows], pa.float64()),
            "kind": pa.array([r[1] for r in rows], pa.string()),
        }
    )


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, steps=STEPS, cuts=st.lists(st.integers(0, 25), max_size=4))
def test_it_makes_no_difference_how_rows_are_cut(rows, steps, cuts):
    table = as_table(rows)
    origin = Origin("/d/mon/p.csv")
    whole = rewriting.apply(table, steps, origin)
    marks = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    parts = [
        rewriting.apply(table.slice(a, b - a), steps, Origin(origin.file, a))
        for a, b in itertools.pairwise(marks)
    ]
    assert pa.concat_tables(parts).equals(whole)
    assert rewriting.schema_after(table.schema, steps) == whole.schema


@settings(max_examples=60, deadline=None)
@given(files=st.lists(ROWS, min_size=1, max_size=4), steps=STEPS, counts=LIMITS, data=st.data())
def test_limits_are_planned_as_if_all_rows_stood_in_one_table(files, steps, counts, data):
    every: list = list(steps)
    for name, count in counts:
        every.insert(data.draw(st.integers(0, len(every))), {name: count})
    every = json.loads(json.dumps(every))
    tables = [(as_table(rows), f"/d/mon/{number}.csv") for number, rows in enumerate(files)]
    expected = one_by_one(tables, every)

    read = []

    def batches():
        for table, file in tables:
            for at in range(0, table.num_rows, 7):
                read.append(file)
                origin = Origin(file, at)
                yield rewriting.with_places(table.slice(at, 7), origin), origin

    made: list = []
    if limits.are_limited(every):
        window = limits.find(every, batches())
        planned = limits.planned(every, window)
        inside = list(limits.files_within(tables, window, operator.itemgetter(1)))
    else:
        planned, inside = every, tables
    for table, file in inside:
        for at in range(0, table.num_rows, 5):
            made += rewriting.apply(table.slice(at, 5), planned, Origin(file, at)).to_pylist()
    assert made == expected


def one_by_one(tables, steps) -> list:
    """The rows that are left, each taken through all steps by itself; slow, and plainly right."""
    left = {
        number: count
        for number, step in enumerate(steps)
        for count in step.values()
        if isinstance(count, int)
    }
    found = []
    for table, file in tables:
        for at in range(table.num_rows):
            row = table.slice(at, 1)
            for number, step in enumerate(steps):
                if "take" in step or "skip" in step:
                    enough = left[number] == 0
                    left[number] -= 0 if enough else 1
                    passes = enough if "skip" in step else not enough
                    row = row if passes else row.slice(1)
                else:
                    row = rewriting.apply(row, [step], Origin(file, at))
                if not row.num_rows:
                    break
            found += row.to_pylist()
    return found


def test_no_more_is_read_than_must_be():
    read = []

    def batches():
        for number in range(100):
            read.append(number)
            origin = Origin(f"/f{number}")
            yield rewriting.with_places(TABLE, origin), origin

    steps = [{"filter": "x > 1.6"}, {"skip": 1}, {"take": 4}]
    window = limits.find(steps, batches())
    assert window == limits.Window("/f0", 3, "/f2", 3)
    assert len(read) == 3


def test_limits_above_every_filter_are_sums():
    assert limits.counts([{"skip": 3}, {"take": 10}, {"skip": 2}, {"take": 20}]) == (5, 8)
    assert limits.counts([{"take": 2}, {"skip": 5}]) == (2, 0)
    assert limits.counts([{"skip": 3}, {"filter": "x > 1"}]) == (3, -1)
    with pytest.raises(DataError, match="take: 1 counts the rows that a filter"):
        limits.counts([{"filter": "x > 1"}, {"take": 1}])
    assert rewriting.needs_row_numbers([{"take_random_sample": {"probability": 0.5, "seed": 0}}])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(-5, 2**40),
    file=st.text(max_size=5),
    first=st.integers(0, 10**9),
    rows=st.integers(0, 40),
)
def test_a_sample_is_the_same_without_numpy(seed, file, first, rows):
    drawn = random_rows.drawn(seed=seed, probability=0.5, file=file, first_row=first, rows=rows)
    base = int.from_bytes(
        random_rows.hashlib.sha256(f"{seed}\0{file}".encode("utf-8", "surrogatepass")).digest()[:8], "little"
    )
    assert list(drawn) == [random_rows._mixed(base, row) < 2**63 for row in range(first, first + rows)]


def test_a_sample_has_its_share_and_another_seed_draws_others():
    shares = [
        sum(random_rows.drawn(seed=seed, probability=p, file="f", first_row=0, rows=20_000)) / 20_000
        for seed, p in ((1, 0.1), (1, 0.5), (2, 0.5), (1, 1.0), (1, 0.0))
    ]
    assert shares == pytest.approx([0.1, 0.5, 0.5, 1.0, 0.0], abs=0.02)
    one, other = (
        list(random_rows.drawn(seed=seed, probability=0.5, file="f", first_row=0, rows=64)) for seed in (1, 2)
    )
    assert one != other
