"""What of the Ray engine needs no Ray: its options, how many agents there are, what crosses to the bridge."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import JobError
from penstock.runtimes.batch.engines import ray_fleet, ray_link, ray_options
from penstock.runtimes.batch.messages import Order
from penstock.runtimes.batch.plan import Cut, Piece, SourceFile


def test_options_as_they_are_written() -> None:
    raw = {"address": "head:6379", "cpus_per_agent": "4", "gpus_per_agent": "0.5", "resources": '{"disk": 1}'}
    assert ray_options.parse(raw) == ray_options.RayOptions(
        address="head:6379", cpus_per_agent=4, gpus_per_agent=0.5, resources={"disk": 1}
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cpu_per_agent", "1", "no option 'cpu_per_agent'"),
        ("max_agents", "-1", "'-1' is not a whole number from 0 up"),
        ("max_agents", "two", "'two' is not a whole number"),
        ("wait_s", "nan", "'nan' is not a number from 0 up"),
        ("runtime_env", "[1]", r"'\[1\]' is not a JSON object"),
        ("runtime_env", "{", "'{' is not a JSON object"),
        ("head_timeout_s", "55", "at most 50"),
    ],
)
def test_a_wrong_option_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(JobError, match=said) as caught:
        ray_options.parse({name: value})
    assert f"--engine-option {name}={value}" in caught.value.message


@given(st.integers(0, 40), st.integers(0, 9), st.integers(0, 9), st.lists(st.integers(0, 16), max_size=5))
def test_agents_have_all_workers_and_fit_the_nodes(
    workers: int, cpus_per_agent: int, max_agents: int, nodes: list[int]
) -> None:
    sizes = ray_fleet.sizes(workers, cpus_per_agent, max_agents, nodes)
    assert sizes
    assert all(size > 0 for size in sizes)
    wanted = workers or sum(nodes) or 1
    if not max_agents:
        assert sum(sizes) == wanted
    else:
        assert len(sizes) <= max_agents
        assert sum(sizes) <= wanted
    if not cpus_per_agent:
        assert max(sizes) <= min((cpus for cpus in nodes if cpus), default=1)
    assert sizes == sorted(sizes, reverse=True)


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1), st.text())
def test_an_order_arrives_as_it_was_sent(worker: str, uri: str) -> None:
    piece = Piece(SourceFile(uri, 1, "2", "csv", {"part": "x"}), Cut(0, 10, 10))
    order = Order(number=3, attempt=2, pieces=(piece,), dead=((1, 2, uri),), splits=(5,))
    name, payload = ray_link.opened(ray_link.addressed(worker, order))
    assert (name, Order.from_payload(payload)) == (worker, order)


def test_ray_is_not_imported_with_the_engine() -> None:
    program = "import sys, penstock.runtimes.batch.engines.ray as engine; print('ray' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
