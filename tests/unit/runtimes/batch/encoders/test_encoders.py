"""What all encoders promise: the same rows are the same bytes, however they were cut into calls; what is written
reads back."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import OutputError
from penstock.runtimes.batch.encoders import arrow, registry, tables

TABLES = [
    name for name in registry.ENCODERS if name in ("parquet", "arrow", "csv", "jsonl", "append-row-mlflow")
]

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

_DAY = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))
_TIME = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))
_TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['"', ",", "\n", "\r\n", "\\", "", " a", "\x00\x1f"]
)
COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "byte": (pa.uint8(), st.integers(0, 255)),
    "float": (pa.float64(), st.floats(allow_nan=False)),
    "single": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), _TEXT),
    "kind": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["x", "y", 'z"'])),
    "day": (pa.date32(), _DAY),
    "at": (pa.timestamp("us"), _TIME),
    "utc": (pa.timestamp("us", "UTC"), _TIME),
    "raw": (pa.binary(), st.binary(max_size=5)),
    "money": (pa.decimal128(9, 2), st.decimals(-1000, 1000, places=2)),
    "list": (
        pa.list_(pa.float64()),
        st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=3),
    ),
    "pair": (pa.list_(pa.int32(), 2), st.lists(st.integers(0, 9), min_size=2, max_size=2)),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": st.integers(0, 9) | st.none(), "b": _TEXT}),
    ),
    "map": (
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(_TEXT, st.integers(0, 9), max_size=3).map(lambda pairs: list(pairs.items())),
    ),
    "deep": (pa.list_(pa.list_(pa.string())), st.lists(st.lists(_TEXT, max_size=2) | st.none(), max_size=2)),
    "none": (pa.null(), st.none()),
}


@st.composite
def tables_of(draw: st.DrawFn, names: tuple[str, ...] = tuple(COLUMNS)) -> pa.Table:
    """A table of some columns and up to twelve rows."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(0, 12))
    arrays = []
    for name in chosen:
        kind, values = COLUMNS[name]
        column = draw(st.lists(values | st.none(), min_size=rows, max_size=rows))
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        arrays.append(pa.array(column, plain).cast(kind) if plain is not kind else pa.array(column, kind))
    return pa.table(arrays, names=chosen)


def encoded(encoding: str, path: Path, calls: list[Any]) -> bytes:
    encoder = registry.open_encoder(encoding, str(path))
    for one in calls:
        encoder.write(one)
    encoder.close()
    return path.read_bytes()


def cut(draw: st.DrawFn, table: pa.Table) -> list[Any]:
    """`table` in calls, as tables and batches, chunked in any way."""
    ends = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=4)))
    calls: list[Any] = []
    for start, stop in zip([0, *ends], [*ends, table.num_rows], strict=True):
        part = table.slice(start, stop - start)
        as_batches = draw(st.booleans())
        calls += part.to_batches() if as_batches and part.num_rows else [part]
    return calls


@pytest.mark.parametrize("encoding", TABLES)
@given(data=st.data())
@quick
def test_bytes_do_not_depend_on_calls(encoding: str, tmp_path: Path, data: st.DataObject) -> None:
    table = data.draw(tables_of())
    whole = encoded(encoding, tmp_path / "whole", [table])
    assert encoded(encoding, tmp_path / "cut", cut(data.draw, table)) == whole


@pytest.mark.parametrize("encoding", ["parquet", "arrow"])
def test_groups_do_not_depend_on_calls(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS_SAMPLED", 16)
    monkeypatch.setattr(tables, "GROUP_BYTES", 2000)
    table = pa.table({"i": range(1000), "s": [str(i) * (i % 7) for i in range(1000)]})
    contents = set()
    for rows in (1, 7, 16, 100, 1000):
        calls = [table.slice(start, rows) for start in range(0, 1000, rows)]
        contents.add(encoded(encoding, tmp_path / str(rows), calls))
    assert len(contents) == 1
    if encoding == "parquet":
        assert pq.read_metadata(tmp_path / "1").num_row_groups > 5


def dense(table: pa.Table) -> pa.Table:
    return table.cast(tables.plain_schema(table.schema))


@given(table=tables_of())
@quick
def test_parquet_reads_back(tmp_path: Path, table: pa.Table) -> None:
    encoded("parquet", tmp_path / "x", [table])
    assert pq.read_table(tmp_path / "x").equals(dense(table))


@given(table=tables_of())
@quick
def test_arrow_reads_back(tmp_path: Path, table: pa.Table) -> None:
    encoded("arrow", tmp_path / "x", [table])
    groups = list(arrow.groups_of(str(tmp_path / "x")))
    assert pa.concat_tables(groups or [dense(table).slice(0, 0)]).equals(dense(table))


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + ("Z" if value.tzinfo else "")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if isinstance(value, list) and value and all(isinstance(one, tuple) for one in value):
        return dict(value)
    return value


@given(table=tables_of())
@quick
def test_json_lines_are_json(tmp_path: Path, table: pa.Table) -> None:
    content = encoded("jsonl", tmp_path / "x", [table]).decode()
    rows = [json.loads(line) for line in content.split("\n")[:-1]]
    wanted = []
    for row in table.to_pylist():
        shown = {name: _json_value(value) for name, value in row.items()}
        if "map" in shown:
            shown["map"] = None if row["map"] is None else dict(row["map"])
        wanted.append(shown)
    if "single" in table.schema.names:
        for row in [*rows, *wanted]:
            row["single"] = None if row["single"] is None else pytest.approx(row["single"], rel=1e-6)
    assert rows == wanted
    assert all(list(row) == table.schema.names for row in rows)


@given(table=tables_of(("int", "byte", "float", "bool", "text", "day", "kind")))
@quick
def test_csv_reads_back_with_arrow(tmp_path: Path, table: pa.Table) -> None:
    """Missing values and empty texts stay apart, whoever tells quoted from unquoted."""
    encoded("csv", tmp_path / "x", [table])
    table = dense(table)
    read = pacsv.read_csv(
        tmp_path / "x",
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=table.schema, null_values=[""], strings_can_be_null=True,
            quoted_strings_can_be_null=table.num_columns == 1,
        ),
    )  # fmt: skip
    if table.num_columns == 1 and "text" in table.schema.names:
        return  # a lone missing value is written like an empty text: a line needs something on it
    assert read.equals(table)


@given(table=tables_of(("int", "text", "struct", "list", "at")))
@quick
def test_csv_reads_back_with_python(tmp_path: Path, table: pa.Table) -> None:
    """The number of rows and cells is what RFC 4180 says, whatever is in them."""
    content = encoded("csv", tmp_path / "x", [table]).decode()
    header, *rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    assert header == table.schema.names
    assert len(rows) == table.num_rows
    if "text" in header:
        at = header.index("text")
        assert [row[at] for row in rows] == [value or "" for value in table["text"].to_pylist()]
    if "int" in header:
        assert [row[header.index("int")] for row in rows] == [
            "" if value is None else str(value) for value in table["int"].to_pylist()]  # fmt: skip


def test_csv_looks_as_people_expect(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": [1, 2], "p": [0.1, float("nan")], "f": pa.array([0.1, None], pa.float32()), "ok": [True, None],
            "say": ['5" disk', ""], "at": [dt.datetime(2024, 5, 6, 7, 8, 9), None],
        }
    )  # fmt: skip
    assert encoded("csv", tmp_path / "x", [table]).decode() == (
        "id,p,f,ok,say,at\n"
        '1,0.1,0.1,true,"5"" disk",2024-05-06T07:08:09.000000\n'
        '2,NaN,,,"",\n'
    )  # fmt: skip


def test_columns_with_names_that_need_quotes(tmp_path: Path) -> None:
    content = encoded("csv", tmp_path / "x", [pa.table({'a,"\n': [1], "b": [2]})])
    assert content == b'"a,""\n",b\n1,2\n'
    assert json.loads(encoded("jsonl", tmp_path / "y", [pa.table({'a"\n': [1]})])) == {'a"\n': 1}


def test_mlflow_rows(tmp_path: Path) -> None:
    table = pa.table({"row": [0, 1], "prediction": [1, 0], "file": ["a b.csv", "c,d.csv"]})
    assert encoded("append-row-mlflow", tmp_path / "x", [table]) == b'0,1,a b.csv\n1,0,"c,d.csv"\n'


@pytest.mark.parametrize("encoding", list(registry.ENCODERS))
def test_without_results_the_file_is_empty(encoding: str, tmp_path: Path) -> None:
    assert encoded(encoding, tmp_path / "x", []) == b""


@pytest.mark.parametrize("encoding", ["parquet", "arrow"])
@pytest.mark.parametrize("rows", [3, 20000])
def test_types_widen_between_calls(
    encoding: str, tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "GROUP_BYTES", 1)
    calls = [
        pa.table({"v": pa.nulls(rows)}), pa.table({"v": list(range(rows))}), pa.table({"v": [0.5] * rows}),
        pa.table({"v": pa.array([1] * rows, pa.int8())}),
    ]  # fmt: skip
    encoded(encoding, tmp_path / "x", calls)
    assert not (tmp_path / "x.narrow").exists()
    read = (
        pq.read_table(tmp_path / "x")
        if encoding == "parquet"
        else pa.concat_tables(arrow.groups_of(str(tmp_path / "x")))
    )
    assert read["v"].type == pa.float64()
    assert read["v"].to_pylist() == [*[None] * rows, *map(float, range(rows)), *[0.5] * rows, *[1.0] * rows]


@pytest.mark.parametrize("encoding", ["parquet", "arrow"])
def test_types_that_do_not_fit_are_an_error(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="column 'v' is int64 in one of the calls and string in another"):
        encoded(encoding, tmp_path / "x", [pa.table({"v": [1]}), pa.table({"v": ["a"]})])
    with pytest.raises(OutputError, match="not all of its values fit"):
        encoded(encoding, tmp_path / "y", [pa.table({"v": [2**60 + 1]}), pa.table({"v": [0.5]})])


def test_columns_that_change_are_an_error_in_csv(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="the columns a, another b"):
        encoded("csv", tmp_path / "x", [pa.table({"a": [1]}), pa.table({"b": [1]})])


@pytest.mark.parametrize("encoding", TABLES)
def test_two_columns_of_one_name_are_an_error(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="two columns with the name 'a'"):
        encoded(encoding, tmp_path / "x", [pa.table([[1], [2]], names=["a", "a"])])


@pytest.mark.parametrize("encoding", list(registry.ENCODERS))
def test_a_full_disk_is_said(encoding: str) -> None:
    encoder = registry.open_encoder(encoding, "/dev/full")
    table: Any = pa.table({"row": [1], "prediction": [1], "file": ["x"]})

    def run() -> None:
        encoder.write([1] if encoding.startswith("append-row") and "mlflow" not in encoding else table)
        encoder.close()

    if encoding == "none":
        run()
        return
    with pytest.raises(OutputError, match="no room left") as caught:
        run()
    assert "resume the job" in caught.value.hint


def test_notes_of_pandas_are_left_out(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1]}))
    assert table.schema.metadata
    encoded("parquet", tmp_path / "x", [table])
    assert set(pq.read_metadata(tmp_path / "x").metadata) == {b"ARROW:schema"}
    assert pq.read_schema(tmp_path / "x").metadata is None
