"""Logging as a scoring script finds it: the ``azmlinfsrv`` loggers, ``print``, and the user's ``logging.json``.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import builtins
import functools
import json
import logging
import logging.config
import os
import sys
from typing import Any

from penstock import errors

logger = logging.getLogger("azmlinfsrv")
"""Where what the server says about a script goes; users' ``logging.json`` files name it."""

_print_logger = logging.getLogger("azmlinfsrv.print")
_plain_print = builtins.print


def configure(code_directory: str, script_directory: str, level: str) -> None:
    """Set the level of ``azmlinfsrv``; apply ``logging.json`` of the code directory, else of the script's.

    With such a file ``print`` goes to the logger ``azmlinfsrv.print``, so that the file governs it too;
    without one, standard output is the log already. Raises `ScriptError` when the file cannot be used.
    """
    try:
        logger.setLevel(level)
    except ValueError as error:
        raise errors.ScriptError(
            f"AZUREML_LOG_LEVEL is {level!r}",
            stage="import",
            hint="Use DEBUG, INFO, WARNING, ERROR or CRITICAL.",
        ) from error
    for directory in (code_directory, os.path.join(code_directory, script_directory)):
        path = os.path.join(directory, "logging.json")
        if os.path.isfile(path):
            _apply(path)
            builtins.print = print_to_logger
            return


def _apply(path: str) -> None:
    try:
        with open(path, encoding="utf-8") as file:
            logging.config.dictConfig(json.load(file))
    except Exception as error:
        # dictConfig raises whatever the named classes raise.
        raise errors.ScriptError(
            f"{path} cannot be used: {error}",
            stage="import",
            hint="It must be JSON that Python's logging.config.dictConfig accepts.",
        ) from error


@functools.wraps(_plain_print)
def print_to_logger(
    *values: Any, sep: Any = " ", end: Any = "\n", file: Any = None, flush: bool = False
) -> None:
    """``print`` whose words become a log record, unless they are meant for another file than stdout."""
    if file is None or file is sys.stdout:
        _print_logger.info((" " if sep is None else sep).join(map(str, values)))
    else:
        _plain_print(*values, sep=sep, end=end, file=file, flush=flush)
