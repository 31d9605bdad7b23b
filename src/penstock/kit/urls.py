"""URLs, as people may see them. Runs in workers too: Python 3.8, standard library only."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SECRET_PARAMETERS = re.compile(
    r"(?i)((?:^|[?&;])(?:password|passwd|pwd|secret|token|key|sig|signature|credential)[^=&;]*=)[^&;]*"
)


def without_secrets(location: str) -> str:
    """`location` with the password and secret parameters of a URL replaced by ``***``; a path as it is."""
    if "://" not in location:
        return location
    parts = urlsplit(location)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}{':***' if colon else ''}{at}{host}"
    query = _SECRET_PARAMETERS.sub(r"\1***", parts.query)
    # Not urlunsplit, which takes sqlite:///file.db for sqlite:/file.db.
    end = (f"?{query}" if query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    return f"{parts.scheme}://{netloc}{parts.path}{end}"
