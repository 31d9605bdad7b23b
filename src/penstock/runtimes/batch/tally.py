"""What has come of a job so far, and whether it is lost. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.bundle.batch import BatchSettings
from penstock.runtimes.batch.messages import Outcome


@dataclass
class Tally:
    """Counts over all outcomes. Items are rows, or files where files are handed over."""

    mini_batches: int = 0
    failed_mini_batches: int = 0
    items: int = 0
    failed: int = 0
    successes: int = 0
    rows: int = 0
    size: int = 0
    """Input bytes of what is done."""
    reading_s: float = 0.0
    scoring_s: float = 0.0
    writing_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    error: str = ""
    traceback: str = ""
    where: str = ""
    per_worker: dict[str, int] = field(default_factory=dict)
    """Items by worker."""

    def add(self, outcome: Outcome, *, size: int, worker: str = "") -> None:
        """Count a committed outcome. The first failure that is told keeps its place: what came later may be
        its consequence."""
        self.mini_batches += 1
        self.items += outcome.items
        self.failed += outcome.failed
        self.successes += outcome.successes
        self.rows += outcome.rows
        self.size += size
        self.reading_s += outcome.reading_s
        self.scoring_s += outcome.scoring_s
        self.writing_s += outcome.writing_s
        self.cpu_s += outcome.cpu_s
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        if outcome.failed and outcome.failed >= outcome.items:
            self.failed_mini_batches += 1
        if outcome.error and (not self.error or (outcome.traceback and not self.traceback)):
            self.error, self.traceback = outcome.error, outcome.traceback
            self.where = f"mini-batch {outcome.number}"
        if worker:
            self.per_worker[worker] = self.per_worker.get(worker, 0) + outcome.items

    def failures_allowed(self, settings: BatchSettings) -> int:
        """How many more items may fail; -1: any number."""
        return -1 if settings.error_threshold < 0 else max(settings.error_threshold - self.failed, 0)

    def verdict(self, settings: BatchSettings, planned: int) -> str:
        """Why the job is lost, of `planned` mini-batches; empty while it is not."""
        if 0 <= settings.error_threshold < self.failed:
            what = settings.noun if self.failed > 1 else settings.noun[:-1]
            return f"{self.failed} {what} failed, and error_threshold allows {settings.error_threshold}"
        if 0 <= settings.mini_batch_error_threshold < self.failed_mini_batches:
            return (
                f"{self.failed_mini_batches} mini-batches failed, and mini_batch_error_threshold allows "
                f"{settings.mini_batch_error_threshold}"
            )
        if self.failed_mini_batches > planned * settings.allowed_failed_percent / 100:
            return (
                f"{self.failed_mini_batches} of {planned} mini-batches failed, and allowed_failed_percent allows "
                f"{settings.allowed_failed_percent:g} %"
            )
        is_over = self.mini_batches >= planned > 0
        if settings.fail_if_none_succeeded and is_over and self.failed and not self.successes:
            return "No succeeded mini batch: every one of them failed"
        return ""
