"""What scripts wrote themselves: moved once, whole, over nobody's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.bundle.batch import Output
from penstock.errors import OutputError
from penstock.runtimes.batch import own_results
from penstock.runtimes.batch.sinks.interface import Published

PUBLISHED = Published(where="", files=0, rows=0, size=0)


def test_files_are_moved_beside_the_results(tmp_path: Path) -> None:
    own = tmp_path / "staged" / own_results.FOLDER
    (own / "deep").mkdir(parents=True)
    (own / "a.txt").write_text("a")
    (own / "deep" / "b.txt").write_text("bb")
    output = Output(location=str(tmp_path / "out" / "predictions.csv"), form="append-row")
    found = own_results.publish(output, str(tmp_path / "staged"), PUBLISHED)
    assert (found.files, found.size) == (2, 3)
    assert (tmp_path / "out" / "deep" / "b.txt").read_text() == "bb"
    assert own_results.publish(output, str(tmp_path / "staged"), PUBLISHED) == PUBLISHED


def test_what_is_there_is_spared_unless_a_kill_left_it(tmp_path: Path) -> None:
    own = tmp_path / "staged" / own_results.FOLDER
    own.mkdir(parents=True)
    (own / "a.txt").write_text("ours")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("theirs")
    output = Output(location=str(tmp_path / "out"), form="summary-only")
    for _ in range(2):
        with pytest.raises(OutputError, match=r"wrote a\.txt"):
            own_results.publish(output, str(tmp_path / "staged"), PUBLISHED)
    assert (tmp_path / "out" / "a.txt").read_text() == "theirs"
    (tmp_path / "out" / "a.txt").unlink()
    own_results.publish(output, str(tmp_path / "staged"), PUBLISHED)
    # A kill between the copy and the end of the original: both are there.
    (own / "a.txt").write_text("ours")
    own_results.publish(output, str(tmp_path / "staged"), PUBLISHED)
    assert (tmp_path / "out" / "a.txt").read_text() == "ours"
    assert not list(own.iterdir())
