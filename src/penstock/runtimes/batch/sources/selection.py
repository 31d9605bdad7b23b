"""Which of the files below a location are its input, and what their folders say about them. Pure: the same rules
for a disk and for an object store, so that the same data give the same plan wherever they lie.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

from penstock.errors import DataError
from penstock.runtimes.batch.sources.interface import Reading

_MAGIC = re.compile(r"[*?[]")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is bookkeeping and no data: ``.crc``, ``_SUCCESS``, ``_temporary``.
    A partition folder is data whatever its column is called."""
    return name.startswith((".", "_")) and not (name.startswith("_") and "=" in name)


def partitions(folders: Iterable[str]) -> Mapping[str, str | None]:
    """The columns that the names of `folders` hold, as Hive and Spark write them: ``year=2024``,
    percent-escaped; None for a missing value."""
    found: dict[str, str | None] = {}
    for folder in folders:
        name, equals, value = folder.partition("=")
        if equals and name:
            text = unquote(value)
            found[unquote(name)] = None if text == _NO_VALUE else text
    return found


def format_for(name: str, shown: str, reading: Reading) -> str:
    """The format of the file called `name`. Raises DataError, with the file as `shown`, where there is none."""
    if reading.by_path or reading.format == "files":
        return "files"
    found = reading.format or reading.of_name(name)
    if not found:
        raise DataError(
            f"{shown}: the name does not say what the file holds",
            hint="say it for all of the input (--input-format csv, parquet, jsonl, arrow), or leave such files out "
            "with a pattern (--input 'folder/**/*.csv'); --input-format files hands any file to a script by path",
        )
    return found


def near(missing: str, names: Sequence[str], where: str) -> str:
    """A hint for who asked for `missing`, from the `names` that there are in `where`."""
    close = difflib.get_close_matches(missing, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}? (in {where})"
    if not names:
        return f"{where} is empty"
    return f"in {where} there is {', '.join(names[:6])}{' and more' if len(names) > 6 else ''}"


def is_pattern(text: str) -> bool:
    """Whether `text` has one of ``*?[``."""
    return _MAGIC.search(text) is not None


def split_pattern(text: str) -> tuple[str, Pattern]:
    """The folder above the first wildcard in `text`, a path with ``/``, and the pattern below that folder."""
    parts = text.split("/")
    first = next(index for index, part in enumerate(parts) if is_pattern(part))
    return "/".join(parts[:first]), Pattern(parts[first:])


def literal_start(text: str) -> str:
    """The part of the pattern `text` before its first wildcard."""
    found = _MAGIC.search(text)
    return text[: found.start()] if found else text


class Pattern:
    """A glob, matched name by name from the top, so that folders which cannot match are never opened.

    ``*``, ``?`` and ``[...]`` stay within a name, ``**`` stands for any folders, also none. Where a folder
    matches, all that is in it does. Names that are hidden match only what begins with the same character.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        kept = [part for part in parts if part]
        if kept and kept[-1] == "**":
            kept.append("*")
        self._parts = kept

    def start(self) -> frozenset[int]:
        """The state in which the folder of the pattern is entered."""
        return self._closure({0})

    def step(self, state: frozenset[int], name: str) -> frozenset[int]:
        """The state below, or at, the entry `name` of a folder in `state`; empty: no match here or below."""
        end = len(self._parts)
        if end in state:
            return frozenset() if is_hidden(name) else frozenset({end})
        reached = set()
        for index in state:
            part = self._parts[index]
            if part == "**":
                if not is_hidden(name):
                    reached.add(index)
            elif (not is_hidden(name) or part[0] == name[0]) and _compiled(part).match(name):
                reached.add(index + 1)
        return self._closure(reached)

    def matches(self, state: frozenset[int]) -> bool:
        """Whether what was reached in `state` is matched by the whole pattern."""
        return len(self._parts) in state

    def match(self, names: Sequence[str]) -> bool:
        """Whether the path `names` (folders, then a file) is matched."""
        state = self.start()
        for name in names:
            state = self.step(state, name)
        return self.matches(state)

    def _closure(self, state: set[int]) -> frozenset[int]:
        found = set(state)
        for index in state:
            while index < len(self._parts) and self._parts[index] == "**":
                index += 1
                found.add(index)
        return frozenset(found)


@functools.lru_cache(maxsize=256)
def _compiled(part: str) -> re.Pattern[str]:
    """One name's pattern; a bracket that does not close is itself."""
    out = []
    at = 0
    while at < len(part):
        letter = part[at]
        at += 1
        if letter == "*":
            out.append(".*")
        elif letter == "?":
            out.append(".")
        elif letter == "[" and (close := part.find("]", at + 1 + (part[at : at + 1] in ("!", "^")))) != -1:
            inside = part[at:close]
            at = close + 1
            negated = inside[:1] in ("!", "^")
            # Whatever re.compile would read into a set is escaped, but for the dash of a range.
            safe = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside[negated:])
            out.append(f"[{'^' if negated else ''}{safe}]")
        else:
            out.append(re.escape(letter))
    try:
        return re.compile("".join(out) + r"\Z", re.DOTALL)
    except re.error as error:
        raise DataError(f"the pattern {part!r} cannot be meant: {error.msg}") from error
