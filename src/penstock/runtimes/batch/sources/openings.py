"""From a URL and storage options to an open store: which library, which of its options, what people may see.

The names of the options are those of s3fs, adlfs and their kin, which people know; a name that none of a job's
places knows is a mistake, and not passed over.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import DataError
from penstock.runtimes.batch.sources import addresses
from penstock.runtimes.batch.sources.stores import Store

S3 = ("s3", "s3a", "s3n")
AZURE = ("az", "abfs", "abfss", "wasb", "wasbs", "adl")
HTTP = ("http", "https")

_EXTRAS = {**dict.fromkeys(S3, "s3"), **dict.fromkeys(AZURE, "azure"), **dict.fromkeys(HTTP, "http")}
_ELSEWHERE = {"gs": "gcsfs", "gcs": "gcsfs", "sftp": "paramiko", "ssh": "paramiko", "hf": "huggingface_hub",
              "oci": "ocifs", "oss": "ossfs"}  # fmt: skip
_INNER = frozenset(("self", "args", "kwargs", "loop", "asynchronous", "session", "request_session"))
_BESIDE = frozenset(("region", "profile", "use_listings_cache"))


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A store, what was asked for below its root, and the root's URL as people may see it. `single`: one file,
    and no folders at all. `known`: the options that would have been minded."""

    store: Store
    root: str
    key: str
    known: frozenset[str]
    single: bool = False
    fs: Any = None
    """The fsspec file system below the store, for those who write; None where nothing can be written."""


def open_store(location: str, storage: Mapping[str, str], environment: Mapping[str, str]) -> Opened:
    """The store that holds `location`. Raises DataError: no such scheme, a library missing, options that cannot
    be meant."""
    scheme = addresses.scheme_of(location)
    if scheme in HTTP:
        return _http(location)
    kind = _library(scheme)
    known = _options(kind)
    options = {name: _value(name, text) for name, text in storage.items() if name in known}
    if scheme in S3:
        return _s3(kind, location, options, known)
    if scheme in AZURE:
        return _azure(kind, location, options, known, environment)
    return _other(kind, location, options, known)


def options_of(location: str, storage: Mapping[str, str], environment: Mapping[str, str]) -> frozenset[str]:
    """The storage options that would be minded for `location`; none for a path, a database, or a place that cannot
    be told."""
    try:
        if addresses.scheme_of(location) == "azureml":
            location = addresses.mapped(location, storage, environment)
        scheme = addresses.scheme_of(location)
        return _options(_library(scheme)) if scheme and scheme not in HTTP else frozenset()
    except DataError:
        return frozenset()


def _options(kind: Any) -> frozenset[str]:
    return frozenset(inspect.signature(kind.__init__).parameters) - _INNER | _BESIDE


def _library(scheme: str) -> Any:
    import fsspec

    name = "abfs" if scheme in AZURE else "s3" if scheme in S3 else scheme
    try:
        return fsspec.get_filesystem_class(name)
    except ValueError:
        raise DataError(
            f"nothing here reads {scheme}:// locations",
            hint="s3://, az://, abfss://, https://, postgresql:// can be read, and what fsspec has libraries for",
        ) from None
    except ImportError:
        raise missing_library(scheme) from None


def missing_library(scheme: str) -> DataError:
    """The library for `scheme` is not installed."""
    extra = _EXTRAS.get(scheme)
    package = f"penstock[{extra}]" if extra else _ELSEWHERE.get(scheme, f"the fsspec library for {scheme}")
    return DataError(
        f"{scheme}:// locations need a library that is not installed", hint=f"pip install '{package}'"
    )


def _value(name: str, text: str) -> Any:
    """An option's value: all arrive as text, libraries want more."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError:
            raise DataError(f"the storage option {name} is no JSON") from None
    numeric = name.endswith(("timeout", "_size", "blocksize", "max_concurrency", "port"))
    return int(text) if numeric and text.isdigit() else text


def _s3(kind: Any, location: str, options: dict[str, Any], known: frozenset[str]) -> Opened:
    from penstock.runtimes.batch.sources.s3_store import S3Store

    bucket, _, key = location.partition("://")[2].partition("/")
    region = options.pop("region", None)
    if region:
        options["client_kwargs"] = {"region_name": region, **options.get("client_kwargs", {})}
    config = {"retries": {"mode": "standard", "max_attempts": 1}, **options.pop("config_kwargs", {})}
    fs = kind(**options, config_kwargs=config, skip_instance_cache=True)
    return Opened(store=S3Store(fs, bucket), root=f"s3://{bucket}/", key=key, known=known, fs=fs)


_ACCOUNT = re.compile(r"(?P<account>[^.]+)\.(?:dfs|blob)\.(?P<domain>.+)\Z")


def _azure(
    kind: Any, location: str, options: dict[str, Any], known: frozenset[str], environment: Mapping[str, str]
) -> Opened:
    from penstock.runtimes.batch.sources.azure_store import AzureStore

    host, _, key = location.partition("://")[2].partition("/")
    container, at, server = host.partition("@")
    root = f"az://{container}/"
    if at:
        root = f"abfss://{container}@{server}/"
        found = _ACCOUNT.match(server)
        if not found:
            raise DataError(
                f"{root}: {server} is no account of Azure storage",
                hint="abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH",
            )
        account = found["account"]
        text = options.get("connection_string") or environment.get("AZURE_STORAGE_CONNECTION_STRING", "")
        theirs = re.search(r"(?i)(?:^|;)AccountName=([^;]+)", text)
        if theirs and theirs[1] != account:
            raise DataError(
                f"{root} is in the account {account}, but the connection string is for {theirs[1]}",
                hint="give the connection string of that account, or unset AZURE_STORAGE_CONNECTION_STRING",
            )
        options.setdefault("account_name", account)
        if found["domain"] != "core.windows.net":
            options.setdefault("account_host", f"{account}.blob.{found['domain']}")
    options.pop("region", None)
    try:
        fs = kind(**options, skip_instance_cache=True)
    except Exception as error:  # noqa: BLE001 - ValueError, AttributeError, azure's own: by what is missing
        secrets = addresses.secrets_of(location, {**storage_of(options), **environment_of(environment)})
        raise DataError(
            f"{root} cannot be opened: {addresses.redacted(str(error), secrets)[:300]}",
            hint="name the account (abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH, or account_name) and give "
            "its key, a connection string or a login (az login; AZURE_CLIENT_ID and its kin)",
        ) from None
    return Opened(store=AzureStore(fs, container), root=root, key=key, known=known, fs=fs)


def _http(location: str) -> Opened:
    try:
        from penstock.runtimes.batch.sources.http_store import HttpStore
    except ImportError:
        raise missing_library("https") from None
    shown = addresses.shown(location)
    return Opened(store=HttpStore(location), root="", key=shown, known=frozenset(), single=True)


def _other(kind: Any, location: str, options: dict[str, Any], known: frozenset[str]) -> Opened:
    from penstock.runtimes.batch.sources.other_store import OtherStore

    named = kind._get_kwargs_from_urls(location)
    fs = kind(**{**named, **options}, skip_instance_cache=True)
    key = str(kind._strip_protocol(location))
    root = f"{addresses.scheme_of(location)}://{named.get('host', '')}"
    return Opened(store=OtherStore(fs, ""), root=root, key=key, known=known, fs=fs)


def storage_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Options as texts again, to look for secrets in."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in options.items()
    }


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Those variables that hold credentials of stores."""
    return {name: value for name, value in environment.items() if name.startswith(("AWS_", "AZURE_"))}
