"""What may be shown of a URL, and where datastores lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.runtimes.batch.sources import addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/a.csv", "https://h/a.csv"),
        ("https://u:p@h:8/a.csv", "https://h:8/a.csv"),
        ("https://u:p@ss@h/a.csv", "https://h/a.csv"),
        ("https://h/a.csv?id=1&page=2", "https://h/a.csv?id=1&page=2"),
        ("https://h/a.csv?id=1&token=abc", "https://h/a.csv?id=1&token=***"),
        ("https://h/a.csv?id=1&x=0123456789012345678901234", "https://h/a.csv?id=1&x=***"),
        ("https://acc.blob.core.windows.net/c/a.csv?sv=2024&sr=b&se=2026&sp=r&sig=abc%2B", "https://acc.blob.core.windows.net/c/a.csv"),
        ("https://b.s3.amazonaws.com/k.csv?X-Amz-Date=1&X-Amz-Signature=f00&X-Amz-Credential=A%2F", "https://b.s3.amazonaws.com/k.csv"),
        ("https://h/a.csv?Expires=1&Key-Pair-Id=k&Signature=s", "https://h/a.csv"),
        ("https://h/a.csv#part", "https://h/a.csv#part"),
    ],
)  # fmt: skip
def test_shown(url: str, expected: str) -> None:
    assert addresses.shown(url) == expected
    assert addresses.shown(expected) == expected


SECRETS = st.text("abcXYZ019/+=@: %&'é", min_size=4, max_size=40)


@given(secret=SECRETS, before=st.text(max_size=10), after=st.text(max_size=10))
def test_no_secret_is_left_in_a_text(secret: str, before: str, after: str) -> None:
    from urllib.parse import quote, quote_plus

    for form in (secret, quote(secret, safe=""), quote_plus(secret)):
        assert secret not in addresses.redacted(f"{before}{form}{after}", [secret]).replace("***", "\0") or (
            secret in before or secret in after
        )


def test_secrets_of_options_and_urls() -> None:
    found = addresses.secrets_of(
        "https://u:pa%3Ass@h/x?sig=abc%2Bdef&id=12345",
        {
            "secret": "s3cr3t",
            "endpoint_url": "http://h",
            "connection_string": "AccountName=me;AccountKey=k3y+==;X=1",
        },
    )
    assert {"pa%3Ass", "pa:ss", "abc%2Bdef", "abc+def", "s3cr3t", "k3y+=="} <= set(found)
    assert "12345" not in found
    text = addresses.redacted("at https://u:pa%3Ass@h/x?sig=abc%2Bdef: key k3y+== of s3cr3t", found)
    assert text == "at https://***@h/x?sig=***: key *** of ***"


@pytest.mark.parametrize("prefix", ["", "subscriptions/s/resourcegroups/r/workspaces/w/",
                                    "subscriptions/s/resourceGroups/r/providers/x/workspaces/w/"])  # fmt: skip
def test_datastores(prefix: str) -> None:
    storage = {"datastore.blob-store": "abfss://c@a.dfs.core.windows.net/base/"}
    at = addresses.mapped(f"azureml://{prefix}datastores/blob-store/paths/in/x y.csv", storage, {})
    assert at == "abfss://c@a.dfs.core.windows.net/base/in/x y.csv"
    assert (
        addresses.mapped(f"azureml://{prefix}datastores/d/paths/", {}, {"PENSTOCK_DATASTORE_D": "/data"})
        == "/data"
    )
    with pytest.raises(DataError, match=r"datastore my\.store") as caught:
        addresses.mapped(f"azureml://{prefix}datastores/my.store/paths/x", {}, {})
    assert "PENSTOCK_DATASTORE_MY_STORE" in caught.value.hint


def test_other_paths_of_azure_ml_are_refused() -> None:
    with pytest.raises(DataError, match="is no path of a datastore"):
        addresses.mapped("azureml://locations/l/workspaces/w/data/d/versions/1", {}, {})


@pytest.mark.parametrize(
    ("location", "scheme"), [("/a/b", ""), ("s3://b/k", "s3"), ("ABFSS://x", "abfss"), ("/a/s3://b", "")]
)
def test_schemes(location: str, scheme: str) -> None:
    assert addresses.scheme_of(location) == scheme
