"""What a path gives to the partition keys."""

from __future__ import annotations

import datetime as dt

import pytest

from penstock.errors import DataError
from penstock.runtimes.batch import partitions
from penstock.runtimes.batch.plan import SourceFile

FORMAT = {
    "extract_columns_from_partition_format": {"partition_format": "/{Store}/{Brand}/{day:yyyy-MM-dd}.csv"}
}


def file_at(path: str, **constants: str | None) -> SourceFile:
    return SourceFile(path, 1, "1", "csv", constants)


def test_a_partition_format_and_folders_give_values() -> None:
    found = partitions.values_of(
        file_at("/data/1000/tropicana/2024-05-06.csv", region="nord", none=None),
        ("Brand", "none", "day", "region"),
        [{"filter": "col('x') > 1"}, FORMAT],
    )
    assert list(found.items()) == [
        ("Brand", "tropicana"),
        ("none", None),
        ("day", dt.datetime(2024, 5, 6)),
        ("region", "nord"),
    ]


def test_without_keys_no_path_is_looked_at() -> None:
    assert partitions.values_of(file_at("/x.csv"), (), [FORMAT]) == {}


@pytest.mark.parametrize(
    ("constants", "key", "hint"),
    [
        ({}, "store", "name folders key=value"),
        ({"stores": "1"}, "store", "did you mean stores?"),
        ({"region": "1", "day": "2"}, "store", "the path holds day, region"),
    ],
)
def test_a_key_that_no_path_holds(constants: dict[str, str], key: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        partitions.values_of(file_at("/a/x.csv", **constants), (key,), [])
    assert (caught.value.file, hint in caught.value.hint) == ("/a/x.csv", True)
    assert "partition key store" in caught.value.message


def test_a_path_that_the_format_does_not_fit() -> None:
    with pytest.raises(DataError, match="does not match the partition format"):
        partitions.values_of(file_at("/x.csv"), ("Store",), [FORMAT])
