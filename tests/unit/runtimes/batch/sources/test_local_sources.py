"""Files of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle.batch import Inputs
from penstock.errors import DataError
from penstock.runtimes.batch.formats import registry as formats
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import registry
from penstock.runtimes.batch.sources.interface import Source


def opened(location: Path | str, *, said: str = "", by_path: bool = False) -> Source:
    """The source of one location."""
    [source] = registry.open_sources(
        Inputs((str(location),), format=said), format_of=formats.format_of, by_path=by_path, environment={}
    )
    return source


def listed(location: Path | str, *, said: str = "", by_path: bool = False) -> list[SourceFile]:
    """All files of one location."""
    return list(opened(location, said=said, by_path=by_path).files())


def found(top: Path, location: str = "", **more: bool) -> list[str]:
    """The paths below `top` of what is found at `location` below it."""
    return [os.path.relpath(file.uri, top) for file in listed(top / location, **more)]


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes files of the given paths, each with its path as content."""

    def make(*paths: str) -> Path:
        for path in paths:
            place = tmp_path / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(path)
        return tmp_path

    return make


def test_one_file(tree: Callable[..., Path]) -> None:
    top = tree("a b #1 é.csv")
    [file] = listed(top / "a b #1 é.csv")
    status = (top / "a b #1 é.csv").stat()
    assert file == SourceFile(
        uri=str(top / "a b #1 é.csv"),
        size=status.st_size,
        stamp=str(status.st_mtime_ns),
        format="csv",
        constants={},
    )
    assert opened(top).is_local()


def test_a_file_that_is_named_is_input_whatever_its_name(tree: Callable[..., Path]) -> None:
    top = tree("_x.csv", ".y.csv", "data[1].csv", "star*.csv", "year=2024/z.csv")
    assert found(top, "_x.csv") == ["_x.csv"]
    assert found(top, ".y.csv") == [".y.csv"]
    assert found(top, "data[1].csv") == ["data[1].csv"]
    assert found(top, "star*.csv") == ["star*.csv"]
    assert listed(top / "year=2024/z.csv")[0].constants == {}


def test_a_folder_in_the_order_of_its_paths(tree: Callable[..., Path]) -> None:
    top = tree("b.csv", "a/z.csv", "a.csv", "a-b/x.csv", "_SUCCESS", ".crc/x.csv", "a/_temporary/y.csv", "B.csv",
               "year=2024/month=%31/x.csv", "_kind=q/x.csv")  # fmt: skip
    (top / "empty").mkdir()
    expected = [
        "B.csv",
        "_kind=q/x.csv",
        "a-b/x.csv",
        "a.csv",
        "a/z.csv",
        "b.csv",
        "year=2024/month=%31/x.csv",
    ]
    assert found(top) == expected
    assert found(top, ".") == expected
    constants = {os.path.relpath(file.uri, top): file.constants for file in listed(top) if file.constants}
    assert constants == {
        "_kind=q/x.csv": {"_kind": "q"},
        "year=2024/month=%31/x.csv": {"year": "2024", "month": "1"},
    }


@given(
    paths=st.sets(
        st.lists(st.text("ab-. _=é", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join),
        max_size=12,
    )
)
def test_the_order_is_that_of_the_paths_as_texts(
    paths: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    top = tmp_path_factory.mktemp("tree")
    made = set()
    for path in sorted(paths):
        parts = path.split("/")
        if any(part in (".", "..") or part.startswith((".", "_")) for part in parts):
            continue
        try:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).touch(exist_ok=False)
            made.add(path)
        except OSError:
            continue
    if made:
        assert [file.uri for file in listed(top, said="csv")] == sorted(f"{top}/{path}" for path in made)


def test_patterns(tree: Callable[..., Path]) -> None:
    top = tree("d/1/a.csv", "d/1/sub/b.csv", "d/2/c.csv", "d/2/n.txt", "d/year=1/e.csv")
    assert found(top, "d/*/*.csv") == ["d/1/a.csv", "d/2/c.csv", "d/year=1/e.csv"]
    assert found(top, "**/*.csv") == ["d/1/a.csv", "d/1/sub/b.csv", "d/2/c.csv", "d/year=1/e.csv"]
    assert found(top, "d/[1]") == ["d/1/a.csv", "d/1/sub/b.csv"]
    assert listed(top / "d/year=*/*")[0].constants == {"year": "1"}
    with pytest.raises(DataError, match="no file matches"):
        listed(top / "d/*.parquet")
    with pytest.raises(DataError, match=r"no file or folder .*/e$") as caught:
        listed(top / "e/*.csv")
    assert "there is d" in caught.value.hint


def test_links_are_followed_and_do_not_loop(tree: Callable[..., Path]) -> None:
    top = tree("in/a.csv", "in/sub/b.csv", "elsewhere/c.csv")
    (top / "in/link.csv").symlink_to(top / "elsewhere/c.csv")
    (top / "in/folder").symlink_to(top / "elsewhere")
    (top / "in/sub/up").symlink_to(top / "in")
    (top / "in/sub/up again").symlink_to(top / "in")
    (top / "in/self").symlink_to(top / "in/self/..")
    assert found(top, "in/a.csv") == ["in/a.csv"]
    (top / "in/self").unlink()
    assert found(top, "in") == ["in/a.csv", "in/folder/c.csv", "in/link.csv", "in/sub/b.csv"]


def test_a_link_that_leads_nowhere_is_not_passed_over(tree: Callable[..., Path]) -> None:
    top = tree("in/a.csv")
    (top / "in/b.csv").symlink_to(top / "gone.csv")
    for location in ("in", "in/b.csv", "in/*.csv"):
        with pytest.raises(DataError, match=r"b\.csv is a link that leads nowhere"):
            listed(top / location)
    (top / "in/b.csv").unlink()
    (top / "in/b.csv").symlink_to("c.csv")
    (top / "in/c.csv").symlink_to("b.csv")
    with pytest.raises(DataError, match="leads nowhere"):
        listed(top / "in")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        listed(tmp_path / "pipe.csv")
    (tmp_path / "a.csv").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.csv"))
        assert found(tmp_path) == ["a.csv"]


def test_what_is_not_there(tree: Callable[..., Path]) -> None:
    top = tree("folder/cases.csv", "folder/other.csv")
    with pytest.raises(DataError, match="there is no file or folder") as caught:
        listed(top / "folder/case.csv")
    assert "did you mean cases.csv?" in caught.value.hint
    with pytest.raises(DataError) as caught:
        listed(top / "nowhere/at/all.csv")
    assert "folder" in caught.value.hint
    (top / "empty/_only").mkdir(parents=True)
    with pytest.raises(DataError, match="empty has no files"):
        listed(top / "empty")


@pytest.fixture
def somebody() -> Iterator[Path]:
    """A folder of somebody who may not read everything: of us, or where we are root, of nobody, who we are then."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


def test_what_may_not_be_read(somebody: Path) -> None:
    (somebody / "sub").mkdir()
    (somebody / "a.csv").touch(0)
    (somebody / "sub/b.csv").touch()
    with pytest.raises(DataError, match=r"no permission to read .*a\.csv"):
        listed(somebody)
    (somebody / "a.csv").chmod(0o600)
    (somebody / "sub").chmod(0)
    try:
        with pytest.raises(DataError, match=r"no permission to read .*sub$"):
            listed(somebody)
    finally:
        (somebody / "sub").chmod(0o700)


def test_unknown_formats(tree: Callable[..., Path]) -> None:
    top = tree("a.csv", "scan.png")
    with pytest.raises(DataError, match=r"scan\.png: the name does not say"):
        listed(top)
    assert {file.format for file in listed(top, said="files")} == {"files"}
    assert {file.format for file in listed(top, by_path=True)} == {"files"}
    assert {file.format for file in listed(top, said="csv")} == {"csv"}


def test_a_delta_table_within_is_not_read_as_files(tree: Callable[..., Path]) -> None:
    top = tree("in/a.parquet", "in/table/_delta_log/0.json", "in/table/x.parquet")
    with pytest.raises(DataError, match=r"in/table is a Delta table"):
        listed(top / "in")
    assert found(top, "in", by_path=True) == ["in/a.parquet", "in/table/x.parquet"]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.csv")).touch()
    with pytest.raises(DataError, match=r"caf\\udce9\.csv is not UTF-8|caf\\xe9\.csv is not UTF-8"):
        listed(tmp_path)


def test_a_file_that_goes_while_the_folder_is_listed(tree: Callable[..., Path]) -> None:
    top = tree("a.csv", "b.csv", "c.csv")
    files = opened(top).files()
    assert next(files).uri.endswith("a.csv")
    (top / "b.csv").unlink()
    assert [Path(file.uri).name for file in files] == ["c.csv"]


def test_fetching_holds_to_what_was_listed(tree: Callable[..., Path]) -> None:
    top = tree("a.csv", "b.csv")
    source = opened(top)
    first, second = source.files()
    source.fetch(first, str(top / "copy"))
    assert (top / "copy").read_text() == "a.csv"
    (top / "copy").unlink()
    (top / "a.csv").write_text("other")
    (top / "b.csv").unlink()
    with pytest.raises(DataError, match="has changed since"):
        source.fetch(first, str(top / "copy"))
    with pytest.raises(DataError, match="no longer there"):
        source.fetch(second, str(top / "copy"))
    assert sorted(path.name for path in top.iterdir()) == ["a.csv"]


def test_deep_trees() -> None:
    # Not under tmp_path: what tidies up there cannot go so deep.
    top = tempfile.mkdtemp()
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(top)
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        Path("x.csv").touch()
        [file] = listed(top)
    finally:
        os.fchdir(here)
        os.close(here)
        subprocess.run(["rm", "-rf", top], check=True)
    assert file.uri == f"{top}/{'d/' * 1500}x.csv"


def test_one_folder_is_in_memory_at_a_time(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / f"f{folder}").mkdir()
        for number in range(200):
            (tmp_path / f"f{folder}/{number:04}-{'x' * 150}.csv").touch()
    source = opened(tmp_path)
    sum(1 for _ in source.files())
    tracemalloc.start()
    try:
        assert sum(1 for _ in source.files()) == 4000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 250_000  # all the names are a megabyte


def test_options_that_nothing_knows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="storage option anon"):
        registry.open_sources(
            Inputs((str(tmp_path),), storage={"anon": "true"}), format_of=formats.format_of, environment={}
        )
