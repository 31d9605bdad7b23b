"""Folders and single files: what is there afterwards, what is refused, and that nobody else's files are touched."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch.sinks import receipts, registry
from penstock.runtimes.batch.sinks.interface import Published, Sink
from support.staged_parts import staged

RESULTS = [pa.table({"id": [1, 2], "v": [1, 2]}), None, pa.table({"id": [3], "v": [0.5]})]
ROWS = [{"id": 1, "v": 1.0}, {"id": 2, "v": 2.0}, {"id": 3, "v": 0.5}]
CONTENT = {
    "csv": b"id,v\n1,1\n2,2\n3,0.5\n",
    "jsonl": b'{"id":1,"v":1}\n{"id":2,"v":2}\n{"id":3,"v":0.5}\n',
}


def sink_of(place: Path, folder: Path, *, job: str = "j", **output: Any) -> Sink:
    return registry.open_sink(Output(location=str(place), **output), job=job, folder=str(folder))


def publish(place: Path, folder: Path, results: list[Any] = RESULTS, **output: Any) -> Published:
    sink = sink_of(place, folder, **output)
    sink.check()
    parts = staged(sink, results)
    published = sink.publish(lambda: parts)
    assert sink.publish(lambda: parts) == published
    sink.discard()
    sink.discard()
    assert sink_of(place, folder, **output).publish(list) == published
    return published


def names_in(folder: Path) -> list[str]:
    """All names in `folder`, sorted."""
    return sorted(path.name for path in folder.iterdir())


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below `folder`, hidden or not."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else None
    return found


# A folder of parts.


def test_a_new_folder_appears_with_those_above_it(tmp_path: Path) -> None:
    place = tmp_path / "deep/er/out"
    published = publish(place, tmp_path / "job")
    assert names_in(place) == ["_SUCCESS", "part-00000.parquet", "part-00002.parquet"]
    assert names_in(place.parent) == ["out"]
    assert pq.read_table(place).to_pylist() == ROWS
    assert pd.read_parquet(place)["v"].tolist() == [1, 2, 0.5]
    assert (published.where, published.files, published.rows) == (str(place), 2, 3)
    assert published.size == sum(path.stat().st_size for path in place.glob("*.parquet"))


def test_the_same_results_are_the_same_folder(tmp_path: Path) -> None:
    publish(tmp_path / "a", tmp_path / "job1", job="one")
    publish(tmp_path / "b", tmp_path / "job2", job="two")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_names_sort_as_the_plan_does(tmp_path: Path) -> None:
    sink = sink_of(tmp_path / "out", tmp_path / "job")
    [part] = staged(sink, [RESULTS[0]])
    from dataclasses import replace

    sink.publish(lambda: [replace(part, number=number) for number in (7, 99_999, 100_000, 1_000_000)])
    names = sorted(path.name for path in (tmp_path / "out").glob("*.parquet"))
    assert names[0] == "part-0000007.parquet"
    assert names[-1] == "part-1000000.parquet"


@pytest.mark.parametrize("there", ["empty", "hidden"])
def test_an_empty_folder_is_filled(tmp_path: Path, there: str) -> None:
    place = tmp_path / "out"
    place.mkdir(mode=0o711)
    if there == "hidden":
        (place / ".keep").write_text("")
    publish(place, tmp_path / "job")
    assert pq.read_table(place).to_pylist() == ROWS
    assert place.stat().st_mode & 0o777 == 0o711
    assert [name for name in names_in(place) if name.startswith(".")] == [".keep"] * (there == "hidden")


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    publish(tmp_path / "link", tmp_path / "job")
    assert (tmp_path / "link").is_symlink()
    assert pq.read_table(tmp_path / "real").to_pylist() == ROWS


def test_no_rows_at_all(tmp_path: Path) -> None:
    publish(tmp_path / "a", tmp_path / "job1", [None])
    assert names_in(tmp_path / "a") == ["_SUCCESS"]
    publish(tmp_path / "b", tmp_path / "job2", [RESULTS[0].slice(0, 0)] * 3)
    assert pq.read_table(tmp_path / "b").schema.names == ["id", "v"]
    assert len(list((tmp_path / "b").glob("*.parquet"))) == 1


def test_append_and_replace(tmp_path: Path) -> None:
    place = tmp_path / "out"
    publish(place, tmp_path / "1", mode="append")
    publish(place, tmp_path / "2", mode="append")
    publish(place, tmp_path / "3", mode="append")
    assert pq.read_table(place).num_rows == 9
    (place / "theirs.parquet").write_bytes((place / "part-00000.parquet").read_bytes())
    publish(place, tmp_path / "4", [RESULTS[2]], mode="replace")
    assert names_in(place) == ["_SUCCESS", "part-j.3-00000.parquet", "theirs.parquet"]
    assert pq.read_table(place).num_rows == 3


def test_schemas_are_unified_whatever_comes_first(tmp_path: Path) -> None:
    parts = [
        pa.table({"a": pa.array([1], pa.int8()), "b": pa.nulls(1)}), pa.table({"b": ["x"], "a": [1.5]}),
        pa.table({"a": [2], "c": [True]}),
    ]  # fmt: skip
    for name, results in (("x", parts), ("y", parts[::-1])):
        publish(tmp_path / name, tmp_path / f"job{name}", results)
        frame = pd.read_parquet(tmp_path / name)
        assert sorted(frame.columns) == ["a", "b", "c"]
        assert sorted(frame["a"]) == [1.0, 1.5, 2.0]
        schemas = {str(pq.read_schema(path)) for path in (tmp_path / name).glob("*.parquet")}
        assert len(schemas) == 1
    with pytest.raises(OutputError, match="'a' is int64 in one of the mini-batches and string"):
        publish(tmp_path / "z", tmp_path / "jobz", [pa.table({"a": [1]}), pa.table({"a": ["x"]})])
    assert not (tmp_path / "z").exists()


def test_a_part_that_was_lost_or_cut_short_is_said(tmp_path: Path) -> None:
    for harm, message in ((os.unlink, "is gone"), (lambda path: os.truncate(path, 9), "has 9 bytes")):
        sink = sink_of(tmp_path / "out", tmp_path / message.replace(" ", ""))
        parts = staged(sink, RESULTS)
        harm(parts[0].path)
        with pytest.raises(OutputError, match=message):
            sink.publish(lambda parts=parts: parts)  # type: ignore[misc]
        assert not (tmp_path / "out").exists()


# A single file.


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_new_file(tmp_path: Path, form: str) -> None:
    place = tmp_path / "deep/out.x"
    published = publish(place, tmp_path / "job", form=form)
    assert names_in(place.parent) == ["out.x"]
    if form == "parquet":
        assert pq.read_table(place).to_pylist() == ROWS
    else:
        assert place.read_bytes() == CONTENT[form]
    assert published == Published(where=str(place), files=1, rows=3, size=place.stat().st_size)


def test_append_row(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": ["a b.png"], "p": [0.5]})
    publish(tmp_path / "a.csv", tmp_path / "1", [frame, ["x: 1"]], form="append-row")
    assert (tmp_path / "a.csv").read_text() == '"a b.png" 0.5\nx: 1\n'
    publish(tmp_path / "b.csv", tmp_path / "2", [["x: 1"], frame, frame], form="append-row", header=True)
    assert (tmp_path / "b.csv").read_text() == 'x: 1\nfile p\n"a b.png" 0.5\n"a b.png" 0.5\n'


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_append_to_a_file(tmp_path: Path, form: str, end: bytes) -> None:
    place = tmp_path / "out"
    place.write_bytes(CONTENT[form].rstrip(b"\n") + end)
    place.chmod(0o640)
    publish(place, tmp_path / "job", form=form, mode="append")
    head = CONTENT[form].index(b"\n") + 1 if form == "csv" else 0
    assert place.read_bytes() == CONTENT[form] + CONTENT[form][head:]
    assert place.stat().st_mode & 0o777 == 0o640


def test_append_to_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("id,w\n1,2\n")
    with pytest.raises(OutputError, match=r"has the columns id,v, and .*out\.csv has id,w"):
        publish(tmp_path / "out.csv", tmp_path / "job", form="csv", mode="append")
    assert (tmp_path / "out.csv").read_text() == "id,w\n1,2\n"


def test_mini_batches_of_other_columns_are_refused_in_csv(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="mini-batch 1 has the columns b"):
        publish(
            tmp_path / "out.csv", tmp_path / "job", [pa.table({"a": [1]}), pa.table({"b": [1]})], form="csv"
        )


def test_skip_and_replace(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    place.write_bytes(b"old")
    assert "left as it was" in publish(place, tmp_path / "1", form="csv", mode="skip").note
    assert place.read_bytes() == b"old"
    publish(place, tmp_path / "2", form="csv", mode="replace")
    assert place.read_bytes() == CONTENT["csv"]


def test_a_header_with_an_end_of_line(tmp_path: Path) -> None:
    results = [pa.table({'a\n"b,': [1]}), pa.table({'a\n"b,': [2]})]
    publish(tmp_path / "out.csv", tmp_path / "job", results, form="csv")
    assert (tmp_path / "out.csv").read_bytes() == b'"a\n""b,"\n1\n2\n'


def test_a_parquet_file_without_any_result_is_empty(tmp_path: Path) -> None:
    publish(tmp_path / "out.parquet", tmp_path / "job", [None], form="parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert (found.num_rows, found.num_columns) == (0, 0)


def test_a_result_without_rows_names_the_columns_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    empty, full = pa.table({"x": pa.array([], pa.int64())}), pa.table({"y": [1]})
    publish(tmp_path / "out.csv", tmp_path / "job", [empty, full], form="csv")
    assert (tmp_path / "out.csv").read_text() == "y\n1\n"
    publish(tmp_path / "empty.csv", tmp_path / "other", [empty, empty], form="csv")
    assert (tmp_path / "empty.csv").read_text() == "x\n"


# What is refused before any work.


def _file(place: Path) -> None:
    place.write_text("theirs")


def _folder(place: Path) -> None:
    place.mkdir()
    (place / "theirs.txt").write_text("theirs")


def _below_a_file(place: Path) -> None:
    place.parent.rmdir()
    place.parent.write_text("theirs")


@pytest.mark.parametrize(
    ("form", "mode", "prepare", "message", "hint"),
    [
        ("parquet-dataset", "error", _file, "is a file", ".parquet"),
        ("parquet-dataset", "error", _folder, "there already", "--if-exists append"),
        ("parquet-dataset", "replace", _folder, "no _SUCCESS by which to tell", "append"),
        ("parquet-dataset", "error", _below_a_file, "is a file", "another --output"),
        ("csv", "error", _file, "there already", "--if-exists replace or --if-exists append"),
        ("parquet", "error", _file, "there already", "--if-exists replace"),
        ("parquet", "append", _file, "nothing can be appended", "folder"),
        ("csv", "upsert", _file, "cannot be upserted", "Delta or SQL"),
        ("csv", "replace", _folder, "is a folder", "file in it"),
        ("csv", "error", _below_a_file, "is a file", "another --output"),
    ],
)
def test_refused(
    tmp_path: Path, form: str, mode: str, prepare: Callable[[Path], None], message: str, hint: str
) -> None:
    place = tmp_path / "place/out"
    place.parent.mkdir()
    prepare(place)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=message) as caught:
        sink_of(place, tmp_path / "job", form=form, mode=mode).check()
    assert hint in caught.value.hint
    assert tree(tmp_path) == before


@contextlib.contextmanager
def somebody() -> Iterator[None]:
    """Root may write everywhere: within, we are nobody in particular."""
    if os.geteuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_folder_that_is_read_only() -> None:
    with tempfile.TemporaryDirectory() as top:  # not in `tmp_path`, whose parents let nobody else through
        Path(top).chmod(0o755)
        folder = Path(top, "held")
        folder.mkdir(mode=0o555)
        for form in ("parquet-dataset", "csv"):
            with somebody(), pytest.raises(OutputError, match="no permission"):
                sink_of(folder / "out", Path(top, "job"), form=form).check()


@pytest.mark.parametrize("form", ["parquet-dataset", "csv"])
def test_what_appears_meanwhile_is_spared(tmp_path: Path, form: str) -> None:
    place = tmp_path / "out"
    sink = sink_of(place, tmp_path / "job", form=form)
    sink.check()
    parts = staged(sink, RESULTS)
    (_folder if form == "parquet-dataset" else _file)(place)
    before = tree(place) if place.is_dir() else place.read_bytes()
    with pytest.raises(OutputError):
        sink.publish(lambda: parts)
    if place.is_dir():
        assert tree(place) == before
        (place / "theirs.txt").unlink()
        place.rmdir()
    else:
        assert place.read_bytes() == before
        place.unlink()
    sink.publish(lambda: parts)  # the way is free
    assert place.exists()


def test_what_appeared_before_a_kill_is_spared_too(tmp_path: Path) -> None:
    """Killed between the record that the folder will appear and the rename."""
    place, job = tmp_path / "out", tmp_path / "job"
    sink = sink_of(place, job)
    sink.check()
    parts = staged(sink, RESULTS)
    receipts.Receipt(str(job)).save(appears=[1, 1])
    _folder(place)
    before = tree(place)
    for _ in range(2):
        with pytest.raises(OutputError, match="is there already"):
            sink_of(place, job).publish(lambda: parts)
        assert tree(place) == before


@pytest.mark.parametrize("form", ["parquet-dataset", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more(
    tmp_path: Path, form: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = sink_of(tmp_path / "out", tmp_path / "job", form=form)
    parts = staged(sink, RESULTS)

    def full(*arguments: Any, **keywords: Any) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "out"))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(
            OutputError, match="no room left" if number == errno.ENOSPC else "not allowed"
        ) as caught:
            sink.publish(lambda: parts)
        assert "resume the job" in caught.value.hint
        assert not (tmp_path / "out").exists()
    sink.publish(lambda: parts)
    assert (tmp_path / "out").exists()


# Nothing of somebody else's is ever touched.

NAMES = st.text("ab_.-0", min_size=1, max_size=6).filter(lambda name: name.strip(".")) | st.sampled_from(
    [
        "part-00000.parquet",
        "part-00002.parquet",
        "part-j-00000.parquet",
        "data.csv",
        ".hidden",
        "_metadata",
        "part-j-",
    ]
)


@given(
    names=st.lists(NAMES, max_size=6, unique=True), ours=st.booleans(),
    mode=st.sampled_from(["error", "append", "replace"]),
    form=st.sampled_from(["parquet-dataset", "csv", "jsonl"]), beside=st.booleans(),
)  # fmt: skip
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_of_others_are_never_touched(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], ours: bool, mode: str, form: str, beside: bool
) -> None:
    root = tmp_path_factory.mktemp("place")
    place = root / "folder/out" if form == "parquet-dataset" else root / "folder/out.x"
    if ours:
        publish(place, root / "job0", [RESULTS[0]], form=form)
    theirs = place.parent if beside or form != "parquet-dataset" else place
    theirs.mkdir(parents=True, exist_ok=True)
    mine = set(names_in(theirs)) | {place.name}
    kept = [name for name in names if name not in mine]
    for name in kept:
        (theirs / name).write_text(f"theirs {name}")
    before = {name: (theirs / name).stat() for name in kept}
    refused = False
    try:
        publish(place, root / "job1", form=form, mode=mode, job="j")
    except OutputError:
        refused = True
        sink_of(place, root / "job1", form=form, mode=mode).discard()
    for name in kept:
        after = (theirs / name).stat()
        assert (after.st_ino, after.st_mtime_ns, after.st_size) == (
            before[name].st_ino, before[name].st_mtime_ns, before[name].st_size)  # fmt: skip
        assert (theirs / name).read_text() == f"theirs {name}"
    strangers = [name for name in names_in(theirs) if name.startswith(".") and "penstock" in name]
    assert not strangers
    if refused and not ours and form == "parquet-dataset" and not beside:
        assert names_in(place) == sorted(kept)
