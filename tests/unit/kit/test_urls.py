"""What people may see of a URL."""

from __future__ import annotations

import pytest

from penstock.kit import urls


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/data/a?b=c", "/data/a?b=c"),
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        (
            "postgresql+psycopg://me@host/db?password=x&a=1",
            "postgresql+psycopg://me@host/db?password=***&a=1",
        ),
        ("sqlite:///flowers.db species", "sqlite:///flowers.db species"),
        ("sqlite:////data/flowers.db", "sqlite:////data/flowers.db"),
        ("https://host/file.csv?sig=abc&v=2#top", "https://host/file.csv?sig=***&v=2#top"),
        ("postgresql://me:se/cr?et@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:s@c[ret@host/db", "postgresql://me:***@host/db"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("abfss://box@account.dfs.core.windows.net/a:b@c", "abfss://box@account.dfs.core.windows.net/a:b@c"),
        ("s3://bucket/a b/*.csv", "s3://bucket/a b/*.csv"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert urls.without_secrets(url) == shown
