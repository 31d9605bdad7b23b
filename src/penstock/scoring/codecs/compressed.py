"""Bodies that come compressed (``Content-Encoding``). Runs in workers: Python 3.8, standard library only."""

from __future__ import annotations

import zlib

from penstock import errors
from penstock.scoring.interface import Request

LARGEST_INFLATED_BYTES = 128 * 1024 * 1024
"""A compressed body may unfold to this; the gateway bounds only what is sent."""


def inflated(request: Request) -> bytes:
    """The body of `request` as it was before it was compressed. Raises UnsupportedMedia for an encoding that
    is not read, MalformedInput for a body that is damaged or too large."""
    encoding = request.header("content-encoding").strip().lower()
    if encoding in ("", "identity"):
        return request.body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise errors.UnsupportedMedia(
            f"content encoding {encoding[:40]!r} is not read here; send gzip, deflate or none"
        )
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | (0 if encoding == "deflate" else 16))
    try:
        body = inflater.decompress(request.body, LARGEST_INFLATED_BYTES)
    except zlib.error as error:
        raise errors.MalformedInput(f"the body is not {encoding}: {error}") from None
    if inflater.unconsumed_tail:
        raise errors.MalformedInput(f"the body unfolds to more than {LARGEST_INFLATED_BYTES} bytes")
    if not inflater.eof:
        raise errors.MalformedInput(f"the body is not whole: its {encoding} ends early")
    return body
