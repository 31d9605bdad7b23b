"""Columns that stand in a file's path, found as Azure ML's reader finds them."""

from __future__ import annotations

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle import partition_formats

PATH = "/tmp/mt/a/2023/05/d.csv"
MAY = dt.datetime(2023, 5, 1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("/{Year:yyyy/MM}/{f}.csv", {"f": "d", "Year": MAY}),
        ("/a/{Year:yyyy/MM}/{f}.csv", {"f": "d", "Year": MAY}),
        ("/tmp/mt/a/{y}/{m}/{f}.csv", {"y": "2023", "m": "05", "f": "d"}),
        ("{y}/{m}/{f}.csv", {"y": "2023", "m": "05", "f": "d"}),
        ("{f}.csv", {"f": "d"}),
        ("/a/{y}/{m}/*.csv", {"y": "2023", "m": "05"}),
        ("/a/{y}/{m}", {"y": "2023", "m": "05"}),
        ("{ts:yyyy/MM}", {"ts": MAY}),
        ("/a/{d:yyyy}/{m}/{f}.csv", {"m": "05", "f": "d", "d": dt.datetime(2023, 1, 1)}),
        ("/b/{y}/{m}/*.csv", None),
        ("/a/{d:yyyy/dd}/", {"d": dt.datetime(2023, 1, 5)}),
    ],
)
def test_values(text, values):
    found = partition_formats.parse(text)
    assert found.values(PATH) == values
    if values is not None:
        assert found.columns == tuple(values)


def test_details():
    assert partition_formats.parse("{a}-{a}.csv").values("/x/u-u.csv") == {"a": "u"}
    assert partition_formats.parse("{a}-{a}.csv").values("/x/u-v.csv") is None
    to_the_end = partition_formats.parse("{store}/{brand}/{file}.{kind}")
    assert to_the_end.values("/a.b/c/1000/minute.maid/data.csv") == {
        "store": "1000",
        "brand": "minute.maid",
        "file": "data",
        "kind": "csv",
    }
    for brand in ("sun", "minute.maid"):
        found = to_the_end.values(f"/x/st.john/{brand}/1.csv")
        assert found == {"store": "st.john", "brand": brand, "file": "1", "kind": "csv"}
    assert partition_formats.parse("{f}.csv").values("/x/a.b.csv") == {"f": "b"}
    assert to_the_end.values("/x/1000/sun/data.tar.gz") == {
        "store": "1000",
        "brand": "sun",
        "file": "data",
        "kind": "tar",
    }
    assert partition_formats.parse("{{{a}}}.csv").values("/x/{u}.csv") == {"a": "u"}
    whole = partition_formats.parse("/{t:yyyy-MM-dd_HH:mm:ss}.csv")
    assert whole.values("/2023-04-05_06:07:08.csv") == {"t": dt.datetime(2023, 4, 5, 6, 7, 8)}
    assert whole.values("/2023-13-05_06:07:08.csv") is None
    assert partition_formats.parse("/{t:yyyy/MM/yyyy}/").values("/2023/01/2023/") == {
        "t": dt.datetime(2023, 1, 1)
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/data.csv", "names no column"),
        ("/{}/x", "has no name"),
        ("/{a:yyyy}/{b:yyyy}", "only one column can be a time"),
        ("/{a:MM/dd}/", "needs its year"),
        ("/{a}/{a:yyyy}", "stands twice"),
    ],
)
def test_what_is_no_format(text, words):
    with pytest.raises(partition_formats.WrongFormat) as caught:
        partition_formats.parse(text)
    assert words in str(caught.value)


@given(st.text(st.sampled_from("{}*/.:yMdHms\\a(["), max_size=20), st.text(max_size=20))
def test_any_text_is_taken_or_refused(text, path):
    with contextlib.suppress(partition_formats.WrongFormat):
        partition_formats.parse(text).values(path)
