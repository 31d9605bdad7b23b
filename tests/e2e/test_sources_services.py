"""The services that other tests lean on are real, and empty at first."""

from __future__ import annotations

import pytest

from support import azurite as azurite_support
from support import object_store
from support import postgres as postgres_support

pytestmark = pytest.mark.slow


def test_postgres_has_a_fresh_database(postgres: postgres_support.Database) -> None:
    """Made, written, read."""
    postgres.run("CREATE TABLE a (x int)")
    postgres.run("INSERT INTO a VALUES (1), (2)")
    assert postgres.run("SELECT x FROM a ORDER BY x") == [(1,), (2,)]


def test_postgres_databases_do_not_meet(postgres: postgres_support.Database) -> None:
    """The table of the other test is not here."""
    assert postgres.run("SELECT to_regclass('a')") == [(None,)]


def test_s3_keeps_what_it_is_given(s3: object_store.Bucket) -> None:
    """Made, written, read."""
    assert s3.keys() == []
    s3.put("folder/a b.txt", b"content")
    assert s3.keys() == ["folder/a b.txt"]
    assert s3.get("folder/a b.txt") == b"content"


def test_azurite_keeps_what_it_is_given(azurite: azurite_support.Container) -> None:
    """Made, written, read."""
    assert azurite.names() == []
    azurite.put("folder/a b.txt", b"content")
    assert azurite.names() == ["folder/a b.txt"]
    assert azurite.get("folder/a b.txt") == b"content"
