"""A real S3 server (moto, on loopback), with a fresh bucket for each test that asks for one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from support import peers, services

KEY = "AKIATESTTESTTESTTEST"
SECRET = "secret/of+the=object-store"


@dataclass
class Bucket:
    """One bucket, empty at first."""

    endpoint: str
    name: str

    @property
    def url(self) -> str:
        """``s3://bucket``."""
        return f"s3://{self.name}"

    @property
    def storage(self) -> dict[str, str]:
        """What `Inputs.storage` and `Output.storage` take."""
        return {"endpoint_url": self.endpoint, "key": KEY, "secret": SECRET}

    @property
    def variables(self) -> Mapping[str, str]:
        """The same for the environment, under the names that every S3 client knows."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> Any:
        """A boto3 client."""
        return _client(self.endpoint)

    def put(self, key: str, content: bytes) -> None:
        """Write one object."""
        self.client().put_object(Bucket=self.name, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        """Read one object."""
        return bytes(self.client().get_object(Bucket=self.name, Key=key)["Body"].read())

    def keys(self) -> list[str]:
        """All keys, sorted."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))


class Store:
    """The running server at `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._made = 0

    def bucket(self) -> Bucket:
        """A new, empty bucket; it goes with the server."""
        self._made += 1
        name = f"bucket-{self._made}"
        _client(self.endpoint).create_bucket(Bucket=name)
        return Bucket(self.endpoint, name)


@pytest.fixture(scope="session")
def s3_store() -> Iterator[Store]:
    """The server, for tests that make buckets themselves."""
    port = services.free_port()
    # In an environment of its own: it brings Flask, which scoring scripts must not find by accident.
    argv = [str(peers.build("moto")), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with services.running(argv, lambda: services.listens(port)):
        yield Store(f"http://127.0.0.1:{port}")


@pytest.fixture
def s3(s3_store: Store) -> Bucket:
    """An empty bucket of a real S3 server."""
    return s3_store.bucket()


@functools.cache  # making one takes longer than anything that is done with it; threads may share it
def _client(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
