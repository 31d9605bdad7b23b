"""The seam between the driver, which decides, and whatever runs the workers. Driver only.

An engine starts workers and hands messages on; it decides nothing about mini-batches. Events come back in any
order. A worker holds up to two orders, so that it never waits for the driver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something a worker did, or that happened to it.

    `kind`: ``ready`` (loaded; `content` is its description), ``at`` (begins a call: rows ``start``, ``stop`` of
    mini-batch ``number``, or a phase), ``done`` (a mini-batch's outcome), ``gone`` (it died; ``how``), ``log``
    (a line it wrote), ``load-failed`` (``failure``), ``usage`` (CPU seconds, resident bytes). `worker` is
    unique within a job, also across replacements.
    """

    kind: str
    worker: str
    content: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Where workers run."""

    def start(self, workers: int) -> None:
        """Begin to start `workers` workers. Returns at once."""

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has happened, waiting up to `timeout_s` when nothing has."""

    def order(self, worker: str, order: Mapping[str, Any]) -> None:
        """Hand `order` (a message of `penstock.runtimes.batch.messages`) to `worker`; one that is gone takes none,
        and its ``gone`` event says so."""

    def replace(self, worker: str, *, kill: bool) -> None:
        """End `worker`, at once or after what it has begun, and start another in its place."""

    def stop(self) -> None:
        """End all workers, and wait until they are gone."""
