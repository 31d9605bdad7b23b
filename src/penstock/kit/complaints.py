"""How an error looks: to people, and as JSON. For every surface that shows one. Runs in workers: Python 3.8."""

from __future__ import annotations

import json

from penstock import errors


def text_of(error: errors.PenstockError) -> str:
    """``error: ...``, the user's own traceback where there is one, and ``hint: ...``."""
    lines = [_indented("error: ", error.message)]
    detail = str(getattr(error, "detail", ""))
    if detail:
        lines.append("\n" + detail.rstrip() + "\n")
    if error.hint:
        lines.append(_indented("hint:  ", error.hint))
    return "\n".join(lines) + "\n"


def json_of(error: errors.PenstockError) -> str:
    """One line of JSON: level, kind, message, hint, and where it was (file, line, key or stage)."""
    about: dict[str, object] = {
        "level": "error",
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
    }
    if isinstance(error, errors.SpecError):
        about.update(file=error.file, line=error.line, key=error.key)
    if isinstance(error, errors.StartError):
        about.update(stage=error.stage)
    if getattr(error, "detail", ""):
        about.update(detail=str(getattr(error, "detail", "")))
    return json.dumps(about) + "\n"


def _indented(label: str, text: str) -> str:
    return label + text.replace("\n", "\n" + " " * len(label))
