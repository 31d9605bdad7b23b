"""The seam between object stores and the source that reads them: look, walk, read. One file a kind of store.

What a store's library raises goes through; `is_temporary` and `explained` read it the same way for all of them.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from penstock.errors import DataError
from penstock.runtimes.batch.sources import addresses

CHUNK = 1 << 20
"""Bytes of one read, and so what a connection must bring before it breaks to have been of use."""


@dataclass(frozen=True)
class Entry:
    """An object: its key below the store's root, its bytes, and what changes with its content."""

    key: str
    size: int
    stamp: str


class Changed(Exception):
    """The content is not the one whose stamp was given."""


class Store(Protocol):
    """One bucket, container or file system."""

    def look(self, key: str) -> Entry | None:
        """The object at exactly `key`; None: there is none."""

    def walk(self, prefix: str) -> Iterator[Entry]:
        """All objects whose keys begin with `prefix`, in their order, page by page; markers of folders left out.
        Raises FileNotFoundError where there is no such bucket."""

    def names(self, folder: str) -> list[str]:
        """Some names in `folder` (empty, or with a slash at its end), sorted, for a hint."""

    def read(self, entry: Entry, start: int, out: BinaryIO) -> None:
        """Write the bytes of `entry` from `start` on to `out`. An empty stamp: whatever content it has. Raises
        Changed."""

    def close(self) -> None:
        """Let go of connections."""


_TEMPORARY_STATUS = (408, 409, 425, 429)
_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, DataError, Changed)
_PERMANENT_ERRNO = (
    errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS,
)  # fmt: skip
_TEMPORARY_NAMES = frozenset((
    "ClientConnectionError", "ClientPayloadError", "ServerDisconnectedError", "HTTPClientError", "ConnectionError",
    "IncompleteReadError", "IncompleteRead", "ServiceRequestError", "ServiceResponseError", "ChunkedEncodingError",
    "Timeout", "ResponseStreamingError",
))  # fmt: skip
"""Libraries' errors of a connection; told by name, so that no library is imported to tell them."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it came from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def status_of(error: BaseException) -> int:
    """The HTTP status that a store answered with; 0: it did not."""
    for one in chain(error):
        status = getattr(one, "status_code", None)
        response = getattr(one, "response", None)
        if status is None and isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status is None:
            status = getattr(response, "status_code", None)
        if isinstance(status, int):
            return status
    return 0


def is_temporary(error: Exception) -> bool:
    """Whether the same may go well a moment later."""
    if isinstance(error, _PERMANENT):
        return False
    status = status_of(error)
    if status:
        return (status >= 500 and status != 501) or status in _TEMPORARY_STATUS
    if any(kind.__name__ in _TEMPORARY_NAMES for one in chain(error) for kind in type(one).__mro__):
        return True
    if isinstance(error, OSError):
        return error.errno not in _PERMANENT_ERRNO
    return isinstance(error, TimeoutError)


def explained(error: Exception, where: str, secrets: Sequence[str]) -> DataError:
    """What `error` of a store's library means for who asked for `where`. The libraries' own words may hold
    `secrets`; here they do not."""
    status = status_of(error)
    text = addresses.redacted(_words(error), secrets)
    names = {type(one).__name__ for one in chain(error)}
    if isinstance(error, FileNotFoundError) or status == 404:
        return DataError(
            f"{where} is not there: {text}", hint="check the path; was it removed after the job began?"
        )
    if names & {"NoCredentialsError", "PartialCredentialsError", "CredentialUnavailableError"}:
        return DataError(f"no credentials for {where}: {text}", hint=_CREDENTIALS)
    if isinstance(error, PermissionError) or status in (401, 403) or "ClientAuthenticationError" in names:
        return DataError(f"no access to {where}: {text}", hint=_CREDENTIALS)
    if is_temporary(error):
        return DataError(
            f"{where} cannot be reached: {text}", hint="check endpoint and network; then resume the job"
        )
    return DataError(f"{where} cannot be read: {text}")


_CREDENTIALS = (
    "give them as everywhere (AWS_ACCESS_KEY_ID or ~/.aws, AZURE_STORAGE_CONNECTION_STRING or az login, ~/.netrc), "
    "or as storage options (key and secret; connection_string; account_key); anon=true where the data are public"
)


def _words(error: BaseException) -> str:
    """The first line of what the innermost library said."""
    said = str(getattr(error, "message", "") or error).strip() or type(error).__name__
    return said.splitlines()[0][:300]
