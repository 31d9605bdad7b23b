"""Processes are killed, suspended and hung under load. No answer is ever somebody else's, no accepted request
goes unanswered, and the service is back within about a second."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import psutil
import pytest
from sklearn.dummy import DummyRegressor

from support.load import Load, PlainLoad
from support.processes import are_gone
from support.servers import Server, serving
from support.waiting import until

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, time
def init(): pass
def run(raw_data):
    data = json.loads(raw_data)
    if data.get("sleep"): time.sleep(data["sleep"])
    if data.get("die"): os._exit(7)
    return {"n": data["n"], "by": os.getpid()}
"""

BACK_S = 4.0
"""A second, and the noise of a shared machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("code")
    (folder / "score.py").write_text(SCRIPT)
    with serving(
        "--code", str(folder), "--script", "score.py", "--workers", "2", "--request-timeout", "3s"
    ) as server:
        yield server


def _settled(server: Server) -> None:
    until(lambda: len(server.processes("worker")) == 2, f"two workers\n{server.log[-3000:]}")
    until(lambda: server.score({"n": 1}).status == 200, "an answer")


def _kill_one(server: Server, number: int) -> None:
    """Kill one of two workers, and see it gone: a dying process is listed for a while."""
    workers = until(lambda: len(found := server.processes("worker")) == 2 and found, "two workers")
    victim = workers[number % 2]
    victim.kill()
    assert not psutil.wait_procs([victim], timeout=10)[1]


def test_killed_workers_cost_only_what_they_held(server: Server) -> None:
    _settled(server)
    with Load(server.port) as load:
        for kills in range(5):
            wanted = 200 * (kills + 1)
            until(lambda wanted=wanted: load.tally.succeeded > wanted, "load to flow")
            _settled(server)
            _kill_one(server, kills)
        until(lambda: load.tally.succeeded > 1500, "load to flow on")
    tally = load.tally
    assert not tally.wrong
    assert not tally.unanswered
    assert not tally.cut
    assert set(tally.statuses) <= {200, 502}
    assert tally.statuses[502] <= 5, "a script's request in the killed worker's hands, and no other"
    assert tally.longest_gap_s < BACK_S


def test_a_models_requests_survive_their_workers(tmp_path: Path) -> None:
    """Scoring a model has no side effects, so what a killed worker held is scored again by another."""
    model = tmp_path / "model.joblib"
    joblib.dump(DummyRegressor(strategy="mean").fit(np.zeros((4, 2)), np.full(4, 7.0)), model)
    with serving(str(model), "--workers", "2") as server, PlainLoad(server.port, b"[7.0]") as load:
        for kills in range(4):
            wanted = 300 * (kills + 1)
            until(lambda wanted=wanted: load.succeeded > wanted, "load to flow")
            _kill_one(server, kills)
        until(lambda: load.succeeded > 2000, "load to flow on")
    assert not load.failures


def test_a_killed_gateway_is_back_within_a_second(server: Server) -> None:
    _settled(server)
    workers = {process.pid for process in server.processes("worker")}
    with Load(server.port) as load:
        until(lambda: load.tally.succeeded > 200, "load to flow")
        server.processes("gateway")[0].kill()
        before = load.tally.succeeded
        until(lambda: load.tally.succeeded > before + 500, "load to flow again")
    tally = load.tally
    assert not tally.wrong
    assert not tally.unanswered
    assert set(tally.statuses) == {200}
    # The kernel cuts the connections of a killed process; nothing else is lost, and none is refused later.
    assert tally.cut <= 8
    assert tally.longest_gap_s < BACK_S
    assert {process.pid for process in server.processes("worker")} == workers, "workers outlive a gateway"


def test_a_killed_nursery_costs_no_request(server: Server) -> None:
    _settled(server)
    before = {process.pid for process in server.processes("worker")}
    with Load(server.port) as load:
        until(lambda: load.tally.succeeded > 200, "load to flow")
        server.processes("nursery")[0].kill()
        until(
            lambda: len({p.pid for p in server.processes("worker")} - before) == 2, "workers of a new nursery"
        )
        until(lambda: not any(psutil.pid_exists(pid) for pid in before), "the orphans to retire")
    assert set(load.tally.statuses) == {200}
    assert not load.tally.wrong
    assert not load.tally.cut


def test_a_suspended_worker_is_replaced(server: Server) -> None:
    _settled(server)
    victim = server.processes("worker")[0]
    with Load(server.port) as load:
        until(lambda: load.tally.succeeded > 200, "load to flow")
        victim.send_signal(signal.SIGSTOP)
        until(lambda: are_gone([victim]), "its end")
        before = load.tally.succeeded
        until(lambda: load.tally.succeeded > before + 300, "load to flow on")
    assert not load.tally.wrong
    assert not load.tally.unanswered
    assert set(load.tally.statuses) <= {200, 502}
    assert load.tally.statuses[502] <= 1


def test_a_suspended_gateway_is_replaced(server: Server) -> None:
    _settled(server)
    victim = server.processes("gateway")[0]
    victim.send_signal(signal.SIGSTOP)
    until(lambda: are_gone([victim]), "its end")
    until(lambda: len(server.processes("gateway")) == 1, "another gateway")
    _settled(server)


def test_only_the_request_that_overstays_fails(server: Server) -> None:
    _settled(server)
    with Load(server.port, callers=4) as load:
        until(lambda: load.tally.succeeded > 100, "load to flow")
        late = server.score({"n": 7, "sleep": 60})
        assert late.status == 504
        assert "deadline" in late.json()["message"]
        before = load.tally.succeeded
        until(lambda: load.tally.succeeded > before + 100, "load to flow on")
    assert set(load.tally.statuses) == {200}
    assert not load.tally.wrong
    assert "overstayed" in server.log


def test_a_request_that_kills_its_worker_fails_alone(server: Server) -> None:
    _settled(server)
    with Load(server.port, callers=4) as load:
        for _ in range(3):
            reply = server.score({"n": 7, "die": True})
            assert reply.status == 502
            assert "died" in reply.json()["message"]
        before = load.tally.succeeded
        until(lambda: load.tally.succeeded > before + 100, "load to flow on")
    assert set(load.tally.statuses) == {200}
    assert not load.tally.wrong


def test_nothing_outlives_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    with serving("--code", str(tmp_path), "--script", "score.py", "--workers", "2") as server:
        supervisor = psutil.Process(server.process.pid)
        tree = until(
            lambda: len(found := supervisor.children(recursive=True)) == 4 and found, "all processes"
        )
        assert tree
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        _, alive = psutil.wait_procs(tree, timeout=10)
        assert not alive
