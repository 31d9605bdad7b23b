"""Numbers with a unit, as people type them: ``500ms``, ``2m``, ``64KB``, ``1.5GB``.

A bare number is refused where the unit could be guessed wrong.
"""

from __future__ import annotations

import re

import click

MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
BYTES = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")


class Duration(click.ParamType[int]):
    """``500ms``, ``5s``, ``2m``, ``1h``: milliseconds as int, at least 1."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Milliseconds."""
        return value if isinstance(value, int) else self._number(str(value), param, ctx)

    def _number(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = _scaled(text, MILLISECONDS)
        if number is None or number < 1:
            self.fail(
                f"{text!r} is no duration: write a number and its unit, such as 500ms, 5s or 2m", param, ctx
            )
        return number


class Size(click.ParamType[int]):
    """``64KB``, ``100MB``, ``2GB``: bytes as int, units of 1024, at least 1."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        number = _scaled(str(value), BYTES)
        if number is None or number < 1:
            self.fail(
                f"{value!r} is no size: write a number and its unit, such as 64KB, 100MB or 2GB", param, ctx
            )
        return number


def _scaled(text: str, units: dict[str, int]) -> int | None:
    match = _FORM.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        return None
    return round(float(match[1]) * units[match[2].lower()])


class MiniBatchSize(click.ParamType[tuple[int, str]]):
    """``10`` (files), ``5000rows``, ``64KB``: a number and ``files``, ``rows`` or ``bytes``."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, str]:
        """The number and its unit."""
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        match = re.fullmatch(r"(\d+)\s*(|files?|rows?)", text)
        if match and int(match[1]):
            return int(match[1]), "rows" if match[2].startswith("row") else "files"
        number = _scaled(text, BYTES)
        if number is None or number < 1:
            self.fail(f"{text!r} is no size: write 10 (files), 5000rows, or 64KB", param, ctx)
        return number, "bytes"
