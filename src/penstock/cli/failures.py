"""How an error looks on a terminal, or as JSON when the logs are JSON."""

from __future__ import annotations

import itertools
import json
import sys

import click

from penstock import errors


def of_click(error: click.ClickException) -> errors.PenstockError:
    """Click's complaint about a command line, as one of ours."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "penstock"
    return errors.UsageError(error.format_message(), hint=f"{command} --help lists what can be said")


def text_of(error: errors.PenstockError) -> str:
    """``error: ...``, the user's own traceback where there is one, and ``hint: ...``."""
    lines = [_indented("error: ", error.message)]
    detail = error.detail if isinstance(error, errors.StartError) else ""
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
        about.update(stage=error.stage, detail=error.detail)
    return json.dumps(about) + "\n"


def show(error: errors.PenstockError, arguments: list[str]) -> None:
    """Writes `error` to stderr, in the format that `arguments` ask for; they may be what is wrong, so
    they are only looked at."""
    sys.stderr.write(json_of(error) if _wants_json(arguments) else text_of(error))


def _wants_json(arguments: list[str]) -> bool:
    following = dict(itertools.pairwise(arguments))
    return "--log-format=json" in arguments or following.get("--log-format") == "json"


def _indented(label: str, text: str) -> str:
    return label + text.replace("\n", "\n" + " " * len(label))
