"""Delimited text: what the cuts of a file give together is what Arrow makes of the whole file."""

from __future__ import annotations

import bz2
import gzip
import itertools
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import csv_header, csv_text, records
from support.format_reading import everything, written

INT = pa.int64()
LETTERS = st.sampled_from(["a", '"', '""', ",", "\n", "\r\n", "\r", " ", "é", "1", "\\", ""])
FIELDS = st.one_of(
    st.lists(LETTERS, max_size=5).map("".join),
    st.lists(LETTERS, max_size=5).map(lambda parts: '"' + "".join(parts).replace('"', '""') + '"'),
    st.sampled_from(['5" pipe', "", '""', "x", '"a"b"c"']),
)
ROWS = st.lists(st.tuples(FIELDS, FIELDS).map(",".join), max_size=12)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
OPTIONS = [ReadOptions(), ReadOptions(escape="\\"), ReadOptions(quote="")]


def whole(data: bytes, read: ReadOptions) -> tuple[list[dict[str, Any]], int]:
    """What Arrow makes of all of it, ragged rows apart; and how many of those there are."""
    ragged = []

    def skip(row: Any) -> str:
        ragged.append(row)
        return "skip"

    table = pacsv.read_csv(
        pa.py_buffer(data),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=["p", "q"]),
        parse_options=csv_header.parse_options(read, invalid_row_handler=skip),
        convert_options=pacsv.ConvertOptions(column_types={"p": pa.string(), "q": pa.string()}),
    )
    rows = [{key: value or None for key, value in row.items()} for row in table.to_pylist()[1:]]
    return rows, len(ragged)


@pytest.mark.parametrize("read", OPTIONS, ids=["doubled", "escaped", "unquoted"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "mark"])
def test_the_cuts_together_are_the_whole(tmp_path: Path, read: ReadOptions, mark: bytes) -> None:
    schema = pa.schema([("p", pa.string()), ("q", pa.string())])

    @settings(max_examples=60, deadline=None)
    @given(ROWS, ENDS, st.booleans(), st.integers(1, 60), st.sampled_from([0, 1, 2, 3]))
    def check(lines: list[str], end: str, ended: bool, size: int, multiple: int) -> None:
        data = mark + end.join(["p,q", *lines]).encode() + (end.encode() if ended else b"")
        expected, ragged = whole(data, read)
        path = written(tmp_path, "t.csv", data)
        refused: list[DataError] = []
        try:
            cuts, found = everything(
                csv_text, path, read=read, schema=schema, size=size, rows=multiple, at_once=3, refused=refused
            )
        except DataError as error:
            # Arrow takes what follows an open quote for its value; to us that is a file that was cut short.
            if "never closed" in str(error) and any(sign in "".join(lines) for sign in ('"', "\\")):
                return
            raise
        assert found == expected
        assert len(refused) == ragged
        assert all(later.start == cut.stop for cut, later in itertools.pairwise(cuts))
        if multiple:
            assert all(cut.rows % multiple == 0 for cut in cuts[:-1])

    check()


def test_large_files_are_cut_at_about_the_size_that_is_asked_for(tmp_path: Path) -> None:
    random.seed(5)
    pick = ["plain", '"a, b"', '"two\nlines"', '5" pipe', '"say ""so"""', ""]
    lines = [f"{number},{random.choice(pick)},{random.random()}" for number in range(40_000)]
    path = written(tmp_path, "large.csv", "id,text,value\n" + "\n".join(lines) + "\n")
    cuts, found = everything(csv_text, path, size=100_000)
    assert len(cuts) > 5
    assert all(100_000 <= cut.size <= 100_000 * 2 + 100 for cut in cuts[:-1])
    assert [row["id"] for row in found] == list(range(40_000))
    counted, again = everything(csv_text, path, size=100_000, rows=70)
    assert again == found
    assert all(cut.rows % 70 == 0 for cut in counted[:-1])
    assert [cut.first_row for cut in counted] == [
        sum(c.rows for c in counted[:n]) for n in range(len(counted))
    ]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "b,c,a\n1,x,2\n")
    schema = pa.schema([("a", INT), ("b", pa.float32())])
    assert everything(csv_text, path, schema=schema)[1] == [{"a": 2, "b": 1.0}]
    assert everything(csv_text, path, schema=schema, columns=["b"])[1] == [{"b": 1.0}]
    batches = csv_text.batches(
        path,
        next(iter(csv_text.cuts(path, ReadOptions(), size=9, rows=0))),
        ReadOptions(),
        schema=schema,
        columns=[],
        rows=9,
    )
    assert [(batch.num_rows, batch.num_columns) for batch in batches] == [(1, 0)]
    with pytest.raises(DataError, match=r"t\.csv: column 'd': the file has no such column"):
        everything(csv_text, path, schema=pa.schema([("d", INT)]))
    path = written(tmp_path, "twice.csv", "a,b,a\n1,2,3\n")
    with pytest.raises(DataError, match="'a': the column stands 2 times"):
        everything(csv_text, path, schema=schema)


def test_headers(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "1,x\n2,y\n")
    none = ReadOptions(header="no_header")
    assert everything(csv_text, path, read=none)[1][0] == {"Column1": 1, "Column2": "x"}
    named = ReadOptions(header="no_header", column_names=("n", "s"))
    assert everything(csv_text, path, read=named)[1][1] == {"n": 2, "s": "y"}
    later = ReadOptions(header="from_first_file", column_names=("n", "s"))
    assert len(everything(csv_text, path, read=later)[1]) == 2
    first = ReadOptions(header="from_first_file")
    assert everything(csv_text, path, read=first)[1] == [{"1": 2, "x": "y"}]
    (cut,) = csv_text.cuts(path, first, size=1000, rows=0)
    assert cut.start == 4, "so that a reader who is told the names sees no header"
    wrong = ReadOptions(header="no_header", column_names=("n",))
    with pytest.raises(DataError, match=r"t\.csv:1: 2 values where there are 1 columns"):
        everything(csv_text, path, read=wrong)
    long = written(tmp_path, "long.csv", ",".join(f'"c""{n}\n"' for n in range(20_000)) + "\n")
    assert csv_text.schema(long, ReadOptions()).names[19_999] == 'c"19999\n'


def test_lines_before_the_header_comments_and_empty_lines(tmp_path: Path) -> None:
    content = "made, by \"us\n# it's\na;b\n# \"\n1;'2\n#3'\n\n#;\n4;5\n"
    path = written(tmp_path, "t.csv", content)
    read = ReadOptions(delimiter=";", quote="'", comment="#", skip_rows=1)
    for size in (1, 5, 100):
        for rows in (0, 1):
            cuts, found = everything(csv_text, path, read=read, size=size, rows=rows)
            assert found == [{"a": 1, "b": "2\n#3"}, {"a": 4, "b": "5"}]
    assert len(cuts) == 1 or size < 100
    tabs = written(tmp_path, "t.tsv", "a\tb\n1\t\n")
    assert everything(csv_text, tabs, read=ReadOptions(delimiter="\t"))[1] == [{"a": 1, "b": None}]


@pytest.mark.parametrize(
    "name", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "shift_jis"]
)
@pytest.mark.parametrize("pack", [None, gzip.compress, bz2.compress, "zstd"], ids=["", "gz", "bz2", "zst"])
def test_encodings_and_compressions(tmp_path: Path, name: str, pack: Any) -> None:
    letter = "ソ" if name == "shift_jis" else "é"
    content = (f'a{letter},b\n{letter},1\n"{letter}\n",2\n' * 1).encode(name)
    packed = content
    if pack:
        packed = pa.Codec("zstd").compress(content, asbytes=True) if pack == "zstd" else pack(content)
    path = written(tmp_path, "t.csv", packed)
    cuts, found = everything(csv_text, path, read=ReadOptions(encoding=name), size=3)
    assert found == [{f"a{letter}": letter, "b": 1}, {f"a{letter}": letter + "\n", "b": 2}]
    assert len(cuts) == (2 if not pack and name in ("latin-1", "cp1252", "utf-8-sig") else 1)


def test_a_mark_says_which_utf_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "a\né\n".encode("utf-16"))
    assert everything(csv_text, path)[1] == [{"a": "é"}]


def test_gzip_members_are_read_on_and_a_torn_one_is_told(tmp_path: Path) -> None:
    parts = gzip.compress(b"a\n1\n") + gzip.compress(b"2\n")
    assert len(everything(csv_text, written(tmp_path, "t.csv.gz", parts))[1]) == 2
    torn = gzip.compress(b"a\n" + b"".join(b"%d\n" % n for n in range(9_999)))[:-100]
    with pytest.raises(DataError, match=r"t\.csv\.gz: cannot be unpacked, it is damaged or cut short"):
        everything(csv_text, written(tmp_path, "t.csv.gz", torn), schema=pa.schema([("a", INT)]))


AB = pa.schema([("a", INT), ("b", INT)])
FAULTS = [
    ("a,b\n1,2\n3", 3, "", "1 value where there are 2 columns: 3"),
    ("a,b\n1,2\n3,4,5\n6,7\n", 3, "", "3 values where there are 2 columns"),
    ("a,b\n1,2\n\n\n3,x\n", 5, "b", "no int64: 'x'"),
    ("a,b\r\n1,2\r\n3,1.5\r\n", 3, "b", "no int64: '1.5'"),
    ("a,b\n1,2\n9223372036854775808,1\n", 3, "a", "no int64: '9223372036854775808'"),
    ('a,b\n"1",2\n"3",4\n5,"6\n7', 4, "", "never closed"),
    ('a,b\n1,"2\n', 2, "", "never closed"),
    ('a,b\n1,"' + "\n" * 9 + '2"\n3,' + "y" * 200 + "\n", 2, "b", "no int64"),
]


@pytest.mark.parametrize(("content", "line", "column", "message"), FAULTS)
def test_faults_name_line_column_and_value(
    tmp_path: Path, content: str, line: int, column: str, message: str
) -> None:
    path = written(tmp_path, "t.csv", content)
    for size in (1 << 20, 1):
        with pytest.raises(DataError) as caught:
            everything(csv_text, path, schema=AB, size=size)
        assert message in str(caught.value)
        assert str(caught.value).startswith(f"{path}:{line}: ")
        assert (caught.value.line, caught.value.column) == (line, column)
        assert len(str(caught.value)) < len(path) + 250


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.string())])
    path = written(tmp_path, "t.csv", b"a\nok\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"t\.csv:3: column 'a': not UTF-8: '\\\\xff") as caught:
        everything(csv_text, path, schema=schema)
    assert "encoding" in caught.value.hint
    windows = written(tmp_path, "w.csv", b"a\nok\n\x81\nok\n")
    refused: list[DataError] = []
    read = ReadOptions(encoding="cp1252")
    found = everything(csv_text, windows, read=read, refused=refused)[1]
    assert [row["a"] for row in found] == ["ok", "ok"]
    assert [(error.line, "not cp1252" in error.message) for error in refused] == [(3, True)]
    with pytest.raises(DataError, match=r"t\.csv:1: these bytes are no text"):
        everything(csv_text, written(tmp_path, "t.csv", b"PAR1\xff\x00,\n1\n"))
    with pytest.raises(DataError, match="no such encoding: 'utf-9'"):
        everything(csv_text, path, read=ReadOptions(encoding="utf-9"))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        csv_text.schema(str(tmp_path / "none.csv"), ReadOptions())


def test_bad_rows_are_refused_and_the_others_are_read(tmp_path: Path) -> None:
    good = list(range(60_000))
    lines = [f'{number},"{number}\n"' for number in good]
    bad = {7: "x,1", 30_000: "1", 30_001: "1,2,3", 59_999: 'y,""'}
    for row, line in bad.items():
        lines[row] = line
    path = written(tmp_path, "t.csv", "a,b\n" + "\n".join(lines) + "\n")
    schema = pa.schema([("a", INT), ("b", pa.string())])
    for rows in (0, 1000):
        refused: list[DataError] = []
        _, found = everything(csv_text, path, schema=schema, size=1 << 30, rows=rows, refused=refused)
        assert [error.row for error in refused] == sorted(bad)
        assert [error.line for error in refused] == [
            2 + 2 * 7,
            2 + 59_998 + 1,
            2 + 59_998 + 2,
            1 + 119_995 + 1,
        ]
        assert [row["a"] for row in found] == [number for number in good if number not in bad]


def test_records_longer_than_a_block(tmp_path: Path) -> None:
    value = "v" * (3 * records.BLOCK)
    path = written(tmp_path, "t.csv", f'a,b\n1,"{value}"\n2,"{value}\n"\n3,x\n')
    for size in (10, 1 << 30):
        assert [row["a"] for row in everything(csv_text, path, size=size)[1]] == [1, 2, 3]


def test_types_are_inferred_from_spots_all_over_the_text(tmp_path: Path) -> None:
    lines = ['1,1,x,,2024-01-01,"a, 1\n"'] * 30_000
    lines[11_500] = '1,2.5,x,,2024-01-01,"b\n2,2,2,2,2,2"'
    lines[29_990] = "1,1,x,7,2024-01-01 10:00:00,"
    path = written(tmp_path, "t.csv", "i,d,s,late,t,q\n" + "\n".join(lines) + "\n")
    schema = csv_text.schema(path, ReadOptions())
    assert [str(kind) for kind in schema.types] == [
        "int64", "double", "string", "int64", "timestamp[s]", "string",
    ]  # fmt: skip
    assert everything(csv_text, path, columns=["late"])[1][29_990] == {"late": 7}
    said = ReadOptions(column_types={"i": "string", "d": "float", "t": "timestamp[us]"})
    assert [str(kind) for kind in csv_text.schema(path, said).types][:2] == ["string", "float"]
    with pytest.raises(DataError, match="'nosuch': the file has no such column"):
        csv_text.schema(path, ReadOptions(column_types={"nosuch": "int64"}))
    with pytest.raises(DataError, match="column 'i': no such type: 'integer'"):
        csv_text.schema(path, ReadOptions(column_types={"i": "integer"}))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1 2", "int64"), ("1 2.5", "double"), ("007 8", "string"), ("0 0.5", "double"), ("-01 1", "string"),
        ("12345678901234567890 1", "string"), ("true false", "bool"), ("0 1", "int64"), ("1 x", "string"),
        ("2024-01-02", "date32[day]"), ("2024-01-02T10:00:00", "timestamp[s]"), ("NA 1", "int64"),
        ("NA", "null"), ("1e5 2", "double"), ("2024-01-02 5", "string"),
    ],
)  # fmt: skip
def test_inferred_types(tmp_path: Path, values: str, kind: str) -> None:
    path = written(tmp_path, "t.csv", "a,b\n" + "".join(f"{value},\n" for value in values.split()))
    assert str(csv_text.schema(path, ReadOptions()).field("a").type) == kind


def test_missing_values(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", 'n,s\n1,NA\nNA,""\n,x\n-,\n')
    read = ReadOptions(null_values=("NA", "-"))
    assert everything(csv_text, path, read=read)[1] == [
        {"n": 1, "s": "NA"}, {"n": None, "s": None}, {"n": None, "s": "x"}, {"n": None, "s": None},
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b", "\n\n", "a,b\r\n\r\n", "\ufeff"])
@pytest.mark.parametrize("rows", [0, 5])
def test_files_without_rows(tmp_path: Path, content: str, rows: int) -> None:
    path = written(tmp_path, "t.csv", content)
    cuts, found = everything(csv_text, path, rows=rows)
    assert found == []
    assert csv_text.schema(path, ReadOptions()).names == (["a", "b"] if "a" in content else [])
    assert len(cuts) <= 1


def test_a_column_that_was_empty_in_all_samples(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "a,b\n1,\n2,x\n")
    with pytest.raises(DataError, match=r":3: column 'b': was empty in all samples, but here is 'x'"):
        everything(csv_text, path, schema=pa.schema([("a", INT), ("b", pa.null())]))
