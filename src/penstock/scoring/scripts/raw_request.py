"""The HTTP request that ``@rawhttp`` hands to ``run``, where Flask is not installed.

The everyday attributes of Flask's request have the same names and meaning. Runs in workers: Python 3.8,
standard library only.
"""

from __future__ import annotations

import http.cookies
import io
import json
import urllib.parse
from typing import Any

from penstock.scoring.interface import Request
from penstock.scoring.scripts import inputs, raw_multipart
from penstock.scoring.scripts.raw_headers import Headers, MultiDict
from penstock.scoring.scripts.raw_multipart import File


class RawRequest:
    """One request. Bodies and forms are parsed when they are first asked for."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._form: tuple[MultiDict[str], MultiDict[File]] | None = None
        self.method = request.method
        self.headers = Headers((name.title(), value) for name, value in request.headers)
        self.path = urllib.parse.unquote(request.path, errors="replace")
        self.query_string = request.query.encode("latin-1")
        self.stream = io.BytesIO(request.body)
        self.remote_addr = "127.0.0.1"
        self.scheme = "http"

    @property
    def args(self) -> MultiDict[str]:
        """The query's fields, decoded."""
        return MultiDict(
            (name, text) for name, texts in inputs.query_texts(self._request.query).items() for text in texts
        )

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """The body, as bytes or as text (UTF-8, what is not is replaced)."""
        return self._request.body.decode(errors="replace") if as_text else self._request.body

    @property
    def data(self) -> bytes:
        """The body; empty for a form, whose content is in `form` and `files`."""
        return b"" if raw_multipart.is_form(self.content_type or "") else self._request.body

    @property
    def is_json(self) -> bool:
        """Whether the content type says JSON."""
        return inputs.is_json(self.headers.get("Content-Type", ""))

    @property
    def json(self) -> Any:
        """The body parsed as JSON. Raises ValueError when it is not declared or not valid."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body parsed as JSON; without a JSON content type only if `force`; None on trouble if `silent`."""
        if not (force or self.is_json):
            if silent:
                return None
            raise ValueError("the request's Content-Type is not application/json")
        try:
            return json.loads(self._request.body)
        except ValueError:
            if silent:
                return None
            raise

    @property
    def form(self) -> MultiDict[str]:
        """Text fields of a form body, url-encoded or multipart."""
        return self._parsed()[0]

    @property
    def files(self) -> MultiDict[File]:
        """Files of a multipart form body."""
        return self._parsed()[1]

    @property
    def values(self) -> MultiDict[str]:
        """Query fields, then form fields."""
        return MultiDict([*self.args.items(multi=True), *self.form.items(multi=True)])

    @property
    def cookies(self) -> dict[str, str]:
        """The ``Cookie`` header's names and values."""
        jar: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
        try:
            jar.load(self.headers.get("Cookie", ""))
        except http.cookies.CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}

    @property
    def content_type(self) -> str | None:
        """The ``Content-Type`` header."""
        value: str | None = self.headers.get("Content-Type")
        return value

    @property
    def mimetype(self) -> str:
        """The content type without its parameters, in lower case."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int:
        """Bytes of the body."""
        return len(self._request.body)

    @property
    def host(self) -> str:
        """The ``Host`` header."""
        return str(self.headers.get("Host", "127.0.0.1"))

    @property
    def host_url(self) -> str:
        """Scheme and host, with a final slash."""
        return f"{self.scheme}://{self.host}/"

    url_root = host_url

    @property
    def full_path(self) -> str:
        """Path and query, with a question mark even when there is no query."""
        return f"{self.path}?{self._request.query}"

    @property
    def base_url(self) -> str:
        """The URL without its query."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return self.base_url + (f"?{self._request.query}" if self._request.query else "")

    @property
    def user_agent(self) -> str:
        """The ``User-Agent`` header."""
        return str(self.headers.get("User-Agent", ""))

    def _parsed(self) -> tuple[MultiDict[str], MultiDict[File]]:
        if self._form is None:
            self._form = raw_multipart.parse_form(self.headers.get("Content-Type", ""), self._request.body)
        return self._form
