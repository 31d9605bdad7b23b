"""Delta tables on a disk and in object stores: how the library gets at the log, and we at the data files."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.errors import DataError
from penstock.runtimes.batch.plan import SourceFile
from penstock.runtimes.batch.sources import addresses, delta, local, openings, parquet_ends, remote
from penstock.runtimes.batch.sources.interface import Reading
from penstock.runtimes.batch.sources.stores import Entry


def on_disk(location: str, reading: Reading, *, version: str, timestamp: str) -> delta.DeltaSource:
    """The table in the folder `location`."""
    top = location.rstrip("/")

    def file_at(path: str, size: int, modified: int) -> SourceFile:
        here = f"{top}/{path}"
        try:
            status = os.stat(here)  # noqa: PTH116
        except FileNotFoundError:
            raise _gone(location, here) from None
        if status.st_size != size:
            raise DataError(f"{here} has {status.st_size} bytes, where the Delta table's log says {size}")
        return SourceFile(uri=here, size=size, stamp=local.stamp_of(status), format="parquet", constants={})

    return delta.DeltaSource(
        delta.Table(address=top, shown=location, options={}),
        local.LocalSource(location, reading),
        version=version,
        timestamp=timestamp,
        kind=_kind(reading),
        file_at=file_at,
        columns_of=lambda file: _columns(pq.read_schema, file.uri, file.uri),
    )


def in_store(
    opened: openings.Opened,
    carrier: remote.RemoteSource,
    reading: Reading,
    storage: Mapping[str, str],
    secrets: Sequence[str],
    *,
    version: str,
    timestamp: str,
) -> delta.DeltaSource:
    """The table in the folder that `opened` is about; `carrier` reads the same store."""
    top = opened.key.rstrip("/")
    shown = f"{opened.root}{top}"

    def file_at(path: str, size: int, modified: int) -> SourceFile:
        key = f"{top}/{path}".lstrip("/")
        return SourceFile(
            uri=opened.root + key,
            size=size,
            stamp=str(modified),
            format="parquet",
            constants={},
            fetch=remote.ANY + key,
        )

    def columns_of(file: SourceFile) -> Sequence[str]:
        entry = Entry(file.fetch.removeprefix(remote.ANY), file.size, "")
        return _columns(pq.read_schema, io.BytesIO(parquet_ends.read(opened.store, entry)), file.uri)

    return delta.DeltaSource(
        delta.Table(address=shown, shown=shown, options=_options(shown, storage), secrets=secrets),
        carrier,
        version=version,
        timestamp=timestamp,
        kind=_kind(reading),
        file_at=file_at,
        columns_of=columns_of,
    )


def _kind(reading: Reading) -> str:
    return "files" if reading.by_path or reading.format == "files" else "parquet"


def _columns(schema_of: Any, file: Any, shown: str) -> Sequence[str]:
    try:
        names: Sequence[str] = schema_of(file).names
    except (pa.ArrowException, OSError) as error:
        raise DataError("this is no Parquet file, or its end is missing", file=shown) from error
    return names


def _gone(table: str, path: str) -> DataError:
    return DataError(
        f"{path} is in the log of the Delta table {table}, but not there",
        hint="was it vacuumed? a later version can still be read",
    )


_S3 = {
    "endpoint_url": "AWS_ENDPOINT_URL", "key": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY",
    "token": "AWS_SESSION_TOKEN", "region": "AWS_REGION",
}  # fmt: skip
_AZURE = {
    "account_name": "azure_storage_account_name", "account_key": "azure_storage_account_key",
    "sas_token": "azure_storage_sas_token", "client_id": "azure_storage_client_id",
    "client_secret": "azure_storage_client_secret", "tenant_id": "azure_storage_tenant_id",
}  # fmt: skip
_CONNECTION = {
    "accountname": "azure_storage_account_name", "accountkey": "azure_storage_account_key",
    "sharedaccesssignature": "azure_storage_sas_token", "blobendpoint": "azure_storage_endpoint",
}  # fmt: skip


def _options(address: str, storage: Mapping[str, str]) -> dict[str, str]:
    """Our storage options under the library's names; what the environment says it looks up itself."""
    if addresses.scheme_of(address) == "s3":
        found = {theirs: storage[ours] for ours, theirs in _S3.items() if storage.get(ours)}
        if storage.get("anon", "").lower() == "true":
            found["AWS_SKIP_SIGNATURE"] = "true"
        endpoint = found.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL", "")
        if not found.get("AWS_REGION") and not os.environ.get("AWS_REGION") and endpoint:
            found["AWS_REGION"] = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    else:
        found = {theirs: storage[ours] for ours, theirs in _AZURE.items() if storage.get(ours)}
        text = storage.get("connection_string") or os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
        for name, value in re.findall(r"([^=;]+)=([^;]*)", text):
            if name.strip().lower() in _CONNECTION:
                found[_CONNECTION[name.strip().lower()]] = value
        endpoint = found.get("azure_storage_endpoint", "")
    if endpoint.startswith("http://"):
        found["allow_http"] = "true"
        found["AWS_ALLOW_HTTP"] = "true"
    return found
