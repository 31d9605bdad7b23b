"""MLTable's partition formats, ``/{Department}/{Day:yyyy/MM/dd}/data.csv``: columns that stand in a file's path.

``{name}`` is text up to the next slash or dot, ``{name:yyyy/MM/dd/HH/mm/ss}`` a moment, ``*`` anything. The
format begins anywhere in the path, as Azure ML reads it, and goes to the path's end if it can; a folder's name may
then have dots. Pure. Runs in workers: Python 3.8, standard library
only.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass
from typing import Mapping

_DATE_PARTS = {"yyyy": "year", "MM": "month", "dd": "day", "HH": "hour", "mm": "minute", "ss": "second"}
_PART = re.compile("|".join(_DATE_PARTS))
_TEXT, _FOLDER = r"[^./\\]", r"[^/\\]"
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\*")


class WrongFormat(ValueError):
    """The format cannot be meant."""


@dataclass(frozen=True)
class PartitionFormat:
    """A format, ready to be matched: by the first of `patterns` that the path has. `texts` are its columns of text,
    in order; `moment` is the one that is a time, or empty. Columns stand in that order."""

    patterns: tuple[re.Pattern[str], ...]
    texts: tuple[str, ...]
    moment: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column, in order: the moment last, as Azure ML has it."""
        return self.texts + ((self.moment,) if self.moment else ())

    def values(self, path: str) -> Mapping[str, str | dt.datetime] | None:
        """The columns' values in `path`, or None where it does not match."""
        match = next(filter(None, (pattern.search(path) for pattern in self.patterns)), None)
        if match is None:
            return None
        found: dict[str, str | dt.datetime] = {
            name: match.group(f"t{number}") for number, name in enumerate(self.texts)
        }
        if self.moment:
            parts = {"month": 1, "day": 1}
            parts.update(
                {name: int(text) for name, text in match.groupdict().items() if name in _DATE_PARTS.values()}
            )
            try:
                found[self.moment] = dt.datetime(**parts)  # type: ignore[arg-type]
            except ValueError:
                return None
        return found


@functools.lru_cache(maxsize=64)
def parse(text: str) -> PartitionFormat:
    """The format that `text` says, kept: it is asked for every file and table. Raises WrongFormat."""
    texts: list[str] = []
    moment = ""
    pattern = ""
    at = 0
    for match in _FIELD.finditer(text):
        pattern += re.escape(text[at : match.start()])
        at = match.end()
        if match[0] in ("{{", "}}"):
            pattern += re.escape(match[0][0])
        elif match[0] == "*":
            pattern += ".*?"
        elif ":" in match[1]:
            name, _, said = match[1].partition(":")
            if moment:
                raise WrongFormat(f"only one column can be a time, found {moment} and {name}")
            moment = _named(name, text)
            pattern += _date_pattern(said, text)
        else:
            name = _named(match[1], text)
            if name in texts:
                pattern += f"(?P=t{texts.index(name)})"
            else:
                pattern += rf"(?P<t{len(texts)}>{_FOLDER if text[at : at + 1] == '/' else _TEXT}+)"
                texts.append(name)
    pattern += re.escape(text[at:])
    if moment in texts:
        raise WrongFormat(f"{moment} stands twice, as text and as a time")
    if not texts and not moment:
        raise WrongFormat(f"{text!r} names no column: write {{name}} or {{name:yyyy/MM/dd}} where one stands")
    strict = pattern.replace(_FOLDER, _TEXT)
    # A column at the beginning is a whole name: it does not begin behind a dot of one.
    begin = r"(?:^|(?<=[/\\]))" if re.match(r"\{[^{]", text) else ""
    patterns = (rf"{begin}{strict}\Z", rf"{begin}{pattern}\Z", strict)
    return PartitionFormat(tuple(map(re.compile, patterns)), tuple(texts), moment)


def _named(name: str, text: str) -> str:
    if not name.strip():
        raise WrongFormat(f"a column in {text!r} has no name")
    return name.strip()


def _date_pattern(said: str, text: str) -> str:
    seen: list[str] = []
    pattern = ""
    at = 0
    for match in _PART.finditer(said):
        pattern += re.escape(said[at : match.start()])
        at = match.end()
        part = _DATE_PARTS[match[0]]
        digits = rf"\d{{{len(match[0])}}}"
        pattern += f"(?P={part})" if part in seen else f"(?P<{part}>{digits})"
        seen.append(part)
    pattern += re.escape(said[at:])
    if "year" not in seen:
        raise WrongFormat(f"a time in {text!r} needs its year: yyyy, then MM, dd, HH, mm, ss as wanted")
    return pattern
