"""Who is measured: a name, and the command that does the whole job. One entry a subject; a peer is one more."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.batch import meter, ours, shape
from bench.batch.workloads import CONTESTANTS, TIMEOUT_S, Workload
from bench.realtime import peers, place

YARDSTICK = "bare"


class WrongAnswerError(Exception):
    """A command that ended well, and wrote something else than what the model says."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One whole command: what it took, and how far its probabilities are from the reference."""

    rows: int
    reading: meter.Reading
    largest_difference: float
    working_s: float | None = None
    """The part of `reading.wall_s` in which workers were ready, as the command says; None: it was not asked."""

    @property
    def rows_per_s(self) -> float:
        """Rows of the job over the seconds of the whole command."""
        return self.rows / self.reading.wall_s


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A way to score a folder. `argv` gets the workload and the output folder, which does not exist yet."""

    name: str
    title: str
    argv: Callable[[Workload, Path], list[str]]
    variables: dict[str, str] = field(default_factory=dict)
    working_s: Callable[[Path], float | None] = lambda log: None
    """Reads that off the command's log; raises LookupError."""
    missing: Callable[[], str] = lambda: ""
    """Why it cannot run on this machine; empty where it can."""


def _script(environment: str, script: str) -> Callable[[Workload, Path], list[str]]:
    def argv(workload: Workload, output: Path) -> list[str]:
        python = str(peers.python(environment)) if environment else sys.executable
        return [
            python,
            str(CONTESTANTS / script),
            str(workload.model),
            str(workload.folder),
            str(output),
        ]

    return argv


def _no_java() -> str:
    return "" if shutil.which("java") else "Spark needs Java (apt-get install openjdk-17-jre-headless)"


def _no_ray() -> str:
    return "" if importlib.util.find_spec("ray") else "Ray is not installed beside Penstock"


RACING = ("bare", "ours", "joblib", "dask", "ray-data", "spark")
"""Who stands in the table of rows a second."""

SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(name=YARDSTICK, title="bare loop, pyarrow, two processes", argv=_script("", "bare.py")),
        Subject(name="ours", title="Penstock", argv=ours.argv, variables=ours.VARIABLES),
        Subject(name="joblib", title="joblib and pandas by hand", argv=_script("", "joblib_pandas.py")),
        Subject(name="dask", title="Dask, `map_partitions`", argv=_script("dask", "dask_frame.py")),
        Subject(
            name="ray-data",
            title="Ray Data, `map_batches`",
            argv=_script("ray_data", "ray_data.py"),
            # Patience with a busy machine; without it a slow start is a failure.
            variables={"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"},
        ),
        Subject(
            name="spark",
            title="PySpark, `mapInPandas`",
            argv=_script("pyspark", "spark.py"),
            missing=_no_java,
        ),
        Subject(
            name="ours-local",
            title="Penstock, `--engine local`",
            argv=ours.on_local,
            variables=ours.VARIABLES,
            working_s=ours.working_s,
        ),
        Subject(
            name="ours-ray",
            title="Penstock, `--engine ray`",
            argv=ours.on_ray,
            variables=ours.VARIABLES,
            working_s=ours.working_s,
            missing=_no_ray,
        ),
        Subject(
            name="ours-mini",
            title="Penstock, mini-batches of 1,000 rows",
            argv=ours.in_mini_batches,
            variables=ours.VARIABLES,
        ),
    )
}


def run(name: str, workload: Workload) -> Run:
    """The whole command of `name`, its output verified and removed. Raises CommandError, WrongAnswerError, and
    LookupError for a log that does not say what it should."""
    subject = SUBJECTS[name]
    output = shape.CACHE / "outputs" / name
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    log = log_of(name, workload)
    try:
        reading = meter.run(
            subject.argv(workload, output), log, timeout_s=TIMEOUT_S, variables=subject.variables
        )
        check = [sys.executable, "-m", "bench.batch.verify", "check", str(output), str(workload.reference)]
        found = subprocess.run(
            check, cwd=place.ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    finally:
        shutil.rmtree(output, ignore_errors=True)
        shutil.rmtree(ours.JOBS, ignore_errors=True)
    if found.returncode:
        raise WrongAnswerError(f"{name}, {workload}: {found.stderr.strip()}")
    return Run(
        rows=workload.rows,
        reading=reading,
        largest_difference=float(json.loads(found.stdout)["largest_difference"]),
        working_s=subject.working_s(log),
    )


def log_of(name: str, workload: Workload) -> Path:
    """Where the output of the last run of `name` is."""
    return shape.CACHE / "logs" / f"{name}-{workload.name}-{workload.rows}.log"
