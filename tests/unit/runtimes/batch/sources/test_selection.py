"""Which files are input, by their names alone."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.runtimes.batch.sources import selection
from penstock.runtimes.batch.sources.interface import Reading


def pattern(text: str) -> selection.Pattern:
    """`text` as a pattern from its first name on."""
    return selection.Pattern(text.split("/"))


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "a/b.csv", False),
        ("*.csv", ".a.csv", False),
        (".*.csv", ".a.csv", True),
        ("_*.csv", "_a.csv", True),
        ("*.csv", "_a.csv", False),
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "a/b/c.csv", True),
        ("**/*.csv", "a/_tmp/c.csv", False),
        ("**/*.csv", "a/.git/c.csv", False),
        ("**", "a/b/c", True),
        ("a/**/b/*", "a/b/x", True),
        ("a/**/b/*", "a/x/y/b/z", True),
        ("a/**/b/*", "a/x/y/z", False),
        ("2024-*", "2024-01/any/thing.csv", True),
        ("2024-*", "2024-01/_temporary/thing.csv", False),
        ("year=*/x", "year=2024/x", True),
        ("[ab]?.csv", "a1.csv", True),
        ("[!ab]?.csv", "a1.csv", False),
        ("[!ab]?.csv", "c1.csv", True),
        ("[0-9]*.csv", "7up.csv", True),
        ("[]]x", "]x", True),
        ("[x", "[x", True),
        ("[[]x", "[x", True),
        ("a.csv*", "a.csv.gz", True),
        ("a.csv*", "axcsv", False),
        ("a//*.csv", "a/b.csv", True),
    ],
)
def test_patterns(text: str, path: str, expected: bool) -> None:
    assert pattern(text).match(path.split("/")) is expected


NAMES = st.sampled_from(["a", "b", "ab", "a.csv", "b.csv", "ab.csv"])


@given(
    paths=st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8),
    text=st.lists(
        st.sampled_from(["a", "*", "**", "a*", "?", "*.csv", "[ab]", "[!a]*", "ab"]), min_size=1, max_size=4
    ).map("/".join),
)
def test_the_same_files_as_the_standard_library_finds(
    paths: set[str], text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    top = tmp_path_factory.mktemp("tree")
    files = set()
    for path in sorted(paths):
        place = top / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch(exist_ok=False)
        except OSError:
            continue  # a file is where a folder would have to be, or the other way round
        files.add(path)
    found: set[str] = set()
    for hit in glob.glob(text, root_dir=top, recursive=True):  # noqa: PTH207 - it is the glob module that we are held against
        if hit.endswith("/") and (top / hit).is_file():
            continue  # some Pythons find the file a for a/**, as if it were a folder
        if (top / hit).is_file():
            found.add(hit)
        else:  # a folder that matches is meant with all that is in it
            found |= {os.path.relpath(inner, top) for inner in Path(top, hit).rglob("*") if inner.is_file()}
    if text == "**" or text.endswith("/**"):
        found |= {path for path in files if pattern(text).match(path.split("/"))}
    assert {path for path in files if pattern(text).match(path.split("/"))} == found


def test_a_folder_that_cannot_match_is_not_entered() -> None:
    chosen = pattern("a/*.csv")
    assert not chosen.step(chosen.start(), "b")
    assert chosen.step(chosen.start(), "a")


def test_partitions_of_folders() -> None:
    found = selection.partitions(
        ["year=2024", "x", "name=a%2Fb c", "none=__HIVE_DEFAULT_PARTITION__", "=x", "e="]
    )
    assert found == {"year": "2024", "name": "a/b c", "none": None, "e": ""}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_SUCCESS", True),
        (".crc", True),
        ("_col=1", False),
        (".x=1", True),
        ("a_b", False),
        ("part-0", False),
    ],
)
def test_hidden(name: str, expected: bool) -> None:
    assert selection.is_hidden(name) is expected


def test_formats() -> None:
    by_name = Reading(of_name=lambda name: "csv" if name.endswith(".csv") else "")
    assert selection.format_for("a.csv", "/a.csv", by_name) == "csv"
    with pytest.raises(DataError, match=r"/a\.bin: the name does not say") as caught:
        selection.format_for("a.bin", "/a.bin", by_name)
    assert "--input-format" in caught.value.hint
    assert selection.format_for("a.bin", "", Reading(of_name=str, format="parquet")) == "parquet"
    assert selection.format_for("a.csv", "", Reading(of_name=by_name.of_name, by_path=True)) == "files"
    assert selection.format_for("a.bin", "", Reading(of_name=by_name.of_name, format="files")) == "files"
