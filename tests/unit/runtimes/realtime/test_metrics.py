"""The metrics page says what was counted: checked with prometheus_client's own parsers."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from penstock.runtimes.realtime import metrics as m

seconds = st.sampled_from(m.SECONDS) | st.floats(min_value=0, max_value=1000, allow_nan=False)
routes = st.sampled_from(m.ROUTES)
answers = st.lists(
    st.tuples(
        routes,
        st.integers(200, 599),
        seconds,
        st.none() | seconds,
        st.integers(0, 10**9),
        st.integers(0, 10**9),
    ),
    max_size=40,
)


def samples(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items()) - {("deployment", "blue")}): sample.value
        for family in parse(page.decode())
        for sample in family.samples
    }


def labels(**pairs: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairs.items())


def feed(metrics: m.Metrics, items: list[tuple[str, int, float, float | None, int, int]]) -> None:
    by_name = {route.name: route for route in metrics.routes}
    for name, status, total, waited, bytes_in, bytes_out in items:
        if waited is None:
            by_name[name].answered(status, total, bytes_in, bytes_out)
        else:
            by_name[name].scored(status, total, waited, bytes_in, bytes_out)


def test_routes_are_attributes_of_their_own_name() -> None:
    metrics = m.Metrics("blue")
    assert {name: getattr(metrics, name) for name in m.ROUTES} == {r.name: r for r in metrics.routes}


@given(answers, st.lists(st.integers(1, 5000), max_size=20))
def test_the_page_holds_exactly_what_was_fed(
    items: list[tuple[str, int, float, float | None, int, int]], sizes: list[int]
) -> None:
    metrics = m.Metrics("blue")
    feed(metrics, items)
    for size in sizes:
        metrics.batched(size)
    found = samples(metrics.page(m.Observed())[0])

    codes = Counter((route, str(status)) for route, status, *_ in items)
    assert {
        (dict(key)["route"], dict(key)["code"]): value
        for (name, key), value in found.items()
        if name == "penstock_requests_total"
    } == codes
    for route in m.ROUTES:
        here = [item for item in items if item[0] == route]
        on = labels(route=route)
        assert found["penstock_request_duration_seconds_count", on] == len(here)
        assert found["penstock_request_duration_seconds_sum", on] == pytest.approx(sum(i[2] for i in here))
        assert found["penstock_request_bytes_total", on] == sum(i[4] for i in here)
        assert found["penstock_response_bytes_total", on] == sum(i[5] for i in here)
        for bound in m.SECONDS:
            below = sum(i[2] <= bound for i in here)
            key = labels(route=route, le=repr(bound))
            assert found["penstock_request_duration_seconds_bucket", key] == below
    waits = [item[3] for item in items if item[3] is not None]
    assert found["penstock_queue_wait_seconds_count", labels()] == len(waits)
    assert found["penstock_queue_wait_seconds_sum", labels()] == pytest.approx(sum(waits))
    assert found["penstock_queue_wait_seconds_bucket", labels(le="+Inf")] == len(waits)
    assert found["penstock_batch_size_sum", labels()] == sum(sizes)
    for requests in m.REQUESTS:
        below = sum(size <= requests for size in sizes)
        assert found["penstock_batch_size_bucket", labels(le=repr(requests))] == below


def test_a_value_on_a_bound_belongs_to_it() -> None:
    histogram = m.Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert histogram.buckets() == [("1.0", 1), ("2.0", 3), ("+Inf", 4)]


def test_what_is_observed_appears_with_its_labels() -> None:
    observed = m.Observed(
        in_flight=3,
        queue_length=2,
        connections_open=7,
        workers={"serving": 2, "loading": 1},
        restarts={"crashed": 4, 'odd "reason"\n': 1},
        resident_memory_bytes={"4711": 123_456_789},
    )
    page, content_type = m.Metrics("blue").page(observed)
    found = samples(page)
    assert content_type.startswith("text/plain")
    assert found["penstock_requests_in_flight", labels()] == 3
    assert found["penstock_queue_length", labels()] == 2
    assert found["penstock_connections_open", labels()] == 7
    assert found["penstock_workers", labels(state="serving")] == 2
    assert found["penstock_worker_restarts_total", labels(reason="crashed")] == 4
    assert found["penstock_worker_restarts_total", labels(reason='odd "reason"\n')] == 1
    assert found["penstock_worker_resident_memory_bytes", labels(worker="4711")] == 123_456_789
    assert found["process_resident_memory_bytes", labels()] > 0
    assert any(name == "penstock_build_info" for name, _ in found)


def test_openmetrics_is_given_to_who_asks() -> None:
    metrics = m.Metrics("blue")
    metrics.score.scored(200, 0.01, 0.001, 10, 20)
    page, content_type = metrics.page(
        m.Observed(), "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(page.decode())}
    assert {"penstock_requests", "penstock_request_duration_seconds", "penstock_workers"} <= names


def test_the_gateway_does_not_pay_for_prometheus_client_before_the_first_scrape() -> None:
    code = (
        "import sys; from penstock.runtimes.realtime import metrics; metrics.Metrics('d');"
        "sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
