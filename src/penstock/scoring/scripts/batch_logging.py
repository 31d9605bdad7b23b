"""Logging as a batch scoring script finds it: at the level of the deployment, to standard error, unconfigured.

No handler is installed, so that a script's own ``logging.basicConfig`` still does something. Runs in workers:
Python 3.8, standard library.
"""

from __future__ import annotations

import logging
import time

from penstock import errors

_FORMAT = "%(asctime)s|%(name)s|%(levelname)s|%(process)d|%(message)s"


def configure(level: str) -> None:
    """Let records of `level` and above through (any case). Raises `ScriptError` for a level that is none."""
    number = logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise errors.ScriptError(
            f"logging_level is {level!r}", stage="import", hint="Use debug, info, warning or error."
        )
    logging.getLogger().setLevel(number)
    fallback = logging.lastResort
    if fallback is not None:
        fallback.setLevel(number)
        fallback.setFormatter(formatter())


def formatter() -> logging.Formatter:
    """Lines like those of Azure ML's own log: time in UTC, logger, level, process, message."""
    made = logging.Formatter(_FORMAT)
    made.converter = time.gmtime
    return made
