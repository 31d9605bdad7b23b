"""All that crosses between gateway and worker: length-prefixed frames over a Unix stream socket.

Gateway to worker, ``BATCH``: many requests to a frame, so that the cost of crossing is shared by all that
wait. Worker to gateway, ``REPLIES``: answers in the order of the frame, in one frame or several. ``HELLO``
opens a connection (worker to gateway, JSON), ``RETIRE`` ends it in peace (gateway to worker).

Every frame is ``<payload length u32> <kind u8> <payload>``. Numbers are little-endian. A batch is
``<count u32>``, then a record a request ``<deadline f64> <meta length u32> <body length u32>``, then all metas
and bodies in order. `deadline` is on CLOCK_MONOTONIC, which all processes of a machine share. Replies are
``<count u32>``, then records ``<status u16> <head length u32> <body length u32>``, then heads and bodies.

*Meta* tells a request from a plain JSON POST to ``/score``, whose meta is empty: request id, method, target
and headers, one a line. *Head* is the reply's header block, ready for the wire but for length and ids.

Runs in workers too: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Iterable, Sequence

from penstock.kit import frames
from penstock.scoring.interface import Reply, Request

HELLO, BATCH, REPLIES, RETIRE = 1, 2, 3, 4

COUNT = struct.Struct("<I")
REQUEST = struct.Struct("<dII")
REPLY = struct.Struct("<HII")

SKIPPED = 0
"""The status of a request that the worker did not start: its deadline had passed, or it was recalled."""

JSON_HEAD = b"content-type: application/json\r\n"


def hello(about: dict[str, Any]) -> bytes:
    """The frame with which a worker introduces itself."""
    return frames.frame(HELLO, json.dumps(about).encode())


def meta_of(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The meta, but for the request id that goes before it, of a request that is more than a plain JSON POST
    to ``/score``.

    Neither target nor headers can hold a line feed: the HTTP parser refuses such requests. The value of
    ``Content-Length`` is left out, so that requests that differ in nothing else have the same meta; the
    reader knows it.
    """
    lines = [b"", method, target]
    for name, value in headers:
        lines.append(name)
        lines.append(b"" if name.lower() == b"content-length" else value)
    return b"\n".join(lines)


def request_of(meta: bytes, body: bytes) -> Request:
    """The request that `meta` and `body` describe. Header bytes are read as Latin-1, as HTTP says."""
    if not meta:
        return Request(body)
    lines = meta.decode("latin-1").split("\n")
    path, _, query = lines[2].partition("?")
    headers = list(zip(lines[3::2], lines[4::2]))
    for index, (name, value) in enumerate(headers):
        if not value and name.lower() == "content-length":
            headers[index] = (name, str(len(body)))
    return Request(body, id=lines[0], method=lines[1], path=path, query=query, headers=headers)


def head_of(reply: Reply) -> bytes:
    """The header block of `reply`. A line break in a header value would let a script write headers, or a
    whole second answer, that it did not mean to: it is sent as a space."""
    if not reply.headers and reply.content_type == "application/json":
        return JSON_HEAD
    pairs = [("content-type", reply.content_type)] if reply.content_type else []
    pairs.extend(reply.headers)
    text = "".join(f"{_clean(name)}: {_clean(value)}\r\n" for name, value in pairs)
    return text.encode("latin-1", "replace")


def _clean(text: str) -> str:
    text = str(text)
    if "\r" in text or "\n" in text or "\0" in text:
        text = text.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    return text


def batch(items: Sequence[tuple[float, bytes, bytes]]) -> bytes:
    """The frame of `items`: ``(deadline, meta, body)`` each."""
    pack = REQUEST.pack
    records = [COUNT.pack(len(items))]
    blobs: list[bytes] = []
    size = COUNT.size + REQUEST.size * len(items)
    for deadline, meta, body in items:
        records.append(pack(deadline, len(meta), len(body)))
        if meta:
            blobs.append(meta)
        blobs.append(body)
        size += len(meta) + len(body)
    return b"".join([frames.PREFIX.pack(size, BATCH), *records, *blobs])


def read_batch(payload: bytes) -> list[tuple[float, Request]]:
    """``(deadline, request)`` of each request in a BATCH payload."""
    (count,) = COUNT.unpack_from(payload)
    at = COUNT.size + count * REQUEST.size
    items = []
    for deadline, meta_size, body_size in REQUEST.iter_unpack(payload[COUNT.size : at]):
        body_at = at + meta_size
        end = body_at + body_size
        items.append((deadline, request_of(payload[at:body_at], payload[body_at:end])))
        at = end
    return items


def replies(answers: Sequence[Reply | None]) -> bytes:
    """The frame of `answers`; None stands for a request that was not started."""
    records = [COUNT.pack(len(answers))]
    blobs: list[bytes] = []
    pack = REPLY.pack
    size = COUNT.size + REPLY.size * len(answers)
    for answer in answers:
        if answer is None:
            records.append(pack(SKIPPED, 0, 0))
            continue
        head = head_of(answer)
        body = answer.body
        records.append(pack(answer.status, len(head), len(body)))
        blobs.append(head)
        blobs.append(body)
        size += len(head) + len(body)
    return b"".join([frames.PREFIX.pack(size, REPLIES), *records, *blobs])


def read_replies(payload: bytes) -> list[tuple[int, bytes, bytes]]:
    """``(status, head, body)`` of each reply in a REPLIES payload."""
    (count,) = COUNT.unpack_from(payload)
    at = COUNT.size + count * REPLY.size
    found = []
    for status, head_size, body_size in REPLY.iter_unpack(payload[COUNT.size : at]):
        body_at = at + head_size
        end = body_at + body_size
        found.append((status, payload[at:body_at], payload[body_at:end]))
        at = end
    return found
