"""Keys of a file that are accepted and mean nothing on one machine, and the one line that names them."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.spec.documents import Document


def notes(document: Document, without_effect: Iterable[str]) -> list[str]:
    """One note that names those of the dotted key paths `without_effect` that `document` says, or none."""
    named = [dotted for dotted in without_effect if _stands(document.data, dotted)]
    return [f"{document.file}: without effect on one machine: {', '.join(named)}"] if named else []


def _stands(data: object, dotted: str) -> bool:
    if not isinstance(data, dict):
        return False
    if dotted in data:
        return data[dotted] is not None
    first, _, rest = dotted.partition(".")
    return bool(rest) and _stands(data.get(first), rest)
