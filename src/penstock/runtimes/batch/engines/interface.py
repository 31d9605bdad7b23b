"""The seam between the driver, which decides, and whatever runs the workers. Driver only.

An engine starts workers and hands messages on; it decides nothing about mini-batches. Events come back in any
order. A worker holds up to two orders, so that it never waits for the driver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.runtimes.batch.messages import Order


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something a worker did, or that happened to it.

    `kind`: ``ready`` (loaded; `content` is its description, ``pid``, ``resident`` bytes and ``is_born_with``: it
    shares them with its siblings), ``at`` (begins a ``phase``; for a call
    the rows from ``start`` to ``stop`` of mini-batch ``number``), ``done`` (the fields of a `messages.Outcome`),
    ``gone`` (it has ended; ``how``), ``log`` (``level`` and ``text`` that it wrote), ``load-failed`` (``failure``:
    ``stage``, ``message``, ``detail``, ``hint``), ``usage`` (``resident`` bytes). `worker` is unique within a job,
    also across replacements.
    """

    kind: str
    worker: str
    content: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Where workers run."""

    def prepare(self) -> None:
        """Begin with what takes long and does not need to know the job yet. Returns at once; `start` or `stop`
        follows."""

    def start(self, workers: int) -> None:
        """Begin to start `workers` workers; from here on the job's file is there. Returns at once."""

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What has happened, waiting up to `timeout_s` when nothing has. After `stop`: what was said last."""

    def order(self, worker: str, order: Order) -> None:
        """Hand `order` to `worker`; one that is gone takes none, and its ``gone`` event says so."""

    def replace(self, worker: str, *, kill: bool) -> None:
        """End `worker`, at once or after what it has begun, and start another in its place."""

    def spare(self, worker: str) -> None:
        """Nothing is left for `worker` to do: its place may be given back."""

    def stop(self) -> None:
        """End all workers, and wait until they are gone; once more changes nothing."""
