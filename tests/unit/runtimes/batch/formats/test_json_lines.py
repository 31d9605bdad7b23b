"""JSON Lines: cuts, types, and lines that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import json_lines
from support.format_reading import everything, written

TEXTS = st.text(st.sampled_from('a"\\\n\r\té{},:'), max_size=6)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "s": st.one_of(st.none(), TEXTS),
        "inner": st.fixed_dictionaries({"list": st.lists(st.integers(-9, 9), max_size=3), "t": TEXTS}),
    },
)
SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("s", pa.string()),
        ("inner", pa.struct([("list", pa.list_(pa.int64())), ("t", pa.string())])),
    ]
)


def test_the_cuts_together_are_the_whole(tmp_path: Path) -> None:
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.one_of(OBJECTS, st.sampled_from(["", " ", "\t\r"])), max_size=10),
        st.sampled_from(["\n", "\r\n"]),
        st.booleans(),
        st.integers(1, 90),
        st.sampled_from([0, 1, 2, 3]),
    )
    def check(lines: list[Any], end: str, ended: bool, size: int, rows: int) -> None:
        content = end.join(
            line if isinstance(line, str) else json.dumps(line, ensure_ascii=len(lines) % 2 == 0)
            for line in lines
        )
        path = written(tmp_path, "t.jsonl", (content + (end if ended else "")).encode())
        cuts, found = everything(json_lines, path, schema=SCHEMA, size=size, rows=rows, at_once=2)
        empty = dict.fromkeys(SCHEMA.names)
        assert found == [{**empty, **line} for line in lines if not isinstance(line, str)]
        if rows:
            assert all(cut.rows % rows == 0 for cut in cuts[:-1])

    check()


FAULTS = [
    ('{"a":1}\n\n{"a":\n{"a":3}\n', 3, "", "no JSON (Expecting value)"),
    ('{"a":1}\n{"a":2}{"a":3}\n', 2, "", "no JSON (Extra data)"),
    ('{"a":1}\n[1]\n', 2, "", "no JSON object"),
    ('{"a":1}\n{"a":"x"}\n', 2, "a", 'no int64: "x"'),
    ('{"a":1}\n{"a":1.5}', 2, "a", "no int64: 1.5"),
    ('{"a":12345678901234567890}\n', 1, "a", "no int64: 12345678901234567890"),
    ('[\n{"a":1},\n{"a":2}\n]\n', 1, "", "no JSON"),
    ('{"a":1,"a":2}\n', 1, "", "twice"),
    ('{"a":1', 1, "", "no JSON"),
    ("a,b\n1,2\n", 1, "", "no JSON"),
]


@pytest.mark.parametrize(("content", "line", "column", "message"), FAULTS)
def test_faults_name_line_column_and_value(
    tmp_path: Path, content: str, line: int, column: str, message: str
) -> None:
    path = written(tmp_path, "t.jsonl", content)
    for size in (1 << 20, 1):
        with pytest.raises(DataError) as caught:
            everything(json_lines, path, schema=pa.schema([("a", pa.int64())]), size=size)
        assert message in str(caught.value)
        assert (caught.value.line, caught.value.column, caught.value.file) == (line, column, path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl", b'{"a":"ok"}\n{"a":"\xff"}\n')
    with pytest.raises(DataError, match=r"t\.jsonl:2: not UTF-8"):
        everything(json_lines, path)
    path = written(tmp_path, "t.jsonl", '{"a":"é"}\n{"a":1}\n'.encode("latin-1"))
    read = ReadOptions(encoding="latin-1")
    with pytest.raises(DataError, match=r"t\.jsonl:2: column 'a': no string: 1"):
        everything(json_lines, path, read=read)


def test_bad_lines_are_refused_or_dropped(tmp_path: Path) -> None:
    lines = [json.dumps({"a": number}) for number in range(500)]
    lines[3], lines[400] = "{", '{"a":"x"}'
    path = written(tmp_path, "t.jsonl", "\n".join(lines))
    schema = pa.schema([("a", pa.int64())])
    refused: list[DataError] = []
    _, found = everything(json_lines, path, schema=schema, refused=refused)
    assert [(error.row, error.line) for error in refused] == [(3, 4), (400, 401)]
    assert len(found) == 498
    drop = ReadOptions(invalid_lines="drop")
    with pytest.raises(DataError, match=r":401: column 'a'"):
        everything(json_lines, path, schema=schema, read=drop)
    refused.clear()
    assert everything(json_lines, path, schema=schema, read=drop, refused=refused)[1] == found
    assert [error.line for error in refused] == [401]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1 2", "int64"), ("1 2.5", "double"), ('1 "x"', "string"), ("null", "null"), ("null 1", "int64"),
        ('"2024-01-01"', "timestamp[s]"), ('"2024-01-01" "x"', "string"), ("true", "bool"),
        ("[1]", "list<item: int64>"),
        ('{"x":1} {"y":"z"}', "struct<x: int64, y: string>"), ("12345678901234567890 1", "int64"),
        ("{ 1", "int64"),
    ],
)  # fmt: skip
def test_inferred_types(tmp_path: Path, values: str, kind: str) -> None:
    path = written(tmp_path, "t.jsonl", "".join(f'{{"a":{value}}}\n' for value in values.split()))
    assert str(json_lines.schema(path, ReadOptions()).field("a").type) == kind


def test_types_that_are_said(tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl", '{"d":"2024-01-02","f":1}\n{"d":"nodate"}')
    read = ReadOptions(column_types={"d": "date32", "f": "float", "never": "int64"})
    assert json_lines.schema(path, read).names == ["d", "f", "never"]
    with pytest.raises(DataError, match=r":2: column 'd': no date32\[day\]: \"nodate\""):
        everything(json_lines, path, read=read)
    category = pa.schema([("d", pa.dictionary(pa.int32(), pa.string()))])
    assert [row["d"] for row in everything(json_lines, path, schema=category)[1]] == ["2024-01-02", "nodate"]
    with pytest.raises(DataError, match="cannot be read from JSON"):
        everything(json_lines, path, schema=pa.schema([("d", pa.map_(pa.string(), pa.int64()))]))


def test_types_are_inferred_from_spots_all_over_the_text(tmp_path: Path) -> None:
    lines = ['{"a":1}'] * 200_000
    lines[100_000], lines[199_990] = '{"a":2.5}', '{"a":1,"late":"x"}'
    path = written(tmp_path, "t.jsonl", "\n".join(lines))
    assert [str(kind) for kind in json_lines.schema(path, ReadOptions()).types] == ["double", "string"]


def test_types_of_long_records(tmp_path: Path) -> None:
    """A spot of which no record is whole."""
    pad = "x" * 100_000
    lines = [f'{{"a":{"null" if number < 10 else 1.5},"pad":"{pad}"}}' for number in range(40)]
    path = written(tmp_path, "t.jsonl", "\n".join(lines))
    assert str(json_lines.schema(path, ReadOptions()).field("a").type) == "double"


def test_compressed_and_empty(tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl.gz", gzip.compress(b'{"a":1}\n{"a":2}'))
    assert everything(json_lines, path, size=1)[1] == [{"a": 1}, {"a": 2}]
    for content in ("", "\n\n", "\ufeff"):
        cuts, found = everything(json_lines, written(tmp_path, "t.jsonl", content), rows=2)
        assert found == []
        assert cuts == []


def test_rows_without_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "t.jsonl", '{"a":1}\n{"a":2}\n')
    cut = next(iter(json_lines.cuts(path, ReadOptions(), size=99, rows=0)))
    schema = pa.schema([("a", pa.int64())])
    batches = json_lines.batches(path, cut, ReadOptions(), schema=schema, columns=[], rows=9)
    assert [(batch.num_rows, batch.num_columns) for batch in batches] == [(2, 0)]
