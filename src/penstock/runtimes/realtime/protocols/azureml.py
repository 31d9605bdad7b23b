"""Request ids as Azure ML's inference server gives and echoes them. Pure functions on header bytes.

``x-request-id`` is what was sent, or a fresh id. ``x-ms-client-request-id`` is what was sent, else the
``x-ms-request-id`` that was sent, else absent. ``x-ms-request-id`` (deprecated) is what was sent, else the
client's id, else the request's.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_ID = 100
"""Characters of an id; a longer one is answered 431."""


@dataclass(frozen=True)
class Ids:
    """What `resolve_ids` decided.

    `request_id` names the request in logs. `block` is the header block that every answer carries, each line
    ended. `refusal` is empty, or the message of a 431 whose headers are `block`.
    """

    request_id: bytes
    block: bytes
    refusal: str = ""


def plain_block(fresh: bytes) -> bytes:
    """The header block of a request that sent no id: the common case, apart because it is hot."""
    return b"x-request-id: " + fresh + b"\r\nx-ms-request-id: " + fresh + b"\r\n"


def resolve_ids(
    request_id: bytes | None,
    ms_request_id: bytes | None,
    client_request_id: bytes | None,
    fresh: bytes,
    trace_id: bytes | None = None,
) -> Ids:
    """The ids of one request.

    Each of the first three is the header's value, or None where it was not sent; `fresh` is the id to give
    when ``x-request-id`` was not sent; `trace_id` is the ``TraceId`` header, echoed as it came.
    """
    trace = b"TraceId: " + trace_id + b"\r\n" if trace_id is not None else b""
    own = fresh if request_id is None else request_id
    if len(own) > LONGEST_ID:
        return Ids(b"", trace, f"x-request-id must not exceed {LONGEST_ID} characters")
    client = client_request_id or ms_request_id or b""
    legacy = ms_request_id or client or own
    block = b"x-request-id: " + own + b"\r\n" if own else b""
    if len(legacy) > LONGEST_ID or len(client) > LONGEST_ID:
        return Ids(
            own,
            block + trace,
            f"x-ms-request-id and x-ms-client-request-id must not exceed {LONGEST_ID} characters",
        )
    if legacy:
        block += b"x-ms-request-id: " + legacy + b"\r\n"
    if client:
        block += b"x-ms-client-request-id: " + client + b"\r\n"
    return Ids(own, block + trace)
