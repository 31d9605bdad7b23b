"""Durations as people and Azure's services write them: seconds, or ISO 8601 (``PT1H30M``)."""

from __future__ import annotations

import re

_ISO = re.compile(
    r"P(?!$)(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?!$)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)
_SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


def read(value: object) -> object:
    """Seconds of an ISO duration without years and months, whose length nobody can tell; other values, numbers
    and None above all, are left for the schema to judge. Raises ValueError for any other text."""
    if isinstance(value, bool):
        raise ValueError("must be seconds, or a duration such as PT30S")
    if not isinstance(value, str):
        return value
    text = value.strip()
    match = _ISO.fullmatch(text)
    if match is not None:
        return sum(float(said) * _SECONDS[unit] for unit, said in match.groupdict().items() if said)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    raise ValueError("must be seconds, or a duration such as PT30S")
