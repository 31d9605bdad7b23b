"""Delta tables in real object stores."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.bundle.batch import Inputs
from penstock.errors import DataError
from penstock.runtimes.batch.formats import registry as formats
from penstock.runtimes.batch.sources import registry
from penstock.runtimes.batch.sources.interface import Source
from support import azurite as azurite_support
from support import object_store

pytestmark = pytest.mark.slow


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table whose files differ in their columns, with one file that is not its content any more."""
    top = tmp_path / "table"
    day = [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]
    deltalake.write_deltalake(top, pa.table({"x": [1, 2], "day": day, "l": [[1], [2]]}), partition_by=["day"])
    more = pa.table({"x": [3], "day": day[:1], "l": [[3]], "m": [[4.5]]})
    deltalake.write_deltalake(top, more, mode="append", schema_mode="merge")
    deltalake.DeltaTable(top).delete("x = 2")
    return top


def opened(location: str, storage: dict[str, str]) -> Source:
    """The source of one location."""
    [source] = registry.open_sources(
        Inputs((location,), storage=storage), format_of=formats.format_of, environment={}
    )
    return source


@pytest.mark.parametrize("kind", ["s3", "azure", "azure account"])
def test_a_table_in_a_store(kind: str, request: pytest.FixtureRequest, table: Path, tmp_path: Path) -> None:
    if kind == "s3":
        bucket: object_store.Bucket = request.getfixturevalue("s3")
        url, storage, put = bucket.url, bucket.storage, bucket.put
    else:
        container: azurite_support.Container = request.getfixturevalue("azurite")
        url, storage, put = container.url, container.storage, container.put
        if kind == "azure account":
            url = f"abfss://{container.name}@{azurite_support.ACCOUNT}.dfs.core.windows.net"
    for path in table.rglob("*"):
        if path.is_file():
            put(f"in/{path.relative_to(table)}", path.read_bytes())
    source = opened(f"{url}/in", storage)
    files = list(source.files())
    assert [file.uri for file in files] == sorted(file.uri for file in files)
    assert all(file.uri.startswith(f"{url}/in/day=2024-01-01/") for file in files)
    assert sorted(map(str, (dict(file.constants) for file in files))) == [
        "{'day': '2024-01-01', 'm': None}", "{'day': '2024-01-01'}",
    ]  # fmt: skip
    assert source.column_types() == {"x": "int64", "day": "date32[day]", "l": "list<element: int64>",
                                     "m": "list<element: double>"}  # fmt: skip
    found = []
    for file in files:
        source.fetch(file, str(tmp_path / "here"))
        found += pq.ParquetFile(tmp_path / "here").read().column("x").to_pylist()
    assert sorted(found) == [1, 3]
    source.close()
    source = opened(f"{url}/in/", {**storage, "version_as_of": "0"})
    assert len(list(source.files())) == 2
    source.close()
    [beside] = registry.open_sources(
        Inputs((url,), storage=storage), format_of=formats.format_of, environment={}
    )
    with pytest.raises(DataError, match="in is a Delta table"):
        list(beside.files())
    beside.close()
