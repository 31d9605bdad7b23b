"""Cross-origin headers as Azure ML's inference server sends them when ``AML_CORS_ORIGINS`` is set.

An allowed origin is a literal (any case), ``*``, or a regular expression, told by its special characters.
Methods are GET and POST, every request header is allowed, credentials are not. Pure functions; the patterns
are compiled once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from penstock import errors

METHODS = (b"GET", b"POST")

_SPECIAL = frozenset("*\\]?$^[]()")


@dataclass(frozen=True)
class Policy:
    """Which origins may read our answers.

    `literals` are casefolded; `patterns` must match an origin whole, or ``https://a.example.com.evil.org``
    would pass for ``https://.*\\.example\\.com``. `unasked` is the header block for a request without
    ``Origin``, and `varies` says whether answers differ by origin.
    """

    literals: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    unasked: bytes
    varies: bool


def policy(origins: Iterable[str]) -> Policy | None:
    """The policy for origins as written, or None for none: then no header is ever sent.

    Raises `UsageError` for a regular expression that is none.
    """
    written = [origin.strip() for origin in origins if origin.strip()]
    if not written:
        return None
    literals = [origin for origin in written if _SPECIAL.isdisjoint(origin)]
    patterns = tuple(_compile(origin) for origin in written if not _SPECIAL.isdisjoint(origin))
    varies = len(written) > 1 or bool(patterns)
    unasked = b""
    if "*" in written:
        unasked = b"Access-Control-Allow-Origin: *\r\n"
    elif literals:
        unasked = b"Access-Control-Allow-Origin: " + sorted(literals)[0].encode() + b"\r\n" + _vary(varies)
    return Policy(frozenset(origin.casefold() for origin in literals), patterns, unasked, varies)


def block(
    policy: Policy | None,
    method: bytes,
    origin: bytes | None,
    request_method: bytes | None = None,
    request_headers: bytes | None = None,
    private_network: bytes | None = None,
) -> bytes:
    """The header block for one answer, each line ended; empty for an origin that is not allowed.

    `origin` is the request's ``Origin``; the last three are its ``Access-Control-Request-Method``,
    ``-Headers`` and ``-Private-Network``; None where not sent.
    """
    if policy is None:
        return b""
    if not origin:
        head, tail = policy.unasked, b""
        if not head:
            return b""
    elif _allowed(policy, origin.decode("latin-1")):
        head, tail = b"Access-Control-Allow-Origin: " + origin + b"\r\n", _vary(policy.varies)
    else:
        return b""
    if private_network == b"true":
        head += b"Access-Control-Allow-Private-Network: false\r\n"
    if method == b"OPTIONS" and request_method is not None and request_method.upper() in METHODS:
        if request_headers:
            names = sorted(name.strip() for name in request_headers.split(b","))
            head += b"Access-Control-Allow-Headers: " + b", ".join(names) + b"\r\n"
        head += b"Access-Control-Allow-Methods: " + b", ".join(METHODS) + b"\r\n"
    return head + tail


def _allowed(policy: Policy, origin: str) -> bool:
    return origin.casefold() in policy.literals or any(p.fullmatch(origin) for p in policy.patterns)


def _compile(origin: str) -> re.Pattern[str]:
    try:
        return re.compile(".*" if origin == "*" else origin, re.IGNORECASE)
    except re.error as error:
        raise errors.UsageError(
            f"the allowed origin {origin!r} is not a regular expression: {error}",
            hint="Write it out in full, https://app.example.com, or use * for every origin.",
        ) from error


def _vary(varies: bool) -> bytes:
    return b"Vary: Origin\r\n" if varies else b""
