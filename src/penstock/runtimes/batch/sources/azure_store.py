"""Azure Blob Storage, also with the hierarchical namespace of Data Lake Gen2. adlfs knows people's options and
credentials; the requests are Azure's own, because they list page by page and read on the condition that the content
is still the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import fsspec.asyn

from penstock.runtimes.batch.sources import stores
from penstock.runtimes.batch.sources.stores import Entry


class AzureStore:
    """See `penstock.runtimes.batch.sources.stores.Store`. `fs` is an ``adlfs.AzureBlobFileSystem``."""

    def __init__(self, fs: Any, container: str) -> None:
        self._fs = fs
        self._container = fs.service_client.get_container_client(container)

    def look(self, key: str) -> Entry | None:
        """As `Store.look`."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found = self._wait(self._container.get_blob_client(key).get_blob_properties)
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", "") == "ContainerNotFound":
                raise FileNotFoundError(str(error.message)) from error
            return None
        return None if _is_folder(found) else Entry(key, int(found.size), found.etag.strip('"'))

    def walk(self, prefix: str) -> Iterator[Entry]:
        """As `Store.walk`."""
        from azure.core.exceptions import ResourceNotFoundError

        pages = self._container.list_blobs(name_starts_with=prefix, include=["metadata"]).by_page()
        while True:
            try:
                page = self._wait(_next_page, pages)
            except ResourceNotFoundError as error:
                raise FileNotFoundError(str(error.message)) from error
            if page is None:
                return
            for found in page:
                if not _is_folder(found):
                    yield Entry(found.name, int(found.size), found.etag.strip('"'))

    def names(self, folder: str) -> list[str]:
        """As `Store.names`."""
        pages = self._container.walk_blobs(name_starts_with=folder, delimiter="/").by_page()
        found = [one.name.rstrip("/") for one in self._wait(_next_page, pages) or ()]
        return sorted(filter(None, (name[len(folder) :] for name in found)))

    def read(self, entry: Entry, start: int, out: BinaryIO) -> None:
        """As `Store.read`."""
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError

        if start >= entry.size:
            return  # an empty range is an error to Azure
        condition = (
            {"etag": f'"{entry.stamp}"', "match_condition": MatchConditions.IfNotModified}
            if entry.stamp
            else {}
        )
        client = self._container.get_blob_client(entry.key)
        try:
            stream = self._wait(client.download_blob, offset=start, length=entry.size - start, **condition)
            chunks = stream.chunks()
            while chunk := self._wait(_next_chunk, chunks):
                out.write(chunk)
        except HttpResponseError as error:
            if error.status_code in (412, 416):
                raise stores.Changed from error
            raise

    def close(self) -> None:
        """As `Store.close`."""
        self._wait(self._fs.service_client.close)

    def _wait(self, call: Any, *arguments: Any, **named: Any) -> Any:
        return fsspec.asyn.sync(self._fs.loop, call, *arguments, **named)


async def _next_page(pages: Any) -> list[Any] | None:
    """The blobs of the next page; None after the last."""
    async for page in pages:
        return [blob async for blob in page]
    return None


async def _next_chunk(chunks: Any) -> bytes:
    """The next bytes; none at the end."""
    async for chunk in chunks:
        return bytes(chunk)
    return b""


def _is_folder(blob: Any) -> bool:
    """Whether `blob` only marks a folder, as Data Lake Gen2 and its tools keep them."""
    marked = (blob.metadata or {}).get("hdi_isfolder", "").lower() == "true"
    return marked or (blob.name or "").endswith("/")
