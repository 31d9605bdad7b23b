"""What tests of batch jobs begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import batch_jobs, job_places


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[batch_jobs.Jobs]:
    """``penstock score`` in the test's own folder; what is left of it ends with the test."""
    made = batch_jobs.Jobs(tmp_path)
    yield made
    made.close()


@pytest.fixture
def echo(tmp_path: Path) -> tuple[str, ...]:
    """The arguments of a job that runs `job_places.ECHO` on rows."""
    return job_places.echo(tmp_path)
