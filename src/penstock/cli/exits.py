"""Exit codes: the one table from errors to what a shell sees."""

from __future__ import annotations

from penstock import errors

OK = 0
BUG = 1
USAGE = 2
START = 3
ENVIRONMENT = 4
INTERRUPTED = 130

MEANINGS = {
    OK: "served, and stopped in peace",
    BUG: "a bug in Penstock; please report the traceback",
    USAGE: "a command line or a file that cannot be meant",
    START: "model or scoring script cannot start",
    ENVIRONMENT: "the environment cannot be built or found",
    INTERRUPTED: "interrupted before the server ran",
}


def code_of(error: errors.PenstockError) -> int:
    """The exit code of `error`."""
    if isinstance(error, (errors.UsageError, errors.SpecError)):
        return USAGE
    if isinstance(error, errors.EnvironmentBuildError):
        return ENVIRONMENT
    if isinstance(error, errors.StartError):
        return ENVIRONMENT if error.stage == "environment" else START
    return BUG
