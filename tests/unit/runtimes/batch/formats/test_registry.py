"""What a file's name promises."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.errors import DataError
from penstock.runtimes.batch.formats import registry


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.parquet", "parquet"), ("part-0.snappy.parquet", "parquet"), ("a.PQ", "parquet"), ("a.csv", "csv"),
        ("a.tsv", "csv"), ("a.csv.gz", "csv"), ("a.CSV.ZST", "csv"), ("a.csv.bz2", "csv"), ("a.jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl"), ("a.json", "jsonl"), ("a.arrow", "arrow"), ("a.feather", "arrow"),
        ("a.ipc", "arrow"), ("a.txt", ""), ("a.parquet.gz", ""), ("a", ""), ("csv", ""), (".csv", ""), ("", ""),
        ("a.gz", ""), ("csv.gz", ""), ("a.png", ""),
    ],
)  # fmt: skip
def test_suffixes(name: str, format: str) -> None:  # noqa: A002
    assert registry.format_of(name) == format


def test_each_format_has_its_module() -> None:
    for name in registry.names():
        form = registry.of(name)
        assert callable(form.schema)
        assert callable(form.cuts)
        assert callable(form.batches)
    with pytest.raises(DataError, match="no such data format: 'xml'"):
        registry.of("xml")


def test_pyarrow_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from penstock.runtimes.batch.formats import registry; "
        "[registry.of(name) for name in registry.names()]; sys.exit('pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
