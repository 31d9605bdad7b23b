"""What crosses between the driver and the process that holds Ray: frames over a socket pair.

Driver to bridge: ``BEGIN`` (the engine's order and the number of workers), ``ORDER``, ``REPLACE`` (``[worker,
kill]``), ``SPARE`` (a worker), ``END``. Bridge to driver: ``EVENTS`` (a list of ``[kind, worker, content]``),
``FAILED`` (``message``, ``detail``, ``hint``: the job cannot go on). Closing the socket ends both.
"""

from __future__ import annotations

from penstock.kit import frames
from penstock.runtimes.batch.messages import Order

BEGIN, ORDER, REPLACE, SPARE, END = 1, 2, 3, 4, 5
EVENTS, FAILED = 11, 12


def addressed(worker: str, order: Order) -> bytes:
    """The payload of ``ORDER``: the worker's name, a line's end, the order as the worker will read it."""
    return worker.encode() + b"\n" + order.to_frame()[frames.PREFIX.size :]


def opened(payload: bytes) -> tuple[str, bytes]:
    """The reverse: the worker, and what `Order.from_payload` reads."""
    worker, _, order = payload.partition(b"\n")
    return worker.decode(), order
