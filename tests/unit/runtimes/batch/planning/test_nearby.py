"""Remote files while they are planned: in order, some ahead, and no more on the disk than may stay."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.planning import fetching, nearby
from penstock.runtimes.batch.planning.nearby import Nearby
from support.waiting import until


class Shelf:
    """A source whose files are as many bytes as they say; `gate` holds them back, `torn` cannot be had."""

    def __init__(self, *, torn: str = "") -> None:
        self.fetched: list[str] = []
        self.on_their_way = self.most = 0
        self.gate = threading.Event()
        self.gate.set()
        self._torn = torn
        self._lock = threading.Lock()

    def fetch(self, file: SourceFile, path: str) -> None:
        with self._lock:
            self.on_their_way += 1
            self.most = max(self.most, self.on_their_way)
        self.gate.wait(30)
        with self._lock:
            self.on_their_way -= 1
            self.fetched.append(file.fetch)
        if file.fetch == self._torn:
            raise DataError(f"{file.fetch} cannot be had")
        Path(path).write_bytes(b"x" * file.size)

    def fetch_end(self, file: SourceFile, path: str) -> bool:
        return False

    def files(self) -> Iterator[SourceFile]:
        return iter(())

    def column_types(self) -> Mapping[str, str]:
        return {}

    def is_local(self) -> bool:
        return False

    def is_uniform(self) -> bool:
        return False

    def close(self) -> None: ...


def files_of(*sizes: int) -> list[SourceFile]:
    return [
        SourceFile(f"s3://b/{place}.csv", size, "1", "csv", {}, f"0:{place}")
        for place, size in enumerate(sizes)
    ]


def test_files_come_in_order_and_some_ahead(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.gate.clear()
    listed: list[SourceFile] = []

    def listing() -> Iterator[SourceFile]:
        for file in files_of(*range(1, 10)):
            listed.append(file)
            yield file

    coming = Nearby(tmp_path, [shelf], room=100).ahead(listing(), lambda file: file.size % 2 == 1)
    found: list[SourceFile] = []
    reading = threading.Thread(target=lambda: found.extend(coming), daemon=True)
    reading.start()
    ahead = nearby.AHEAD + 1  # one is looked at, to know whether it fits
    until(lambda: shelf.on_their_way == 2 and len(listed) >= ahead, "the first and third to be on their way")
    assert len(listed) == ahead
    shelf.gate.set()
    reading.join(30)
    assert found == listed == files_of(*range(1, 10))
    assert sorted(shelf.fetched) == ["0", "2", "4", "6", "8"]
    assert shelf.most <= nearby.AHEAD


def test_files_that_do_not_fit_beside_others_come_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(nearby.shutil, "disk_usage", lambda folder: usage)
    shelf = Shelf()
    files = files_of(6, 3, 6, 6, 99, 1, 1)
    assert list(Nearby(tmp_path, [shelf], room=0).ahead(files, lambda file: True)) == files
    assert shelf.fetched[0] in "01"
    assert shelf.fetched.index("2") < shelf.fetched.index("3") < shelf.fetched.index("4")
    assert shelf.fetched.index("4") < min(shelf.fetched.index("5"), shelf.fetched.index("6"))


def test_what_cannot_be_had_is_told_in_its_turn(tmp_path: Path) -> None:
    coming = Nearby(tmp_path, [Shelf(torn="2")], room=100).ahead(files_of(1, 1, 1, 1), lambda file: True)
    assert [next(coming).fetch, next(coming).fetch] == ["0:0", "0:1"]
    with pytest.raises(DataError, match="2 cannot be had"):
        next(coming)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=12), st.integers(0, 60))
def test_no_more_stays_than_there_is_room_for(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], room: int
) -> None:
    folder = tmp_path_factory.mktemp("near")
    shelf = Shelf()
    made = Nearby(folder, [shelf], room=room)
    for file in made.ahead(files_of(*sizes), lambda file: True):
        path = Path(made.whole(file))
        assert path == fetching.place_of(folder, file)
        assert path.stat().st_size == file.size
        made.leave(file)
    left = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(left) <= room
    assert len(shelf.fetched) == len(sizes), "each once"
    if sum(sizes) <= room:
        assert len(left) == len(sizes)
