"""``Cut(0, -1, ...)`` is all of a file, in each format: what is fetched later is planned unseen."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import registry
from penstock.runtimes.batch.plan import Cut
from support.format_reading import written

SCHEMA = pa.schema([("a", pa.int64()), ("s", pa.string())])
READ = ReadOptions(skip_rows=1)
ROWS = [{"a": 1, "s": "x"}, {"a": 2, "s": None}]


def stored(folder: Path, name: str) -> str:
    path = str(folder / "file")
    table = pa.Table.from_pylist(ROWS, SCHEMA)
    csv = "\ufeffmade by us\na,s\n1,x\n2,\n".encode()
    if name == "parquet":
        pq.write_table(table, path)
    elif name == "arrow":
        with pa.ipc.new_file(path, SCHEMA) as writer:
            writer.write_table(table)
    elif name == "jsonl":
        written(folder, "file", '\ufeff{"a":1,"s":"x"}\n{"a":2}\n')
    else:
        written(folder, "file", gzip.compress(csv) if name == "csv.gz" else csv)
    return path


def read(name: str, path: str, cut: Cut, **more: Any) -> list[dict[str, Any]]:
    form = registry.of(name.partition(".")[0])
    options: dict[str, Any] = {"schema": SCHEMA, "columns": None, "rows": 10, **more}
    return [row for batch in form.batches(path, cut, READ, **options) for row in batch.to_pylist()]


@pytest.mark.parametrize("name", [*registry.names(), "csv.gz"])
def test_a_cut_of_everything(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path, name)
    assert read(name, path, Cut(0, -1, 5)) == ROWS
    assert [list(row) for row in read(name, path, Cut(0, -1, 5), columns=["s"])] == [["s"], ["s"]]
    cuts = list(registry.of(name.partition(".")[0]).cuts(path, READ, size=1 << 20, rows=0))
    assert [(cut.start, cut.stop, cut.first_row) for cut in cuts] == [(0, -1, 0)]
    assert read(name, written(tmp_path, "empty", b""), Cut(0, -1, 0)) == []


@pytest.mark.parametrize("name", registry.names())
def test_numbering_rows_does_not_open_small_files(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, "file", b"whatever")
    assert list(registry.of(name).cuts(path, READ, size=8, rows=1)) == [Cut(0, -1, 8, first_row=0)]


@pytest.mark.parametrize("name", registry.names())
def test_a_file_that_is_gone(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="gone: cannot be read: No such file"):
        list(registry.of(name).cuts(str(tmp_path / "gone"), READ, size=8, rows=0))
    with pytest.raises(DataError, match="gone: cannot be read: No such file"):
        read(name, str(tmp_path / "gone"), Cut(0, -1, 0))


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_a_text_that_shrank_since_it_was_planned(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path, name)
    with pytest.raises(DataError, match=r"has \d+ bytes, where 1000 were planned"):
        read(name, path, Cut(5, 1000, 995))
