"""MLTable files: every key accepted, every slip placed, every transformation in the words of those who do it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import DataError, SpecError
from penstock.runtimes.batch.transformations import rewriting
from penstock.runtimes.batch.transformations.rewriting import Origin
from penstock.spec import mltable_schema, mltables, validation

HEAD = "paths: [{file: d.csv}]\ntransformations:\n"
DELIMITED = HEAD + "  - read_delimited: {}\n"

FULL = """$schema: https://azuremlschemas.azureedge.net/latest/MLTable.schema.json
type: mltable
name: rows
version: 1
description: every key at once
metadata: {owner: somebody}
traits: {index_columns: [id], timestamp_column: when}
auth: {type: credential}
paths:
  - file: ./d.csv
  - folder: sub
  - pattern: ./sub/*.csv
  - file: https://example.net/d.csv
  - pattern: azureml://datastores/d/paths/x/*.csv
transformations:
  - extract_columns_from_partition_format: {partition_format: '/{part}/{day:yyyy/MM/dd}/*.csv'}
  - read_delimited:
      delimiter: ';'
      header: all_files_same_headers
      encoding: iso88591
      empty_as_string: true
      support_multi_line: true
      quoting: true
      include_path_column: true
      path_column: Path
      partition_size: 1000
      infer_column_types:
        sample_size: 10
        column_type_overrides:
          - {columns: [a, b], column_type: float}
  - filter: 'col("x") > 1'
  - keep_columns: [id, x, when, flag, a, b, c]
  - drop_columns: {pattern: '^unused', ignore_case: true, invert: false}
  - convert_column_types:
      - {columns: id, column_type: string}
      - columns: [flag]
        column_type: {boolean: {true_values: [yes, 1], false_values: [no, "0"], mismatch_as: false}}
      - columns: when
        column_type: {datetime: {formats: ['%d/%m/%Y']}}
  - take_random_sample: {probability: 0.5, seed: 7}
  - sample: {sampler: randomPercent, sampler_arguments: {probability: 1}}
  - skip: 10
  - take: 5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for MLTable files, with ``d.csv`` and ``sub/``."""
    made = tmp_path_factory.mktemp("tables")
    (made / "sub").mkdir()
    (made / "d.csv").write_text("id,x\n1,2\n", encoding="utf-8")
    return made


@pytest.fixture
def read(folder: Path):
    """Reads an MLTable that lies in `folder`."""

    def reading(text: str):
        (folder / "MLTable").write_text(text, encoding="utf-8")
        return mltables.read(str(folder))

    return reading


def error_of(read, text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(text)
    return caught.value


def test_a_table_in_full(read, folder):
    found = read(FULL)
    assert found.format == "csv"
    assert found.locations == (
        str(folder / "d.csv"),
        str(folder / "sub"),
        str(folder / "sub/*.csv"),
        "https://example.net/d.csv",
        "azureml://datastores/d/paths/x/*.csv",
    )
    options = found.read
    assert (options.delimiter, options.encoding, options.header) == (";", "latin-1", "all_files_same_headers")
    assert options.column_types == {
        "a": "double",
        "b": "double",
        "id": "string",
        "flag": "string",
        "when": "string",
    }
    assert found.transformations == (
        {"empty_as_string": {}},
        {"include_path_column": {"name": "Path"}},
        {"extract_columns_from_partition_format": {"partition_format": "/{part}/{day:yyyy/MM/dd}/*.csv"}},
        {"filter": 'col("x") > 1'},
        {"keep_columns": ["id", "x", "when", "flag", "a", "b", "c"]},
        {"drop_columns": {"pattern": "^unused", "ignore_case": True, "invert": False}},
        {
            "convert_column_types": [
                {"columns": ["id"], "type": "string"},
                {
                    "columns": ["flag"],
                    "type": "boolean",
                    "true_values": ["yes", "1"],
                    "false_values": ["no", "0"],
                    "mismatch_as": "false",
                },
                {"columns": ["when"], "type": "datetime", "formats": ["%d/%m/%Y"]},
            ]
        },
        {"take_random_sample": {"probability": 0.5, "seed": 7}},
        {"take_random_sample": {"probability": 1.0, "seed": 0}},
        {"skip": 10},
        {"take": 5},
    )
    assert json.loads(json.dumps(found.transformations)) == list(found.transformations)


def test_the_full_file_holds_every_key_of_the_schema():
    left_out = {"read_parquet", "read_json_lines", "read_delta_lake", "select_partitions", "query_source"}
    left_out |= {"stream_info", "date_constant", "invalid_lines", "timestamp_as_of", "version_as_of"}
    for kind in vars(mltable_schema).values():
        if isinstance(kind, type) and issubclass(kind, validation.Section):
            for key in set(validation.keys_of(kind)) - left_out:
                assert f"{key}:" in FULL, (kind, key)


def test_what_it_says_can_be_done(read):
    schema = pa.schema(
        [(name, pa.string()) for name in ("id", "when", "flag", "unused")]
        + [("x", pa.int64()), ("a", pa.float64()), ("b", pa.float64()), ("c", pa.int64())]
    )
    after = rewriting.schema_after(schema, read(FULL).transformations)
    assert after.names == ["id", "x", "when", "flag", "a", "b", "c"]
    assert after.field("flag").type == pa.bool_()
    assert after.field("when").type == pa.timestamp("us")


def test_a_folder_or_the_file_itself(folder, monkeypatch):
    (folder / "MLTable").write_text(DELIMITED, encoding="utf-8")
    monkeypatch.chdir(folder.parent)
    for location in (str(folder), str(folder / "MLTable"), folder.name, f"{folder.name}/MLTable"):
        assert mltables.read(location).locations == (str(folder / "d.csv"),)
    with pytest.raises(SpecError, match="no file MLTable in it"):
        mltables.read(str(folder / "sub"))


@pytest.mark.parametrize(
    ("step", "format_"),
    [
        ("read_delimited", "csv"),
        ("read_parquet", "parquet"),
        ("read_json_lines", "jsonl"),
        ("read_parquet:", "parquet"),
        ("read_delta_lake: {version_as_of: 3}", "delta"),
    ],
)
def test_readers(read, step, format_):
    assert read(HEAD + f"  - {step}\n").format == format_


def test_without_a_reader_it_lists_files(read, folder):
    assert read("paths: [{pattern: '*.png'}]\n").format == "files"
    assert mltables.lists_files(str(folder))
    in_path = "{extract_columns_from_partition_format: '/{day}/'}"
    assert read(f"paths: [{{pattern: '*.png'}}]\ntransformations: [{in_path}]\n").format == "files"
    read(DELIMITED)
    assert not mltables.lists_files(str(folder))


@pytest.mark.parametrize(
    ("said", "codec"),
    [
        ("utf8", "utf-8"),
        ("UTF-8", "utf-8"),
        ("utf8 bom", "utf-8-sig"),
        ("iso-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
    ],
)
def test_encodings(read, said, codec):
    assert read(HEAD + f"  - read_delimited: {{encoding: {said}}}\n").read.encoding == codec
    assert read(HEAD + f"  - read_json_lines: {{encoding: {said}}}\n").read.encoding == codec


def test_other_ways_of_reading(read):
    options = read(
        HEAD + "  - read_delimited: {infer_column_types: 'false', delimiter: '\\t', quoting: false}\n"
    ).read
    assert (options.infer_types, options.delimiter, options.quote) == (False, "\t", "")
    assert read(HEAD + "  - read_json_lines: {invalid_lines: drop}\n").read.invalid_lines == "drop"
    delta = read(HEAD + "  - read_delta_lake: {timestamp_as_of: 2022-10-01T00:00:00Z}\n").read
    assert (delta.version_as_of, delta.timestamp_as_of) == (-1, "2022-10-01T00:00:00Z")


def test_what_is_converted_first_is_read_as_it_stands(read):
    """A code such as 007 keeps its zeros; a filter above the conversion sees the inferred type, as in Azure ML."""
    convert = "  - convert_column_types: [{columns: [a, b], column_type: string}]\n"
    assert read(DELIMITED + convert).read.column_types == {"a": "string", "b": "string"}
    assert read(DELIMITED + "  - filter: a > 1\n" + convert).read.column_types == {"b": "string"}
    by_pattern = "  - convert_column_types: [{columns: {pattern: a}, column_type: int}]\n"
    assert read(DELIMITED + by_pattern + convert).read.column_types == {}
    assert read(HEAD + "  - read_parquet\n" + convert).read.column_types == {}


def test_the_reference_pages_own_spelling_of_a_partition_format(read):
    for said in (
        "{timestamp:yyyy/MM/dd}",
        "'{timestamp:yyyy/MM/dd}'",
        "{partition_format: '{timestamp:yyyy/MM/dd}'}",
    ):
        (step,) = read(DELIMITED + f"  - extract_columns_from_partition_format: {said}\n").transformations
        assert step == {
            "extract_columns_from_partition_format": {"partition_format": "{timestamp:yyyy/MM/dd}"}
        }


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("transformations: []\n", 0, "paths", "is missing"),
        ("paths: []\n", 1, "paths", "is missing"),
        ("paths:\n  - file: e.csv\n", 2, "paths[0].file", "did you mean d.csv?"),
        ("paths:\n  - folder: d.csv\n", 2, "paths[0].folder", "no folder"),
        ("paths:\n  - {file: d.csv, folder: sub}\n", 2, "paths[0]", "found file and folder"),
        ("paths:\n  - {fil: d.csv}\n", 2, "paths[0].fil", "did you mean file?"),
        ("paths:\n  - path: d.csv\n", 2, "paths[0].path", "file, folder or pattern"),
        ("path: d.csv\n", 1, "path", "it is called paths"),
        ("paths: [{file: d.csv}]\nread_parquet: {}\n", 2, "read_parquet", "in transformations"),
        (
            HEAD + "  - read_delimitd: {}\n",
            3,
            "transformations[0].read_delimitd",
            "did you mean read_delimited?",
        ),
        (
            HEAD + "  - shuffle: 3\n",
            3,
            "transformations[0].shuffle",
            "the keys here are convert_column_types",
        ),
        (
            HEAD + "  - read_delimited: {sep: x}\n",
            3,
            "transformations[0].read_delimited.sep",
            "called delimiter",
        ),
        (
            HEAD + "  - read_delimited: {encoding: ebcdic}\n",
            3,
            "transformations[0].read_delimited.encoding",
            "utf8",
        ),
        (
            HEAD + "  - read_delimited: {header: yes}\n",
            3,
            "transformations[0].read_delimited.header",
            "no_header",
        ),
        (
            HEAD + "  - read_delimited: {path_column: src}\n",
            3,
            "transformations[0].read_delimited.path_column",
            "Path",
        ),
        (HEAD + "  - filter: x > 1\n", 2, "transformations", "begin with one of read_delimited"),
        (
            HEAD + "  - take: 1\n  - read_parquet\n",
            3,
            "transformations[0].take",
            "stands before read_parquet",
        ),
        (
            HEAD + "  - read_parquet\n  - read_delimited\n",
            4,
            "transformations[1].read_delimited",
            "read twice",
        ),
        (DELIMITED + "  - {take: 1, skip: 1}\n", 4, "transformations[1]", "found skip and take"),
        (DELIMITED + "  - {}\n", 4, "transformations[1]", "found nothing"),
        (DELIMITED + "  - take:\n", 4, "transformations[1].take", "has no value"),
        (DELIMITED + "  - take: -1\n", 4, "transformations[1].take", "at least 0"),
        (DELIMITED + "  - filter: x =\n", 4, "transformations[1].filter", "is no expression"),
        (DELIMITED + "  - filter: x in [1]\n", 4, "transformations[1].filter", 'x == "a" or x == "b"'),
        (
            DELIMITED + "  - take_random_sample: {probability: 2}\n",
            4,
            "transformations[1].take_random_sample.probability",
            "at most 1",
        ),
        (
            DELIMITED + "  - take_random_sample: {seed: 2}\n",
            4,
            "transformations[1].take_random_sample.probability",
            "is missing",
        ),
        (
            DELIMITED + "  - keep_columns: {pattern: '['}\n",
            4,
            "transformations[1].keep_columns.pattern",
            "regular expression",
        ),
        (
            DELIMITED + "  - convert_column_types: [{columns: a, column_type: long}]\n",
            4,
            "transformations[1].convert_column_types[0].column_type",
            "one of int, float",
        ),
        (
            DELIMITED + "  - convert_column_types: [{columns: a, column_type: stream_info}]\n",
            4,
            "transformations[1].convert_column_types[0].column_type",
            "cannot be given to a model",
        ),
        (
            DELIMITED
            + "  - convert_column_types: [{columns: a, column_type: {boolean: {true_values: [x]}}}]\n",
            4,
            "transformations[1].convert_column_types[0].column_type.boolean",
            "belong together",
        ),
        (
            DELIMITED
            + "  - convert_column_types: [{columns: a, column_type: {datetime: {formats: x, date_constant: y}}}]\n",
            4,
            "transformations[1].convert_column_types[0].column_type.datetime.date_constant",
            "not supported",
        ),
        (
            DELIMITED + "  - extract_columns_from_partition_format: '/x/data.csv'\n",
            4,
            "transformations[1].extract_columns_from_partition_format",
            "names no column",
        ),
        (
            DELIMITED + "  - select_partitions: [1]\n",
            4,
            "transformations[1].select_partitions",
            "use take, skip",
        ),
        (
            HEAD + "  - read_delta_lake\n",
            3,
            "transformations[0].read_delta_lake",
            "exactly one of timestamp_as_of",
        ),
        (
            HEAD + "  - read_delta_lake: {timestamp_as_of: yesterday}\n",
            3,
            "transformations[0].read_delta_lake.timestamp_as_of",
            "must be a time",
        ),
        ("query_source: {handler: x}\n", 1, "query_source", "--query"),
        ("type: mltabel\npaths: [{file: d.csv}]\n", 1, "type", "must be mltable"),
    ],
)
def test_what_cannot_be_meant_is_placed(read, text, line, key, words):
    error = error_of(read, text)
    assert words in f"{error} {error.hint}"
    assert error.key == key
    assert not line or error.line == line


@settings(max_examples=80, deadline=None)
@given(
    at=st.integers(0, 200),
    value=st.sampled_from(
        ["[]", "{}", "null", "yes", "1.5", "''", "{a: 1}", "[x]", "-3", "9" * 400, ".inf", "'['"]
    ),
)
def test_any_value_anywhere_is_taken_or_placed(at, value, folder):
    """Never anything but Inputs or a SpecError; and what is taken can be done, or is a DataError."""
    lines = FULL.splitlines()
    at = at % len(lines)
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {value}"
    (folder / "any").write_text("\n".join(lines), encoding="utf-8")
    with contextlib.suppress(SpecError, DataError):
        found = mltables.read(str(folder / "any"))
        table = pa.table({"id": ["1"], "x": [2], "when": ["x"], "flag": ["x"]})
        rewriting.apply(table, found.transformations, Origin("/p/2023/01/02/d.csv"))
