"""Files come whole or not at all, and again after what passes by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import DataError
from penstock.runtimes.batch.sources import arrivals


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with arrivals.arriving(str(path), "s3://b/a") as temporary:
        Path(temporary).write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    with pytest.raises(ZeroDivisionError), arrivals.arriving(str(path), "s3://b/a") as temporary:
        Path(temporary).write_text(f"y{1 / 0}")
    assert path.read_text() == "x"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"no room left in .* to bring s3://b/a here"),
        arrivals.arriving(str(tmp_path / "a"), "s3://b/a"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")


class Flaky:
    """Fails as often as it is told, and remembers the pauses."""

    def __init__(self, failures: int, grows: bool = False) -> None:
        self.left = failures
        self.grows = grows
        self.calls = 0
        self.pauses: list[float] = []

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise ConnectionError("broke")
        return "done"

    def progress(self) -> int:
        """How far it came."""
        return self.calls if self.grows else 0


@pytest.mark.parametrize(("failures", "grows", "calls"), [(0, False, 1), (4, False, 5), (20, True, 21)])
def test_what_passes_by_itself_is_waited_for(failures: int, grows: bool, calls: int) -> None:
    flaky = Flaky(failures, grows)
    found = arrivals.persistently(flaky, lambda _: True, sleep=flaky.pauses.append, progress=flaky.progress)
    assert (found, flaky.calls, len(flaky.pauses)) == ("done", calls, failures)
    for index, pause in enumerate(flaky.pauses):
        least = 0.5 if grows else 0.5 * 2**index
        assert least <= pause <= 2 * least


def test_what_does_not_pass_is_given_up() -> None:
    flaky = Flaky(100)
    with pytest.raises(ConnectionError):
        arrivals.persistently(flaky, lambda _: True, sleep=flaky.pauses.append)
    assert (flaky.calls, len(flaky.pauses)) == (5, 4)
    flaky = Flaky(100)
    with pytest.raises(ConnectionError):
        arrivals.persistently(flaky, lambda _: False, sleep=flaky.pauses.append)
    assert (flaky.calls, flaky.pauses) == (1, [])
