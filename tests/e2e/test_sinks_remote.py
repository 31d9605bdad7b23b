"""Results in object stores: a real S3 server and a real Azure Blob server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import dataset, registry
from penstock.runtimes.batch.sinks.interface import Published
from support import azurite as azurite_support
from support import object_store
from support.staged_parts import staged

pytestmark = pytest.mark.slow

RESULTS = [pa.table({"id": [1, 2], "v": [1, 2]}), None, pa.table({"id": [3], "v": [0.5]})]
CSV = b"id,v\n1,1\n2,2\n3,0.5\n"


@dataclass
class Place:
    """A bucket or container, whichever it is."""

    url: str
    storage: dict[str, str]
    put: Callable[[str, bytes], None]
    get: Callable[[str], bytes]
    names: Callable[[], list[str]]
    secret: str


@pytest.fixture(params=["s3", "azurite"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    if isinstance(found, object_store.Bucket):
        return Place(found.url, found.storage, found.put, found.get, found.keys, object_store.SECRET)
    return Place(found.url, found.storage, found.put, found.get, found.names, azurite_support.KEY)


def publish(place: Place, name: str, folder: Path, results: list[Any] = RESULTS, **output: Any) -> Published:
    options = Output(location=f"{place.url}/{name}", storage=place.storage, **output)
    sink = registry.open_sink(options, job="j", folder=str(folder))
    sink.check()
    parts = staged(sink, results)
    published = sink.publish(lambda: parts)
    assert sink.publish(lambda: parts) == published
    sink.discard()
    return published


def read(place: Place, prefix: str, folder: Path) -> list[dict[str, Any]]:
    for name in place.names():
        if name.startswith(prefix) and not name.endswith(".txt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(place.get(name))
    rows: list[dict[str, Any]] = pq.read_table(folder / prefix).to_pylist()
    return rows


def test_dataset(place: Place, tmp_path: Path) -> None:
    published = publish(place, "deep/out", tmp_path / "1")
    assert place.names() == [
        "deep/out/_SUCCESS",
        "deep/out/part-00000.parquet",
        "deep/out/part-00002.parquet",
    ]
    rows = [{"id": 1, "v": 1.0}, {"id": 2, "v": 2.0}, {"id": 3, "v": 0.5}]
    assert read(place, "deep/out", tmp_path / "read") == rows
    assert (published.files, published.rows) == (2, 3)

    place.put("deep/out/theirs.txt", b"theirs")
    place.put("deep/outer/theirs.txt", b"theirs")
    with pytest.raises(OutputError, match="there already"):
        publish(place, "deep/out", tmp_path / "2")
    publish(place, "deep/out", tmp_path / "3", mode="append")
    assert len(read(place, "deep/out", tmp_path / "read2")) == 6
    publish(place, "deep/out", tmp_path / "4", [RESULTS[0]], mode="replace")
    assert read(place, "deep/out", tmp_path / "read3") == rows[:2]
    assert place.get("deep/out/theirs.txt") == b"theirs"
    assert place.get("deep/outer/theirs.txt") == b"theirs"


def test_dataset_of_others_is_not_replaced(place: Place, tmp_path: Path) -> None:
    place.put("out/_SUCCESS", b"")
    with pytest.raises(OutputError, match="no _SUCCESS by which to tell"):
        publish(place, "out/", tmp_path, mode="replace")


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_dataset_interrupted(place: Place, tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever request is the last one, publishing again ends in the same state."""
    publish(place, "out", tmp_path / "old", mode="append")
    place.put("out/theirs.txt", b"theirs")
    options = Output(location=f"{place.url}/out", storage=place.storage, mode="replace")
    sink = registry.open_sink(options, job="k", folder=str(tmp_path / "job"))
    sink.check()
    parts = staged(sink, RESULTS)
    with monkeypatch.context() as patched:
        from penstock.runtimes.batch.sinks import objects

        done = 0

        def counted(name: str) -> None:
            plain = getattr(objects.Objects, name)

            def request(*arguments: Any) -> Any:
                nonlocal done
                done += 1
                if done > at:
                    raise KeyboardInterrupt
                return plain(*arguments)

            patched.setattr(objects.Objects, name, request)

        for name in ("put", "remove", "write"):
            counted(name)
        with pytest.raises(KeyboardInterrupt):
            sink.publish(lambda: parts)

    again = registry.open_sink(options, job="k", folder=str(tmp_path / "job"))
    again.check()
    again.publish(lambda: parts)
    assert [name for name in place.names() if "theirs" not in name] == [
        "out/_SUCCESS", "out/part-k-00000.parquet", "out/part-k-00002.parquet"]  # fmt: skip
    listed = dataset.manifest_of(place.get("out/_SUCCESS").decode())
    assert [one.name for one in listed or ()] == ["part-k-00000.parquet", "part-k-00002.parquet"]
    assert place.get("out/theirs.txt") == b"theirs"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_single_files(place: Place, tmp_path: Path, form: str) -> None:
    publish(place, "deep/out.x", tmp_path / "1", form=form)
    if form == "csv":
        assert place.get("deep/out.x") == CSV
    before = place.get("deep/out.x")
    with pytest.raises(OutputError, match="there already"):
        publish(place, "deep/out.x", tmp_path / "2", form=form)
    skipped = publish(place, "deep/out.x", tmp_path / "3", [RESULTS[0]], form=form, mode="skip")
    assert "left as it was" in skipped.note
    assert place.get("deep/out.x") == before
    publish(place, "deep/out.x", tmp_path / "4", form=form, mode="replace")
    assert place.get("deep/out.x") == before


def test_append(place: Place, tmp_path: Path) -> None:
    place.put("out.csv", b"id,v\n0,0")
    publish(place, "out.csv", tmp_path / "1", form="csv", mode="append")
    assert place.get("out.csv") == b"id,v\n0,0\n1,1\n2,2\n3,0.5\n"


@pytest.mark.parametrize("mode", ["error", "append", "replace"])
@pytest.mark.parametrize("arrived", [False, True])
def test_single_file_interrupted(
    place: Place, tmp_path: Path, mode: str, arrived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after the upload has arrived."""
    from penstock.runtimes.batch.sinks import objects

    if mode != "error":
        place.put("out.csv", b"id,v\n0,0\n")
    options = Output(location=f"{place.url}/out.csv", storage=place.storage, form="csv", mode=mode)
    sink = registry.open_sink(options, job="j", folder=str(tmp_path))
    sink.check()
    parts = staged(sink, RESULTS)
    plain = objects.Objects.put

    def interrupted(self: Any, path: Path, key: str = "") -> None:
        if arrived:
            plain(self, path, key)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(objects.Objects, "put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sink.publish(lambda: parts)
    again = registry.open_sink(options, job="j", folder=str(tmp_path))
    again.check()
    again.publish(lambda: parts)
    assert place.get("out.csv") == (b"id,v\n0,0\n1,1\n2,2\n3,0.5\n" if mode == "append" else CSV)


def test_somebody_else_was_faster(place: Place, tmp_path: Path) -> None:
    options = Output(location=f"{place.url}/out.csv", storage=place.storage, form="csv")
    sink = registry.open_sink(options, job="j", folder=str(tmp_path))
    sink.check()
    parts = staged(sink, RESULTS)
    place.put("out.csv", b"theirs")
    with pytest.raises(OutputError, match="there already"):
        sink.publish(lambda: parts)
    assert place.get("out.csv") == b"theirs"


def test_no_such_bucket_shows_no_secret(place: Place, tmp_path: Path) -> None:
    options = Output(location=f"{place.url}-missing/out.csv", storage=place.storage, form="csv")
    sink = registry.open_sink(options, job="j", folder=str(tmp_path))

    def run() -> None:
        sink.check()
        parts = staged(sink, RESULTS)
        sink.publish(lambda: parts)

    with pytest.raises(OutputError) as caught:
        run()
    assert place.secret not in f"{caught.value} {caught.value.hint}"
