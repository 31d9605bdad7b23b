"""Arrow files and streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import arrow_ipc
from penstock.runtimes.batch.plan import Cut
from support.format_reading import everything, written

READ = ReadOptions()


def stored(
    folder: Path, table: Any, *, stream: bool = False, compression: str | None = None, at_once: int
) -> str:
    path = str(folder / "t.arrow")
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=at_once)
    return path


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_the_cuts_together_are_the_whole(tmp_path: Path, compression: str | None) -> None:
    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(0, 30), st.integers(1, 9), st.booleans(), st.integers(1, 3000), st.sampled_from([0, 1, 4])
    )
    def check(count: int, at_once: int, stream: bool, size: int, rows: int) -> None:
        table = pa.table(
            {"l": [[number] for number in range(count)], "a": range(count), "s": pa.array(["x"] * count)}
        )
        path = stored(tmp_path, table, stream=stream, compression=compression, at_once=at_once)
        cuts, found = everything(arrow_ipc, path, size=size, rows=rows, at_once=4, schema=table.schema)
        assert found == table.to_pylist()
        if rows and not stream:
            assert all(cut.rows % rows == 0 for cut in cuts[:-1])
        assert len(cuts) <= 1 or not stream
        some = everything(arrow_ipc, path, size=size, rows=rows, columns=["s", "a"])[1]
        assert some == table.select(["s", "a"]).to_pylist()

    check()


def test_categories_survive(tmp_path: Path) -> None:
    table = pa.table({"c": pa.array(["x", "y", "x"]).dictionary_encode(), "n": [1, 2, 3]})
    path = stored(tmp_path, table, at_once=2)
    assert arrow_ipc.schema(path, READ).equals(table.schema)
    assert everything(arrow_ipc, path, size=1, columns=["c"])[1] == table.select(["c"]).to_pylist()
    job = pa.schema([("c", pa.string()), ("n", pa.float64())])
    assert everything(arrow_ipc, path, schema=job)[1][2] == {"c": "x", "n": 3.0}
    batch = next(iter(arrow_ipc.batches(path, Cut(0, -1, 1), READ, schema=job, columns=[], rows=9)))
    assert (batch.num_rows, batch.num_columns) == (2, 0)


def test_what_is_no_arrow_file(tmp_path: Path) -> None:
    path = stored(tmp_path, pa.table({"a": range(1000)}), at_once=100)
    content = Path(path).read_bytes()
    schema = pa.schema([("a", pa.int64())])
    for part, message in [
        (content[:2000], "an Arrow file whose end is missing"),
        (b"a,b\n1,2\n", "no Arrow file or stream"),
        (b"FEA1....FEA1", "Feather version 1"),
    ]:
        torn = written(tmp_path, "torn.arrow", part)
        with pytest.raises(DataError, match=rf"torn\.arrow: this is {message}"):
            arrow_ipc.schema(torn, READ)
        with pytest.raises(DataError, match=rf"torn\.arrow: this is {message}"):
            everything(arrow_ipc, torn, schema=schema)
    stream = Path(stored(tmp_path, pa.table({"a": range(1000)}), stream=True, at_once=100)).read_bytes()
    torn = written(tmp_path, "torn.arrow", stream[:3000])
    with pytest.raises(DataError, match=r"torn\.arrow: this Arrow file is damaged or cut short"):
        everything(arrow_ipc, torn, schema=schema)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        arrow_ipc.schema(str(tmp_path / "none.arrow"), READ)


def test_files_without_rows(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64())])
    for rows in (0, 3):
        for size in (1, 10**6):
            path = stored(tmp_path, schema.empty_table(), at_once=1)
            assert everything(arrow_ipc, path, size=size, rows=rows)[1] == []
        assert everything(arrow_ipc, written(tmp_path, "t.arrow", b""), rows=rows) == ([], [])
    assert arrow_ipc.schema(path, READ).names == []
