"""A response that a scoring script makes by hand, where Flask is not installed.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping, Union

from penstock.scoring.interface import Reply
from penstock.scoring.scripts.raw_headers import Headers

Body = Union[str, bytes, bytearray, Iterable[Union[str, bytes]], None]


class RawResponse:
    """Status, headers and body. The everyday attributes of Flask's response have the same names."""

    default_mimetype = "text/html"

    def __init__(
        self,
        response: Body = None,
        status: int | str | None = 200,
        headers: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        mimetype: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self.headers = Headers(headers)
        if content_type is None and (mimetype is not None or "content-type" not in self.headers):
            content_type = _with_charset(mimetype or self.default_mimetype)
        if content_type is not None:
            self.headers.set("Content-Type", content_type)
        self.status_code = 200 if status is None else int(str(status).split()[0])
        self._body = b""
        if response is not None:
            self.set_data(response)

    def set_data(self, value: Body) -> None:
        """Replace the body: text becomes UTF-8, an iterable of parts is joined."""
        if isinstance(value, str):
            self._body = value.encode()
        elif isinstance(value, (bytes, bytearray, memoryview)):
            self._body = bytes(value)
        else:
            self._body = b"".join(part.encode() if isinstance(part, str) else part for part in value or ())

    def get_data(self, as_text: bool = False) -> str | bytes:
        """The body."""
        return self._body.decode() if as_text else self._body

    @property
    def data(self) -> str | bytes:
        """The body as bytes."""
        return self._body

    @data.setter
    def data(self, value: Body) -> None:
        self.set_data(value)

    @property
    def status(self) -> str:
        """The status code as text."""
        return str(self.status_code)

    @property
    def content_type(self) -> str | None:
        """The ``Content-Type`` header."""
        value: str | None = self.headers.get("Content-Type")
        return value

    @content_type.setter
    def content_type(self, value: str) -> None:
        self.headers.set("Content-Type", value)

    @property
    def mimetype(self) -> str | None:
        """The content type without its parameters."""
        return (self.content_type or "").partition(";")[0].strip() or None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.headers.set("Content-Type", _with_charset(value))

    @property
    def json(self) -> Any:
        """The body parsed as JSON."""
        return json.loads(self._body)

    def get_json(self, force: bool = False, silent: bool = False) -> Any:
        """The body parsed as JSON; None when that fails and `silent`."""
        try:
            return json.loads(self._body)
        except ValueError:
            if silent:
                return None
            raise

    def set_cookie(self, key: str, value: str = "", max_age: int | None = None, path: str = "/") -> None:
        """Add a ``Set-Cookie`` header."""
        age = f"; Max-Age={max_age}" if max_age is not None else ""
        self.headers.add("Set-Cookie", f"{key}={value}{age}; Path={path}")

    def to_reply(self) -> Reply:
        """The same as a `Reply`; the gateway counts the length itself."""
        content_type = self.content_type or ""
        seen = False
        headers = []
        for name, value in self.headers.items():
            lower = name.lower()
            if lower == "content-length" or (lower == "content-type" and not seen):
                seen = seen or lower == "content-type"
                continue
            headers.append((name, value))
        return Reply(self._body, status=self.status_code, content_type=content_type, headers=headers)


def _with_charset(mimetype: str) -> str:
    textual = mimetype.startswith("text/") or mimetype in ("application/xml", "application/javascript")
    if (textual or mimetype.endswith("+xml")) and "charset=" not in mimetype:
        return mimetype + "; charset=utf-8"
    return mimetype
