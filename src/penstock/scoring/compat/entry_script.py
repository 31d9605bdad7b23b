"""Stands in for ``azureml_user.parallel_run``, whose ``EntryScript`` gives batch scripts a logger and folders.

The original exists on Azure ML's machines only. Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
import sys
import time
from typing import Any

from penstock.kit import context

LOGS = "PENSTOCK_ENTRY_SCRIPT_LOGS"
"""Variable that names the folder for scripts' own logs; unset: one under the working directory."""

_FORMAT = "%(asctime)s|%(name)s|%(levelname)s|%(process)d|%(thread)d|%(funcName)s()|%(message)s"


class _Single(type):
    """The class has one instance a process."""

    _instances: dict[type, Any] = {}  # noqa: RUF012 - shared on purpose

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls not in cls._instances:
            cls._instances[cls] = super().__call__(*args, **kwargs)
        return cls._instances[cls]


class EntryScript(metaclass=_Single):
    """What a batch script may ask about where it runs; every call gives the same object."""

    def __init__(self, logging_level: Any = None) -> None:
        self.logging_level = logging_level or _level_of(sys.argv)
        self._working_dir = os.getcwd()
        self._logger: logging.Logger | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    @property
    def logger(self) -> logging.Logger:
        """Goes where the worker's log records go, outside a worker to standard error."""
        if self._logger is None:
            self._logger = self._configured()
        return self._logger

    @property
    def agent_name(self) -> str:
        """The worker's name, such as ``process000``."""
        name = multiprocessing.current_process().name
        return f"process{os.getpid()}" if name == "MainProcess" else name

    @property
    def log_dir(self) -> str:
        """This machine's folder for the script's own logs; the script creates it."""
        folder = os.environ.get(LOGS, "") or os.path.join(
            self._working_dir, "logs", "user", "entry_script_log"
        )
        return os.path.join(folder, socket.gethostname())

    @property
    def dir(self) -> str:
        """Folder of the script."""
        return os.path.dirname(os.path.abspath(sys.argv[0]))

    @property
    def working_dir(self) -> str:
        """The working directory at the time of the first call."""
        return self._working_dir

    @property
    def output_dir(self) -> str:
        """Folder for what the script writes itself, shared by all workers; exists."""
        folder = os.environ.get("AZUREML_BI_OUTPUT_PATH", "") or self._working_dir
        os.makedirs(folder, exist_ok=True)
        return folder

    def _configured(self) -> logging.Logger:
        logger = logging.getLogger("azureml_user.parallel_run")
        logger.setLevel(self.logging_level)
        # The script's own logging.basicConfig must neither hide nor double what is logged here.
        logger.propagate = False
        handlers: list[logging.Handler] = [] if context.log_handler else [_ToStandardError()]
        formatter = logging.Formatter(_FORMAT)
        formatter.converter = time.gmtime
        for handler in handlers:
            handler.setFormatter(formatter)
            logger.addHandler(handler)
        if context.log_handler:
            # Unformatted: a record tells its time, level and logger itself.
            logger.addHandler(context.log_handler())
        return logger


class _ToStandardError(logging.StreamHandler):  # type: ignore[type-arg] # not generic in Python 3.8
    """Writes to what is standard error at that moment: it may be redirected later."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """Standard error."""
        return sys.stderr


def _level_of(arguments: list[str]) -> str:
    """The level that stands after ``--logging_level``, or INFO."""
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name == "--logging_level":
            level = (value or "".join(arguments[index + 1 : index + 2])).upper()
            if isinstance(logging.getLevelName(level), int):
                return level
    return "INFO"
