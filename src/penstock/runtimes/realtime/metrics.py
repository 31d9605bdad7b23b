"""The gateway's counts, and the page that Prometheus reads them from.

Every request passes here, so counting is plain arithmetic on lists: no locks (one thread counts), no label
lookups, no metric objects. What can be read when somebody asks (queue length, connections, workers) is not
counted at all: it comes as an `Observed` with the scrape. `prometheus_client` turns both into text; it is
imported at the first scrape, which takes it some 50 ms: let a thread do `Metrics.page`.

All workers report through the one gateway, so the numbers are right with any number of workers. They start
from zero when the gateway is replaced, as Prometheus expects of counters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import penstock

if TYPE_CHECKING:
    from prometheus_client.metrics_core import HistogramMetricFamily, Metric

SECONDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
"""Upper bounds of the time histograms, in seconds: one row costs some 100 microseconds, a deadline is at most
five minutes."""

REQUESTS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Upper bounds of the batch size histogram, in requests."""

ROUTES: Final = ("score", "infer", "inference_metadata", "health", "schema", "docs", "metrics", "other")
"""Values of the `route` label. Paths themselves are no labels: callers choose them, without end."""


class Histogram:
    """Counts by upper bound. A value equal to a bound belongs to it, as Prometheus has it."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one `value`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """``(upper bound, values up to it)``, the last one ``+Inf`` with all of them."""
        names = [repr(bound) for bound in self.bounds] + ["+Inf"]
        return list(zip(names, accumulate(self.counts), strict=True))


class Route:
    """The counts of one route. Keep it in the handler: then a request costs one call.

    `durations` are in seconds, from the last byte of a request to its answer; `waits` in seconds spent in
    the queue, for requests that reached a worker.
    """

    __slots__ = ("bytes_in", "bytes_out", "codes", "durations", "name", "waits")

    def __init__(self, name: str, waits: Histogram) -> None:
        self.name = name
        self.codes: dict[int, int] = {}
        self.durations = Histogram(SECONDS)
        self.waits = waits
        self.bytes_in = 0
        self.bytes_out = 0

    def answered(self, status: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
        """A request that no worker saw was answered with `status`, refusals included. Bytes are of bodies."""
        codes = self.codes
        codes[status] = codes.get(status, 0) + 1
        durations = self.durations
        durations.counts[bisect_left(SECONDS, seconds)] += 1
        durations.total += seconds
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out

    def scored(self, status: int, seconds: float, waited: float, bytes_in: int, bytes_out: int) -> None:
        """A request that waited `waited` of its `seconds` for a worker was answered with `status`."""
        # The same as `answered` and `waits.observe`, written out: a call costs as much as what it does.
        codes = self.codes
        codes[status] = codes.get(status, 0) + 1
        durations = self.durations
        durations.counts[bisect_left(SECONDS, seconds)] += 1
        durations.total += seconds
        waits = self.waits
        waits.counts[bisect_left(SECONDS, waited)] += 1
        waits.total += waited
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What is true at the moment of a scrape.

    `in_flight`: requests accepted and not answered, the waiting ones included. `queue_length`: those that
    wait for a worker. `workers`: processes by state (``loading``, ``serving``, ``worn``, ``retiring``).
    `restarts`: workers that ended since the start and were replaced, by reason. `resident_memory_bytes`: by
    worker, under whatever name the log gives it.
    """

    in_flight: int = 0
    queue_length: int = 0
    connections_open: int = 0
    workers: Mapping[str, int] = field(default_factory=dict)
    restarts: Mapping[str, int] = field(default_factory=dict)
    resident_memory_bytes: Mapping[str, int] = field(default_factory=dict)


class Metrics:
    """All counts of one deployment's gateway. Routes are attributes: ``metrics.score.scored(...)``."""

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment
        self.waits = Histogram(SECONDS)
        self.batches = Histogram(REQUESTS)
        self.score, self.infer, self.inference_metadata, self.health = self._routes(ROUTES[:4])
        self.schema, self.docs, self.metrics, self.other = self._routes(ROUTES[4:])
        self.routes = (
            self.score,
            self.infer,
            self.inference_metadata,
            self.health,
            self.schema,
            self.docs,
            self.metrics,
            self.other,
        )

    def _routes(self, names: Iterable[str]) -> list[Route]:
        return [Route(name, self.waits) for name in names]

    def batched(self, size: int) -> None:
        """`size` requests went to a worker together."""
        self.batches.observe(size)

    def page(self, observed: Observed, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type: Prometheus text, or OpenMetrics where `accept` asks for it."""
        from prometheus_client import CollectorRegistry, ProcessCollector, exposition

        # Nothing is described ahead: one registry lives for one page.
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Collector(self, observed))
        encode, content_type = exposition.choose_encoder(accept)
        return encode(registry), content_type


class _Collector:
    """Hands counts to `prometheus_client` as metric families."""

    def __init__(self, metrics: Metrics, observed: Observed) -> None:
        self._metrics = metrics
        self._observed = observed

    def collect(self) -> Iterator[Metric]:
        """Every family, once."""
        yield from self._build_info()
        yield from self._requests()
        yield from self._histograms()
        yield from self._gauges()
        yield from self._workers()

    def _build_info(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        info = GaugeMetricFamily("penstock_build_info", "Always 1.", labels=["deployment", "version"])
        info.add_metric([self._metrics.deployment, penstock.__version__], 1)
        yield info

    def _requests(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        routes = self._metrics.routes
        deployment = self._metrics.deployment
        requests = CounterMetricFamily(
            "penstock_requests", "Requests answered.", labels=["deployment", "route", "code"]
        )
        # A thread makes the page while the gateway counts on: take copies of what may grow.
        for route in routes:
            for code, count in sorted(route.codes.copy().items()):
                requests.add_metric([deployment, route.name, str(code)], count)
        yield requests
        for name, help_text, amounts in (
            ("penstock_request_bytes", "Request bodies, in bytes.", [r.bytes_in for r in routes]),
            ("penstock_response_bytes", "Response bodies, in bytes.", [r.bytes_out for r in routes]),
        ):
            family = CounterMetricFamily(name, help_text, labels=["deployment", "route"])
            for route, amount in zip(routes, amounts, strict=True):
                family.add_metric([deployment, route.name], amount)
            yield family

    def _histograms(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        metrics = self._metrics
        durations = HistogramMetricFamily(
            "penstock_request_duration_seconds",
            "From the last byte of a request to its answer.",
            labels=["deployment", "route"],
        )
        for route in metrics.routes:
            _add(durations, [metrics.deployment, route.name], route.durations)
        yield durations
        for name, help_text, histogram in (
            ("penstock_queue_wait_seconds", "Time that requests waited for a worker.", metrics.waits),
            ("penstock_batch_size", "Requests that went to a worker together.", metrics.batches),
        ):
            family = HistogramMetricFamily(name, help_text, labels=["deployment"])
            _add(family, [metrics.deployment], histogram)
            yield family

    def _gauges(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        observed = self._observed
        for name, help_text, value in (
            ("penstock_requests_in_flight", "Requests accepted and not yet answered.", observed.in_flight),
            ("penstock_queue_length", "Requests that wait for a worker.", observed.queue_length),
            ("penstock_connections_open", "Open client connections.", observed.connections_open),
        ):
            gauge = GaugeMetricFamily(name, help_text, labels=["deployment"])
            gauge.add_metric([self._metrics.deployment], value)
            yield gauge

    def _workers(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        deployment = self._metrics.deployment
        observed = self._observed
        workers = GaugeMetricFamily(
            "penstock_workers", "Worker processes by state.", labels=["deployment", "state"]
        )
        restarts = CounterMetricFamily(
            "penstock_worker_restarts", "Workers replaced, by reason.", labels=["deployment", "reason"]
        )
        memory = GaugeMetricFamily(
            "penstock_worker_resident_memory_bytes",
            "Resident memory of a worker.",
            labels=["deployment", "worker"],
        )
        for family, values in (
            (workers, observed.workers),
            (restarts, observed.restarts),
            (memory, observed.resident_memory_bytes),
        ):
            for label, value in sorted(values.items()):
                family.add_metric([deployment, label], value)
            yield family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    family.add_metric(labels, histogram.buckets(), histogram.total)
