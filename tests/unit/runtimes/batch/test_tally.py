"""What of a job counts as failed, and when it is lost."""

from __future__ import annotations

import pytest

from penstock.bundle.batch import BatchSettings
from penstock.runtimes.batch.messages import Outcome
from penstock.runtimes.batch.tally import Tally


def tally_of(*outcomes: tuple[int, int]) -> Tally:
    """Of ``(items, failed)``."""
    tally = Tally()
    for number, (items, failed) in enumerate(outcomes):
        tally.add(
            Outcome(number=number, attempt=1, items=items, failed=failed, successes=items - failed), size=1
        )
    return tally


@pytest.mark.parametrize(
    ("said", "outcomes", "planned", "lost"),
    [
        ({}, [(5, 0)], 9, False),
        ({}, [(5, 1)], 9, True),
        ({"error_threshold": 3}, [(5, 2), (5, 1)], 9, False),
        ({"error_threshold": 3}, [(5, 2), (5, 2)], 9, True),
        ({"error_threshold": -1}, [(5, 5), (5, 5)], 2, False),
        ({"error_threshold": -1, "mini_batch_error_threshold": 1}, [(5, 5), (5, 4)], 2, False),
        ({"error_threshold": -1, "mini_batch_error_threshold": 1}, [(5, 5), (5, 5)], 2, True),
        ({"error_threshold": -1, "allowed_failed_percent": 50.0}, [(5, 5)], 2, False),
        ({"error_threshold": -1, "allowed_failed_percent": 50.0}, [(5, 5), (5, 5)], 3, True),
        ({"error_threshold": -1, "allowed_failed_percent": 0.0}, [(5, 5)], 1000, True),
        ({"error_threshold": -1, "fail_if_none_succeeded": True}, [(5, 5)], 2, False),
        ({"error_threshold": -1, "fail_if_none_succeeded": True}, [(5, 5), (5, 5)], 2, True),
        ({"error_threshold": -1, "fail_if_none_succeeded": True}, [(5, 5), (5, 4)], 2, False),
        ({"fail_if_none_succeeded": True}, [], 0, False),
    ],
)
def test_when_a_job_is_lost(
    said: dict[str, object], outcomes: list[tuple[int, int]], planned: int, lost: bool
) -> None:
    settings = BatchSettings(**said)  # type: ignore[arg-type]
    assert bool(tally_of(*outcomes).verdict(settings, planned)) == lost


def test_what_may_still_fail_never_outlives_what_has_failed() -> None:
    """A worker that stops early because no more may fail has seen enough for the job to be lost."""
    settings = BatchSettings(error_threshold=10)
    for failed in range(15):
        tally = tally_of((20, failed))
        allowed = tally.failures_allowed(settings)
        assert allowed >= 0
        tally.add(Outcome(number=1, attempt=1, items=allowed + 1, failed=allowed + 1), size=1)
        assert tally.verdict(settings, 100)
    assert tally_of((20, 20)).failures_allowed(BatchSettings(error_threshold=-1)) == -1


def test_the_first_traceback_keeps_its_place() -> None:
    tally = Tally()
    for number, (error, traceback) in enumerate([("", ""), ("lost", ""), ("bad", "tb 1"), ("worse", "tb 2")]):
        tally.add(
            Outcome(number=number, attempt=1, items=1, failed=1, error=error, traceback=traceback), size=1
        )
    assert (tally.error, tally.traceback, tally.where) == ("bad", "tb 1", "mini-batch 2")
