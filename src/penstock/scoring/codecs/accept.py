"""Content types: which one a body is in, and which one an answer should be in.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from penstock import errors
from penstock.scoring.interface import Request

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"

WRITTEN = (JSON, ARROW, CSV)
"""What answers can be written in, the default first."""

_READ = {
    "": JSON,
    JSON: JSON,
    # What curl says of every body unless it is told otherwise.
    "application/x-www-form-urlencoded": JSON,
    CSV: CSV,
    "application/csv": CSV,
    ARROW: ARROW,
}


def body_type(request: Request) -> str:
    """`JSON`, `CSV` or `ARROW`. Raises UnsupportedMedia, naming what is read."""
    content_type = request.header("content-type")
    if not content_type:
        return JSON
    media, parameters = _parsed(content_type)
    found = _READ.get(media)
    if found is None and media.startswith("application/") and media.endswith("+json"):
        found = JSON
    if found is None:
        raise errors.UnsupportedMedia(
            "content type {!r} is not read here; send {}".format(media, ", ".join((JSON, CSV, ARROW)))
        )
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise errors.UnsupportedMedia(f"charset {charset!r} is not read here; send UTF-8")
    return found


def answer_type(request: Request) -> str:
    """The member of `WRITTEN` that the ``Accept`` header likes best; JSON where there is none. Raises
    NotAcceptable, naming what is written."""
    accepted = request.header("accept")
    if not accepted:
        return JSON
    best: list[tuple[float, int, str]] = []
    for part in accepted.split(","):
        media, parameters = _parsed(part)
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        for order, offered in enumerate(WRITTEN):
            if quality > 0 and _matches(media, offered):
                # A type that is named beats one that a wildcard covers.
                best.append((-quality, order + (len(WRITTEN) if "*" in media else 0), offered))
    if not best:
        raise errors.NotAcceptable(
            "nothing in Accept: {} is written here; accept {}".format(accepted, ", ".join(WRITTEN))
        )
    return min(best)[2]


def _matches(media: str, offered: str) -> bool:
    return media in ("*/*", "*", offered) or (media.endswith("/*") and offered.startswith(media[:-1]))


def _parsed(text: str) -> tuple[str, dict[str, str]]:
    media, *parameters = text.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return media.strip().lower(), {name.strip().lower(): value.strip(' "') for name, _, value in pairs}
