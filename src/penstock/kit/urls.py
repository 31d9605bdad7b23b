"""URLs, as people may see them. Runs in workers too: Python 3.8, standard library only."""

from __future__ import annotations

import re

_SECRET_PARAMETERS = re.compile(
    r"(?i)((?:^|[?&;])(?:password|passwd|pwd|secret|token|key|sig|signature|credential)[^=&;]*=)[^&;]*"
)
_AUTHORITY_END = re.compile(r"[/?#]")


def without_secrets(location: str) -> str:
    """`location` with the password and secret parameters of a URL replaced by ``***``; a path as it is."""
    scheme, mark, rest = location.partition("://")
    if not mark:
        return location
    end = _AUTHORITY_END.search(rest)
    authority = rest[: end.start()] if end else rest
    port = authority.partition(":")[2]
    if "@" not in authority and "@" in rest and port and not port.isdigit():
        # A password with a slash in it, which databases' clients take.
        authority = rest[: rest.rindex("@") + 1]
    rest = rest[len(authority) :]
    user, at, host = authority.rpartition("@")
    name, colon, _ = user.partition(":")
    path, question, query = rest.partition("?")
    query = _SECRET_PARAMETERS.sub(r"\1***", query)
    return f"{scheme}://{name}{':***' if colon else ''}{at}{host}{path}{question}{query}"
