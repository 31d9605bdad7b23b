"""Sources on real stores: S3, Azure Blob and the web, with their bad days."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.bundle.batch import Inputs, ReadOptions
from penstock.errors import DataError
from penstock.runtimes.batch.formats import registry as formats
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import registry
from penstock.runtimes.batch.sources.interface import Source
from support import azurite as azurite_support
from support import breaking, object_store
from support.http_files import Site

pytestmark = pytest.mark.slow


@dataclass
class Place:
    """A store of either kind, for the tests that hold for both."""

    url: str
    storage: dict[str, str]
    put: Callable[[str, bytes], None]
    remove: Callable[[str], None]
    secrets: list[str]


@pytest.fixture(params=["s3", "azure"])
def place(request: pytest.FixtureRequest) -> Place:
    """A bucket of S3, then a container of Azure Blob."""
    if request.param == "s3":
        bucket: object_store.Bucket = request.getfixturevalue("s3")
        return Place(
            bucket.url, bucket.storage, bucket.put,
            lambda key: bucket.client().delete_object(Bucket=bucket.name, Key=key),
            [object_store.SECRET],
        )  # fmt: skip
    container: azurite_support.Container = request.getfixturevalue("azurite")
    return Place(
        container.url, container.storage, container.put, container.client().delete_blob, [azurite_support.KEY]
    )


def opened(
    *locations: str, storage: Mapping[str, str] = {}, environment: Mapping[str, str] = {}
) -> list[Source]:
    """The sources of `locations`, deaf to this machine's own environment."""
    inputs = Inputs(locations, storage=dict(storage))
    return registry.open_sources(inputs, format_of=formats.format_of, environment=environment)


def listed(source: Source) -> list[SourceFile]:
    """All files, then the source is closed."""
    try:
        return list(source.files())
    finally:
        source.close()


def names(place: Place, path: str) -> list[str]:
    """The URIs below `path`, without the place's own."""
    [source] = opened(f"{place.url}/{path}", storage=place.storage)
    return [file.uri.removeprefix(place.url + "/") for file in listed(source)]


ODD = "a b/c#d?e%20f+g&h=ü'\"[1].csv"


def test_a_folder_is_listed_all_the_way_down(place: Place) -> None:
    for key in ["in/b.csv", "in/a/z.csv", "in/a.csv", "in/a-b/x.csv", "in/_SUCCESS", "in/.crc/x.csv", "other.csv",
                "in/a/_temporary/y.csv", "in/year=2024/m=%31/p.csv", "inner/x.csv",
                "in/empty/"]:  # fmt: skip
        place.put(key, b"x\n1\n")
    [source] = opened(f"{place.url}/in", storage=place.storage)
    files = listed(source)
    found = [file.uri.removeprefix(place.url + "/in/") for file in files]
    assert found == ["a-b/x.csv", "a.csv", "a/z.csv", "b.csv", "year=2024/m=%31/p.csv"]
    assert [file.size for file in files] == [4] * 5
    assert dict(files[-1].constants) == {"year": "2024", "m": "1"}
    assert {file.format for file in files} == {"csv"}
    assert not source.is_local()


def test_the_end_of_a_parquet_file_tells_its_columns_and_cuts(place: Place, tmp_path: Path) -> None:
    # The second one's footer is longer than a look at the end.
    for name, columns, rows in [("plain", 3, 100_000), ("wide", 3000, 1000)]:
        table = pa.table({f"column {number}": np.arange(rows) for number in range(columns)})
        pq.write_table(
            table, tmp_path / name, row_group_size=rows // 10, use_dictionary=False, compression="none"
        )
        place.put(f"{name}.parquet", (tmp_path / name).read_bytes())
        [source] = opened(f"{place.url}/{name}.parquet", storage=place.storage)
        [file] = source.files()
        end = tmp_path / f"{name}.end"
        assert source.fetch_end(file, str(end))
        source.close()
        assert end.stat().st_size == file.size
        assert name == "wide" or end.stat().st_blocks * 512 < file.size
        module, options = formats.of("parquet"), ReadOptions()
        assert module.schema(str(end), options) == table.schema
        whole = list(module.cuts(str(tmp_path / name), options, size=10_000, rows=0))
        assert list(module.cuts(str(end), options, size=10_000, rows=0)) == whole
        assert len(whole) > 1


def test_patterns_choose(place: Place) -> None:
    for key in [
        "d/2024-01/a.csv",
        "d/2024-01/sub/b.csv",
        "d/2024-02/c.csv",
        "d/2025-01/d.csv",
        "d/2024-01/n.txt",
    ]:
        place.put(key, b"x\n1\n")
    assert names(place, "d/2024-*/*.csv") == ["d/2024-01/a.csv", "d/2024-02/c.csv"]
    assert names(place, "d/**/b.csv") == ["d/2024-01/sub/b.csv"]
    assert names(place, "**/[cd].csv") == ["d/2024-02/c.csv", "d/2025-01/d.csv"]
    assert names(place, "d/2024-02") == ["d/2024-02/c.csv"]
    with pytest.raises(DataError, match=r"no file matches .*d/\*\.parquet"):
        names(place, "d/*.parquet")


def test_the_same_order_as_on_a_disk(place: Place, tmp_path: Path) -> None:
    chance = random.Random(5)
    parts = ["a", "a-", "a.b", "ab", "é", "z z"]
    keys = {"/".join(chance.choices(parts, k=chance.randint(1, 4))) + ".csv" for _ in range(40)}
    for key in keys:
        place.put(f"in/{key}", b"x")
        path = tmp_path / "in" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    [local] = opened(str(tmp_path / "in"))
    here = [file.uri.removeprefix(f"{tmp_path}/") for file in listed(local)]
    assert names(place, "in") == here
    assert set(here) == {f"in/{key}" for key in keys}


def test_odd_names_come_whole(place: Place, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(100_000)
    place.put(ODD, content)
    place.put("empty.csv", b"")
    for path in (ODD, "a b", "a b/"):
        [source] = opened(f"{place.url}/{path}", storage=place.storage)
        [file] = source.files()
        source.fetch(file, str(tmp_path / "here"))
        assert (tmp_path / "here").read_bytes() == content
        source.close()
    [source] = opened(f"{place.url}/empty.csv", storage=place.storage)
    [file] = source.files()
    source.fetch(file, str(tmp_path / "nothing"))
    assert (tmp_path / "nothing").read_bytes() == b""
    source.close()


def test_many_threads_fetch_and_another_process_may(place: Place, tmp_path: Path) -> None:
    contents = {f"in/{number:03}.csv": random.Random(number).randbytes(20_000) for number in range(40)}
    for key, content in contents.items():
        place.put(key, content)
    [source] = opened(f"{place.url}/in", storage=place.storage)
    files = listed(source)
    [resumed] = opened(f"{place.url}/in", storage=place.storage)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: resumed.fetch(file, str(tmp_path / file.uri.rpartition("/")[2])), files))
    resumed.close()
    assert {f"in/{path.name}": path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_what_changed_or_went_is_an_error_and_leaves_nothing(place: Place, tmp_path: Path) -> None:
    place.put("a.csv", b"x\n1\n")
    place.put("b.csv", b"x\n1\n")
    [source] = opened(f"{place.url}/", storage=place.storage)
    first, second = source.files()
    place.put("a.csv", b"x\n2\n")
    place.remove("b.csv")
    with pytest.raises(DataError, match=r"a\.csv has changed since the job was planned"):
        source.fetch(first, str(tmp_path / "a"))
    with pytest.raises(DataError, match=r"b\.csv is not there"):
        source.fetch(second, str(tmp_path / "b"))
    source.close()
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_comes_whole(place: Place, tmp_path: Path) -> None:
    content = random.Random(2).randbytes(20_000_000)
    place.put("large.csv", content)
    [source] = opened(f"{place.url}/large.csv", storage=place.storage)
    [file] = source.files()
    source.fetch(file, str(tmp_path / "large"))
    source.close()
    assert (tmp_path / "large").read_bytes() == content


def test_more_than_a_page(place: Place) -> None:
    count = 1203 if place.url.startswith("s3") else 30  # Azure's page has 5,000
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: place.put(f"many/{number:05}.csv", b"x"), range(count)))
    assert names(place, "many") == [f"many/{number:05}.csv" for number in range(count)]


def test_what_is_not_there_names_its_neighbour(place: Place) -> None:
    place.put("folder/cases.csv", b"x")
    with pytest.raises(DataError, match=r"folder/case\.csv") as caught:
        names(place, "folder/case.csv")
    assert "did you mean cases.csv?" in caught.value.hint
    with pytest.raises(DataError) as caught:
        names(place, "floder")
    assert "folder" in caught.value.hint
    missing = Place(place.url + "-that-is-not", place.storage, place.put, place.remove, place.secrets)
    with pytest.raises(DataError, match="is not there"):
        names(missing, "x")
    place.put("folder/notes.txt", b"x")
    with pytest.raises(DataError, match="name does not say"):
        names(place, "folder")


def test_wrong_credentials_are_said_and_never_shown(
    azurite: azurite_support.Container, caplog: pytest.LogCaptureFixture
) -> None:
    # Of Azure alone: moto lets everybody in.
    caplog.set_level(logging.DEBUG, "penstock")
    azurite.put("a.csv", b"x")
    wrong = {"connection_string": azurite.connection_string.replace("Eby8", "Abc9")}
    [source] = opened(f"{azurite.url}/a.csv", storage=wrong)
    with pytest.raises(DataError, match="no access to") as caught:
        listed(source)
    said = f"{caught.value} {caught.value.hint} {caplog.text}"
    assert "vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50" not in said


@pytest.mark.parametrize("cuts", [1, 6])
def test_connections_that_break_are_taken_up_where_they_broke(
    cuts: int, place: Place, tmp_path: Path
) -> None:
    content = random.Random(4).randbytes(9_000_000)
    place.put("in/large.csv", content)
    direct = place.storage.get("endpoint_url") or place.storage["connection_string"]
    port = re.findall(r"127\.0\.0\.1:(\d+)", direct)[0]
    with breaking.breaking(int(port), cuts=cuts, after=1_300_000) as way:
        storage = {name: text.replace(f":{port}", f":{way.port}") for name, text in place.storage.items()}
        [source] = opened(f"{place.url}/in", storage=storage)
        [file] = source.files()
        source.fetch(file, str(tmp_path / "here"))
        source.close()
        assert way.cut == cuts
    assert (tmp_path / "here").read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_a_connection_that_always_breaks_is_given_up(place: Place, tmp_path: Path) -> None:
    place.put("in/large.csv", bytes(9_000_000))
    direct = place.storage.get("endpoint_url") or place.storage["connection_string"]
    port = re.findall(r"127\.0\.0\.1:(\d+)", direct)[0]
    with breaking.breaking(int(port), cuts=1000, after=100_000) as way:
        storage = {name: text.replace(f":{port}", f":{way.port}") for name, text in place.storage.items()}
        [source] = opened(f"{place.url}/in", storage=storage)
        [file] = source.files()
        with pytest.raises(DataError, match=r"in/large\.csv cannot be reached"):
            source.fetch(file, str(tmp_path / "here"))
        source.close()
    assert list(tmp_path.iterdir()) == []


def test_credentials_of_the_environment(s3: object_store.Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("a.csv", b"x")
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    [source] = registry.open_sources(Inputs((f"{s3.url}/a.csv",)), format_of=formats.format_of)
    assert [file.uri for file in listed(source)] == [f"{s3.url}/a.csv"]


def test_azure_accounts_and_datastores(azurite: azurite_support.Container) -> None:
    azurite.put("base/in/a.csv", b"x")
    account = f"abfss://{azurite.name}@{azurite_support.ACCOUNT}.dfs.core.windows.net"
    expected = [f"{account}/base/in/a.csv"]
    for environment in ({}, {"PENSTOCK_DATASTORE_MY_STORE": f"{account}/base"}):
        storage = (
            azurite.storage if environment else {**azurite.storage, "datastore.my-store": f"{account}/base/"}
        )
        for path in (
            "azureml://datastores/my-store/paths/in/",
            "azureml://subscriptions/s/resourcegroups/r/workspaces/w/datastores/my-store/paths/in/a.csv",
        ):
            [source] = opened(path, storage=storage, environment=environment)
            assert [file.uri for file in listed(source)] == expected
    with pytest.raises(DataError, match="nobody says where the datastore other lies") as caught:
        opened("azureml://datastores/other/paths/in")
    assert "PENSTOCK_DATASTORE_OTHER" in caught.value.hint
    with pytest.raises(
        DataError, match="account elsewhere, but the connection string is for devstoreaccount1"
    ):
        opened(account.replace(azurite_support.ACCOUNT, "elsewhere"), storage=azurite.storage)


def test_options_nobody_knows_and_schemes_nobody_reads() -> None:
    with pytest.raises(DataError, match="endpont_url") as caught:
        opened("s3://b/x.csv", storage={"endpont_url": "http://127.0.0.1:1"})
    assert "endpoint_url" in caught.value.hint
    with pytest.raises(DataError, match="nothing here reads nonsense://"):
        opened("nonsense://x/y.csv")
    with pytest.raises(DataError, match="gs:// locations need a library") as caught:
        opened("gs://x/y.csv")
    assert "gcsfs" in caught.value.hint


def test_nobody_at_the_endpoint_is_said_within_seconds() -> None:
    storage = {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "a-long-secret"}
    [source] = opened("s3://b/x.csv", storage=storage)
    with pytest.raises(DataError, match=r"s3://b/x\.csv cannot be reached"):
        listed(source)


@pytest.mark.parametrize(
    "manner", ["plain", "busy-2", "cut-2", "no-head", "no-etag", "bare", "chunked", "moved", "signed"]
)
def test_the_web_as_it_is(manner: str, site: Site, tmp_path: Path) -> None:
    content = random.Random(3).randbytes(300_000)
    site.put("cases 1.csv", content)
    url = site.url("cases%201.csv", manner) + ("?id=7&sig=good&se=2026" if manner == "signed" else "")
    [source] = opened(url)
    [file] = source.files()
    assert file.size == len(content)
    assert file.format == "csv"
    assert "good" not in file.uri + file.fetch
    source.fetch(file, str(tmp_path / "here"))
    assert (tmp_path / "here").read_bytes() == content
    source.close()


@pytest.mark.parametrize("manner", ["plain", "no-etag", "no-head"])
def test_a_page_that_changed(manner: str, site: Site, tmp_path: Path) -> None:
    site.put("a.csv", b"x\n1\n")
    [source] = opened(site.url("a.csv", manner))
    [file] = source.files()
    for other in (b"x\n2\n", b"x\n1\n2\n") if manner != "no-etag" else (b"x\n1\n2\n",):
        site.put("a.csv", other)
        with pytest.raises(DataError, match="changed since"):
            source.fetch(file, str(tmp_path / "here"))
    (site.folder / "a.csv").unlink()
    with pytest.raises(DataError, match="is not there"):
        source.fetch(file, str(tmp_path / "here"))
    source.close()
    assert list(tmp_path.iterdir()) == []


def test_the_web_keeps_secrets(site: Site) -> None:
    site.put("a.csv", b"x\n1\n")
    private = site.url("a.csv", "private").replace("http://", "http://reader:pa%3Ass%20word@")
    [source] = opened(private)
    [file] = source.files()
    assert file.uri == site.url("a.csv", "private")
    source.close()
    for url in (
        site.url("a.csv", "signed") + "?sig=badbadbad",
        site.url("a.csv", "private").replace("http://", "http://reader:badbadbad@"),
    ):
        [source] = opened(url)
        with pytest.raises(DataError, match="no access to") as caught:
            listed(source)
        assert "badbadbad" not in f"{caught.value}{caught.value.hint}{caught.value.__cause__}"
    with pytest.raises(DataError, match="there is nothing at"):
        listed(opened(site.url("b.csv"))[0])
    site.put("a", b"x")
    with pytest.raises(DataError, match="does not say what the file holds"):
        listed(opened(site.url("a"))[0])


def test_several_locations_in_their_order(s3: object_store.Bucket, site: Site, tmp_path: Path) -> None:
    s3.put("a.csv", b"x")
    site.put("b.csv", b"x")
    (tmp_path / "c.csv").write_bytes(b"x")
    sources = opened(f"{s3.url}/a.csv", site.url("b.csv"), f"file://{tmp_path}/c.csv", storage=s3.storage)
    assert [file.uri for source in sources for file in listed(source)] == [
        f"{s3.url}/a.csv", site.url("b.csv"), str(tmp_path / "c.csv"),
    ]  # fmt: skip


def test_any_file_system_of_fsspec(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for key in ("/in/b/x.csv", "/in/a.csv", "/in/b-c.csv", "/in/_SUCCESS"):
        memory.pipe_file(key, b"x\n1\n")
    [source] = opened("memory://in")
    files = listed(source)
    assert [file.uri for file in files] == [
        "memory:///in/a.csv",
        "memory:///in/b-c.csv",
        "memory:///in/b/x.csv",
    ]
    source.fetch(files[0], str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"x\n1\n"
    memory.pipe_file("/in/a.csv", b"x\n1\n2\n")
    with pytest.raises(DataError, match="changed"):
        source.fetch(files[0], str(tmp_path / "b"))
