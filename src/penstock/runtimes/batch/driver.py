"""The driver's entry point: what is handed over, the engine's head start, the exit code.

Little is imported here: the engine begins with what takes long (a nursery imports the model's library) before the
driver itself imports what it plans with.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from penstock import errors
from penstock.bundle import jobs
from penstock.bundle import launch as launching
from penstock.bundle.batch import BatchLaunch
from penstock.kit import complaints, processes
from penstock.runtimes.batch import model_folder, stopping
from penstock.runtimes.batch.engines import registry as engines
from penstock.runtimes.batch.ledger import Ledger

OK, BUG, START, JOB, INTERRUPTED = 0, 1, 3, 5, 130
"""Exit codes, as `penstock.cli.exits` has them."""


def run(launch: BatchLaunch, stops: stopping.Stops) -> None:
    """Do the job of `launch`. Raises PenstockError, or `stopping.Stopped`."""
    with contextlib.closing(_opened(launch)) as ledger:
        _work(launch, ledger, stops)


def _opened(launch: BatchLaunch) -> Ledger:
    """The job's folder with its launch in it, and its ledger: nothing in there is touched before the ledger's lock
    says that nobody works on it."""
    try:
        Path(launch.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        ledger = Ledger(launch.folder)
        jobs.write_launch(launch)
    except OSError as error:
        raise errors.JobError(
            f"the job's folder {launch.folder} cannot be used: {error.strerror}",
            hint="PENSTOCK_JOBS names another folder for all jobs",
        ) from error
    return ledger


def _work(launch: BatchLaunch, ledger: Ledger, stops: stopping.Stops) -> None:
    Path(launch.folder, jobs.WORKER).unlink(missing_ok=True)
    model_folder.make(launch)
    try:
        engine = engines.open_engine(
            launch, job_file=str(Path(launch.folder, jobs.WORKER)), variables=worker_variables(launch)
        )
    except OSError as error:
        raise errors.JobError(f"no worker can be started: {error}", hint="see to it, then resume") from error
    try:
        engine.prepare()
        from penstock.runtimes.batch import driving

        driving.Driver(launch, engine, ledger, stops).run()
    finally:
        engine.stop()


def worker_variables(launch: BatchLaunch) -> dict[str, str]:
    """The environment variables of the workers."""
    variables = launching.worker_variables(model_folder.manifest_of(launch), dict(os.environ))
    # Models of ours have one thread a worker, which also lets them be shared by forking; scripts share the
    # processors. From birth: libraries read this when they are first imported.
    cores = processes.usable_processors()
    threads = 1 if launch.manifest.code is None else max(cores // (launch.settings.workers or cores), 1)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        variables.setdefault(name, str(threads))
    return variables


def main(argv: list[str]) -> NoReturn:
    """``driver --launch-fd N``: reads the `BatchLaunch` there, does the job, ends with its exit code."""
    with os.fdopen(int(argv[2]), encoding="utf-8") as file:
        launch = BatchLaunch.from_json(file.read())
    code = OK
    processes.raise_descriptor_limit()  # for each worker has a connection
    stops = stopping.Stops()
    try:
        if launch.check:
            from penstock.runtimes.batch import checking

            checking.check(launch)
        else:
            run(launch, stops)
    except stopping.Stopped:
        is_begun = Path(launch.folder, jobs.LAUNCH).exists()
        resume = f"; nothing is lost. Go on with: penstock score --resume {launch.job}"
        _say(f"stopped{resume if is_begun else ''}\n")
        code = INTERRUPTED
    except errors.PenstockError as error:
        is_json = launch.log_format == "json"
        _say(complaints.json_of(error) if is_json else complaints.text_of(error))
        code = START if isinstance(error, errors.StartError) else JOB
    if stops.count > 1:
        os._exit(code)  # whoever insists does not wait for files that are on their way
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody reads any more (`| head`); the interpreter must not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        sys.stderr.write(text)
        sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv)
