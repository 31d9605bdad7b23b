"""What a job costs beside scoring: the ledger with many mini-batches, planning with many files."""

from __future__ import annotations

from dataclasses import dataclass

from bench.batch import meter, ours, shape, subjects, workloads
from bench.batch.workloads import Workload

PLANNING_TIMEOUT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class LedgerCost:
    """One job of many mini-batches: seconds of the whole command, and those that its last event counts."""

    workload: str
    mini_batches: int
    wall_s: float
    ledger_s: float
    """Reading and writing the ledger: plan, leases, attempts, outcomes."""
    publish_s: float
    """Putting the staged results in their place."""

    @property
    def share(self) -> float:
        """Percent of the wall time."""
        return 100 * (self.ledger_s + self.publish_s) / self.wall_s


@dataclass(frozen=True, kw_only=True)
class PlanningCost:
    """``penstock score --check`` on a folder of many files."""

    files: int
    wall_s: float
    peak_mb: float


def ledger(workload: Workload) -> LedgerCost:
    """Score `workload`, whose row groups are mini-batches. Raises as `subjects.run` does."""
    run = subjects.run("ours-mini", workload)
    summary = ours.summary(subjects.log_of("ours-mini", workload))
    expected = workload.rows // ours.ROWS_A_MINI_BATCH
    if summary["mini_batches"] != expected:
        raise subjects.WrongAnswerError(f"{summary['mini_batches']} mini-batches, expected {expected}")
    return LedgerCost(
        workload=workload.name,
        mini_batches=summary["mini_batches"],
        wall_s=run.reading.wall_s,
        ledger_s=summary["ledger_s"],
        publish_s=summary["publish_s"],
    )


def planning(files: int) -> PlanningCost:
    """Plan `files` small files and score nothing. Raises CommandError."""
    folder = workloads.many_files(files)
    workloads.warm(folder)
    argv = ours.score(workloads.model("lr"), folder, shape.CACHE / "outputs" / "planned")
    log = shape.CACHE / "logs" / f"planning-{files}.log"
    reading = meter.run([*argv, *ours.PLAN_ONLY], log, timeout_s=PLANNING_TIMEOUT_S, variables=ours.VARIABLES)
    return PlanningCost(files=files, wall_s=reading.wall_s, peak_mb=reading.peak_mb)
