"""Publishing that is killed at every step that the operating system sees, and called again: the same bytes as if
nobody had been killed, and nothing beside them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.bundle.batch import Output
from penstock.runtimes.batch.sinks import registry
from penstock.runtimes.batch.sinks.interface import Part, Sink
from support.staged_parts import staged

pytestmark = pytest.mark.slow

RESULTS = [pa.table({"id": [1, 2], "v": [1, 2]}), pa.table({"id": [3], "v": [0.5]})]
OLD = [pa.table({"id": [0, 9], "v": [5, 6]}), pa.table({"id": [8], "v": [7]})]

_CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "open"}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed_at(step: int, sink: Sink, parts: list[Part]) -> bool:
    """Publish in a child that dies before its `step`-th change of the file system; whether it died."""
    child = os.fork()
    if not child:
        steps = 0

        def hook(event: str, _arguments: Any) -> None:
            nonlocal steps
            if event in _CHANGES:
                steps += 1
                if steps == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(hook)
            sink.publish(lambda: parts)
            sink.discard()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def prepared(root: Path, form: str, mode: str) -> Output:
    """A place as it is before: with `mode` other than error, an older job's results and a file of somebody's."""
    root.mkdir()
    place = root / "place/out"
    output = Output(location=str(place), form=form, mode=mode)
    if mode == "existing":
        place.mkdir(parents=True)
        output = Output(location=str(place), form=form)
    elif mode != "error":
        old = registry.open_sink(Output(location=str(place), form=form), job="old", folder=str(root / "old"))
        parts = staged(old, OLD)
        old.publish(lambda: parts)
        old.discard()
        if form == "parquet-dataset":
            (place / "theirs").write_text("theirs")
    return output


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("parquet-dataset", "error"), ("parquet-dataset", "existing"), ("parquet-dataset", "append"),
        ("parquet-dataset", "replace"), ("csv", "error"), ("csv", "append"), ("csv", "replace"), ("csv", "skip"),
        ("parquet", "error"), ("jsonl", "error"),
    ],
)  # fmt: skip
def test_killed_anywhere(tmp_path: Path, form: str, mode: str) -> None:
    output = prepared(tmp_path / "whole", form, mode)
    sink = registry.open_sink(output, job="j", folder=str(tmp_path / "whole/job"))
    parts = staged(sink, RESULTS)
    published = sink.publish(lambda: parts)
    sink.discard()
    wanted = tree(tmp_path / "whole/place")

    step, died = 0, True
    while died:
        step += 1
        root = tmp_path / f"{step}"
        output = prepared(root, form, mode)
        sink = registry.open_sink(output, job="j", folder=str(root / "job"))
        sink.check()
        parts = staged(sink, RESULTS)
        died = killed_at(step, sink, parts)
        # Whoever comes after is another process, which knows what is on the disk.
        again = registry.open_sink(output, job="j", folder=str(root / "job"))
        again.check()
        result = again.publish(lambda parts=parts: parts)  # type: ignore[misc]
        again.discard()
        assert tree(root / "place") == wanted, f"killed at step {step}"
        assert (result.rows, result.files, result.size) == (published.rows, published.files, published.size)
    assert step > 5


@pytest.mark.parametrize("form", ["parquet-dataset", "csv"])
def test_killed_again_and_again(tmp_path: Path, form: str) -> None:
    """Each time a step further than the time before."""
    output = prepared(tmp_path / "root", form, "append")
    sink = registry.open_sink(output, job="j", folder=str(tmp_path / "root/job"))
    parts = staged(sink, RESULTS)
    step = 1
    while killed_at(step, registry.open_sink(output, job="j", folder=str(tmp_path / "root/job")), parts):
        step += 1
    assert step > 5
    if form == "csv":
        assert (tmp_path / "root/place/out").read_text() == "id,v\n0,5\n9,6\n8,7\n1,1\n2,2\n3,0.5\n"
    else:
        names = sorted(path.name for path in (tmp_path / "root/place/out").iterdir())
        assert names == [
            "_SUCCESS", "part-00000.parquet", "part-00001.parquet", "part-j-00000.parquet", "part-j-00001.parquet",
            "theirs",
        ]  # fmt: skip
