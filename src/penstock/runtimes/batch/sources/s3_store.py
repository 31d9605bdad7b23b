"""S3 and what speaks like it. s3fs knows people's options and credentials; the requests are S3's own, because they
list page by page and read on the condition that the content is still the same.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, BinaryIO

import fsspec.asyn

from penstock.runtimes.batch.sources import arrivals, stores
from penstock.runtimes.batch.sources.stores import Entry


class S3Store:
    """See `penstock.runtimes.batch.sources.stores.Store`. `fs` is an ``s3fs.S3FileSystem``."""

    def __init__(self, fs: Any, bucket: str) -> None:
        self._fs = fs
        fs.retries = 1  # who calls us repeats; repetitions of repetitions would take minutes to give up
        self._bucket = bucket

    def look(self, key: str) -> Entry | None:
        """As `Store.look`."""
        try:
            found = self._fs.call_s3("head_object", Bucket=self._bucket, Key=key)
        except FileNotFoundError:
            return None
        return Entry(key, int(found["ContentLength"]), found["ETag"].strip('"'))

    def walk(self, prefix: str) -> Iterator[Entry]:
        """As `Store.walk`."""
        more: dict[str, str] = {}
        while True:
            page = arrivals.persistently(functools.partial(self._page, prefix, more), stores.is_temporary)
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    yield Entry(found["Key"], int(found["Size"]), found["ETag"].strip('"'))
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, more: dict[str, str]) -> Any:
        return self._fs.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=prefix, **more)

    def names(self, folder: str) -> list[str]:
        """As `Store.names`."""
        page = self._fs.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=folder, Delimiter="/")
        found = [one["Key"] for one in page.get("Contents", ())]
        found += [one["Prefix"].rstrip("/") for one in page.get("CommonPrefixes", ())]
        return sorted(filter(None, (name[len(folder) :] for name in found)))

    def read(self, entry: Entry, start: int, out: BinaryIO) -> None:
        """As `Store.read`."""
        condition = {"IfMatch": f'"{entry.stamp}"'} if entry.stamp else {}
        part = {"Range": f"bytes={start}-"} if start else {}
        try:
            body = self._fs.call_s3("get_object", Bucket=self._bucket, Key=entry.key, **condition, **part)[
                "Body"
            ]
        except OSError as error:
            if stores.status_of(error) in (412, 416):
                raise stores.Changed from error
            raise
        try:
            while chunk := fsspec.asyn.sync(self._fs.loop, body.read, stores.CHUNK):
                out.write(chunk)
        finally:
            body.close()

    def close(self) -> None:
        """As `Store.close`."""
        client = getattr(self._fs, "_s3", None)
        if client is not None:
            fsspec.asyn.sync(self._fs.loop, client.close)
