"""How an error looks on a terminal, or as JSON when the logs are JSON."""

from __future__ import annotations

import itertools
import sys

import click

from penstock import errors
from penstock.kit import complaints


def of_click(error: click.ClickException) -> errors.PenstockError:
    """Click's complaint about a command line, as one of ours."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "penstock"
    return errors.UsageError(error.format_message(), hint=f"{command} --help lists what can be said")


def show(error: errors.PenstockError, arguments: list[str]) -> None:
    """Writes `error` to stderr, in the format that `arguments` ask for; they may be what is wrong, so
    they are only looked at."""
    text = complaints.json_of(error) if _wants_json(arguments) else complaints.text_of(error)
    sys.stderr.write(text)


def _wants_json(arguments: list[str]) -> bool:
    following = dict(itertools.pairwise(arguments))
    return "--log-format=json" in arguments or following.get("--log-format") == "json"
