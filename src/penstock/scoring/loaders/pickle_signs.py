"""What a pickle holds, read from its opcodes; nothing is unpickled.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import io
import pickletools
import re
from typing import Iterator

_FIRST_OPCODES = {"MARK", "GLOBAL", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "INST"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_STRINGS = {
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
}
# Classes in which pickle protocols 0 and 1 wrap the object that matters.
_WRAPPERS = {"copy_reg", "copyreg", "builtins", "__builtin__"}


def is_pickle(head: bytes, *, whole: bool) -> bool:
    """Whether `head` begins a pickle of any protocol. `whole`: it is the complete file."""
    if len(head) > 1 and head[0] == 0x80:
        return head[1] <= 5
    seen = 0
    try:
        for opcode, argument, _ in pickletools.genops(head):
            if seen == 0 and opcode.name not in _FIRST_OPCODES:
                return False
            if opcode.name in ("GLOBAL", "INST") and not all(map(_NAME.match, str(argument).split(" "))):
                return False
            seen += 1
            if opcode.name == "STOP":
                return seen > 1
    except Exception:  # noqa: BLE001 - genops raises ValueError, UnicodeDecodeError, KeyError on what is no pickle
        # What ends in the middle of an opcode is a pickle as far as we read it.
        return not whole and seen > 8
    return False


def classes(head: bytes, limit: int = 200) -> list[tuple[str, str]]:
    """``(module, class)`` in order of appearance, each once, as far as `head` reaches and up to `limit`."""
    found: list[tuple[str, str]] = []
    seen: set[tuple[str, str]] = set()
    for pair in _globals(head):
        if pair not in seen:
            seen.add(pair)
            found.append(pair)
            if len(found) >= limit:
                break
    return found


def top_class(head: bytes) -> tuple[str, str] | None:
    """The class of the pickled object itself; None when it is a plain dict, list or the like."""
    for opcode, _, _ in _operations(head):
        if opcode in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "DICT", "LIST"):
            return None
        if opcode in ("GLOBAL", "STACK_GLOBAL", "INST"):
            break
    for module, name in classes(head):
        if module not in _WRAPPERS:
            return module, name
    return None


def _globals(head: bytes) -> Iterator[tuple[str, str]]:
    strings: list[str] = []
    for opcode, argument, memoized in _operations(head):
        if opcode in _STRINGS:
            strings.append(str(argument))
        elif opcode in ("BINGET", "LONG_BINGET", "GET") and isinstance(memoized, str):
            strings.append(memoized)
        elif opcode in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            yield module, name
        elif opcode == "STACK_GLOBAL" and len(strings) > 1:
            yield strings[-2], strings[-1]


def _operations(head: bytes) -> Iterator[tuple[str, object, object]]:
    """``(opcode, argument, what a GET fetches if it is a string)``, ending quietly where `head` ends."""
    memo: list[object] = []
    memo_by_key: dict[object, object] = {}
    last: object = None
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(head)):
            name = opcode.name
            fetched = None
            if name == "MEMOIZE":
                memo.append(last)
            elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
                memo_by_key[argument] = last
            elif name in ("BINGET", "LONG_BINGET", "GET"):
                fetched = memo_by_key.get(argument)
                if fetched is None and isinstance(argument, int) and argument < len(memo):
                    fetched = memo[argument]
            yield name, argument, fetched
            if name not in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "FRAME"):
                last = argument if name in _STRINGS else None
    except Exception:  # noqa: BLE001 - `head` ends somewhere, and joblib puts raw arrays between the opcodes
        return
