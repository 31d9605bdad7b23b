"""One value against one dtype: what is expected, what was found, in words for the person who sent it.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import difflib
import json
import math
from typing import Any, Iterable, Sequence

from penstock import errors
from penstock.scoring.interface import Field

_LONGEST_SHOWN = 60
_MOST_NAMES = 8

_NONE = type(None)

PLAIN: dict[str, frozenset[type]] = {
    "float": frozenset({int, float, bool, _NONE}),
    "int": frozenset({int}),
    "bool": frozenset({bool}),
    "str": frozenset({str, _NONE}),
}
"""By kind, the types whose every value converts without a look at it. ``true`` is 1 among floats: columns of
dummies (``pandas.get_dummies``) are booleans, models are fitted on them as floats, and clients send what their
DataFrame holds. Among integers, which only a written signature asks for, it is a mistake."""

_EXPECTED = {
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "a string",
    "bytes": "a string of base64",
    "datetime": "a date or date-time in ISO 8601",
}

_RANGES: dict[str, tuple[int, int]] = {}
for _bits in (8, 16, 32, 64):
    _RANGES[f"int{_bits}"] = (-(2 ** (_bits - 1)), 2 ** (_bits - 1) - 1)
    _RANGES[f"uint{_bits}"] = (0, 2**_bits - 1)

_LARGEST = {"float16": 65504.0, "float32": 3.4028234663852886e38}


def kind_of(dtype: str) -> str:
    """``float``, ``int``, ``bool``, ``str``, ``bytes``, ``datetime``, ``category``, or ``object`` for all
    that is not checked."""
    if dtype.startswith("float"):
        return "float"
    if dtype.startswith(("int", "uint")):
        return "int"
    if dtype.startswith("datetime"):
        return "datetime"
    return dtype if dtype in ("bool", "str", "bytes", "category") else "object"


def expected(field: Field) -> str:
    """What `field` takes, in words."""
    kind = kind_of(field.dtype)
    if kind == "category":
        return f"one of {listed(field.categories or ())}"
    words = _EXPECTED.get(kind, "any value")
    return words if kind in ("bool", "str") else f"{words} ({field.dtype})"


def problem(value: Any, field: Field) -> str:
    """Why `value` is not one of `field`, as ``expected ..., found ...``; empty when it is one."""
    kind = kind_of(field.dtype)
    if kind == "object" or (value is None and kind in ("float", "str", "datetime", "category")):
        return ""
    reason = _reason(value, kind, field)
    if reason is None:
        return ""
    return f"expected {expected(field)}, found {shown(value)}{reason}"


def _reason(value: Any, kind: str, field: Field) -> str | None:
    """None when `value` will do; else what to add to the message, mostly nothing."""
    if kind == "category":
        known = field.categories or ()
        if any(type(value) is type(each) and value == each for each in known):
            return None
        return _did_you_mean(value, [each for each in known if isinstance(each, str)])
    if kind in ("float", "int"):
        return _number_reason(value, kind, field.dtype)
    if kind == "datetime":
        return None if isinstance(value, str) and is_datetime(value) else ""
    if kind == "bytes":
        return None if isinstance(value, bytes) or (isinstance(value, str) and is_base64(value)) else ""
    return None if type(value) in PLAIN[kind] else ""


def _number_reason(value: Any, kind: str, dtype: str) -> str | None:
    if isinstance(value, bool):
        return None if kind == "float" else " (send 1 or 0)"
    if isinstance(value, str):
        return " (send the number without quotes)" if _is_number(value) else ""
    if not isinstance(value, (int, float)):
        return ""
    if kind == "int":
        if isinstance(value, float) and not value.is_integer():
            return ""
        low, high = _RANGES.get(dtype, _RANGES["int64"])
        return None if low <= value <= high else ", which is out of its range"
    try:
        size = abs(float(value))
    except OverflowError:
        return ", which is out of its range"
    is_too_large = math.isfinite(size) and size > _LARGEST.get(dtype, size)
    return ", which is out of its range" if is_too_large else None


def is_datetime(text: str) -> bool:
    """Whether `text` is an ISO 8601 date or date-time."""
    return parse_datetime(text) is not None


def parse_datetime(text: str) -> str | None:
    """`text` as NumPy's ``datetime64`` reads it, in UTC where it names an offset; None if it is no ISO 8601
    date or date-time. (Before Python 3.11 ``fromisoformat`` knows no ``Z`` and few fractions.)"""
    cleaned = text.strip().replace(" ", "T", 1)
    if cleaned.endswith(("Z", "z")):
        cleaned = cleaned[:-1] + "+00:00"
    head, dot, tail = cleaned.partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    fraction, rest = tail[:digits], tail[digits:]
    try:
        moment = dt.datetime.fromisoformat(head + rest)
    except ValueError:
        return None
    if dot and not fraction:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return moment.isoformat() + ("." + fraction[:9] if fraction else "")


def is_base64(text: str) -> bool:
    """Whether `text` is base64."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(value: Any) -> str:
    """`value` as JSON says it, short enough for a message."""
    if isinstance(value, str):
        return "the string " + _cut(json.dumps(value, ensure_ascii=False))
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object with the keys {listed(list(value))}" if value else "an empty object"
    if value is None or isinstance(value, (bool, int, float)):
        try:
            return _cut(json.dumps(value))
        except ValueError:  # an integer of more digits than Python prints
            return "an integer of very many digits"
    return _cut(f"{value!r}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def listed(names: Sequence[Any], *, most: int = _MOST_NAMES) -> str:
    """``'a', 'b' and 3 more``."""
    text = ", ".join(_cut(repr(name)) for name in names[:most])
    return text + f" and {len(names) - most} more" if len(names) > most else text


def _did_you_mean(value: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(value, known, n=1) if isinstance(value, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""


def names_mismatch(found: Iterable[Any], fields: Sequence[Field], *, what: str, where: str = "") -> None:
    """Raise SchemaMismatch when `found` lacks a required name of `fields` or has one that is not there.

    All missing and all unexpected names are told at once, an unexpected one with its nearest. `what` is
    ``column`` or ``tensor``; `where` opens the message (``row 3: ``).
    """
    present = list(dict.fromkeys(found))
    known = [field.name for field in fields]
    missing = [field.name for field in fields if field.required and field.name not in present]
    strange = [name for name in present if name not in known]
    if not missing and not strange:
        return
    parts = []
    if missing:
        # All of them: this list is what the caller has to fix.
        parts.append(f"missing {what}{_plural(missing)}: {listed(missing, most=100)}")
    if strange:
        told = [repr(name) + _did_you_mean(name, known) for name in strange[:_MOST_NAMES]]
        more = f" and {len(strange) - _MOST_NAMES} more" if len(strange) > _MOST_NAMES else ""
        parts.append("unexpected {}{}: {}{}".format(what, _plural(strange), ", ".join(told), more))
    parts.append(f"expected {listed(known, most=40)}")
    raise errors.SchemaMismatch(where + "; ".join(parts), field=str((missing or strange)[0]))


def _plural(names: Sequence[Any]) -> str:
    return "" if len(names) == 1 else "s"
