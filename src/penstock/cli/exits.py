"""Exit codes: the one table from errors to what a shell sees."""

from __future__ import annotations

from penstock import errors

OK = 0
BUG = 1
USAGE = 2
START = 3
ENVIRONMENT = 4
JOB = 5
INTERRUPTED = 130

MEANINGS = {
    OK: "served, and stopped in peace; scored",
    BUG: "a bug in Penstock; please report the traceback",
    USAGE: "a command line or a file that cannot be meant",
    START: "model or scoring script cannot start",
    ENVIRONMENT: "the environment cannot be built or found",
    JOB: "a batch job failed, or its input or output cannot be used",
    INTERRUPTED: "interrupted before the server ran; a job stopped, to be resumed",
}


def code_of(error: errors.PenstockError) -> int:
    """The exit code of `error`."""
    if isinstance(error, (errors.UsageError, errors.SpecError)):
        return USAGE
    if isinstance(error, errors.EnvironmentBuildError):
        return ENVIRONMENT
    if isinstance(error, errors.StartError):
        return ENVIRONMENT if error.stage == "environment" else START
    if isinstance(error, (errors.JobError, errors.DataError, errors.OutputError)):
        return JOB
    return BUG
