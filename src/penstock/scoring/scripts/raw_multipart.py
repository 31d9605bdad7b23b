"""Form bodies (RFC 7578 multipart and url-encoded) taken apart, where Flask is not installed.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import io
import re
import shutil
import urllib.parse
from email.message import Message
from typing import Any, BinaryIO, Iterator

from penstock.scoring.scripts.raw_headers import Headers, MultiDict

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


class File:
    """An uploaded file: `name` of the field, `filename` as sent, `stream` to read from."""

    def __init__(self, name: str, filename: str, headers: Headers, content: bytes) -> None:
        self.name = name
        self.filename = filename
        self.headers = headers
        self.content_type: str = headers.get("Content-Type", "")
        self.mimetype = self.content_type.partition(";")[0].strip().lower()
        self.content_length = len(content)
        self.stream = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or all that is left."""
        return self.stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move in the stream."""
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        """The place in the stream."""
        return self.stream.tell()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.stream)

    def save(self, destination: Any) -> None:
        """Write what is left to a path or an open file."""
        if hasattr(destination, "write"):
            shutil.copyfileobj(self.stream, destination)
            return
        with open(destination, "wb") as file:
            target: BinaryIO = file
            shutil.copyfileobj(self.stream, target)

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form; a multipart type that names no boundary is none."""
    mimetype = content_type.partition(";")[0].strip().lower()
    return mimetype == URLENCODED or (mimetype == MULTIPART and bool(_boundary(content_type)))


def parse_form(content_type: str, body: bytes) -> tuple[MultiDict[str], MultiDict[File]]:
    """``(text fields, files)`` of a form body; both empty for a body that is no form."""
    if not is_form(content_type):
        return MultiDict(), MultiDict()
    boundary = _boundary(content_type)
    if not boundary:
        text = body.decode("utf-8", "replace")
        return MultiDict(urllib.parse.parse_qsl(text, keep_blank_values=True)), MultiDict()
    fields, files = [], []
    for headers, content in _parts(body, boundary.encode("latin-1")):
        disposition = _parameters(headers.get("Content-Disposition", ""))
        name = disposition.get("name", "")
        if "filename" in disposition:
            files.append((name, File(name, disposition["filename"], headers, content)))
        else:
            fields.append((name, content.decode("utf-8", "replace")))
    return MultiDict(fields), MultiDict(files)


def _boundary(content_type: str) -> str:
    return _parameters(content_type).get("boundary", "")


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[Headers, bytes]]:
    # The line break before a delimiter belongs to the delimiter, not to the content.
    delimiter = re.compile(rb"(?:^|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r?\n|$)")
    start = None
    for match in delimiter.finditer(body):
        if start is not None:
            yield _part(body[start : match.start()])
        if match.group(1):
            return
        start = match.end()


def _part(raw: bytes) -> tuple[Headers, bytes]:
    head, separator, content = raw.partition(b"\r\n\r\n")
    if not separator:
        head, separator, content = raw.partition(b"\n\n")
    headers = Headers()
    for line in head.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers.add(name.strip(), value.strip())
    return headers, content


def _parameters(value: str) -> dict[str, str]:
    message = Message()
    message["content-type"] = value
    found = message.get_params(failobj=[], unquote=True)
    return {name.lower(): text if isinstance(text, str) else text[2] for name, text in found[1:]}
