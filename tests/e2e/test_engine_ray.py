"""Jobs on a real Ray cluster of several nodes: nodes, driver and head die in the middle, and the output is that of
the local run, to the byte."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support import ray_cluster
from support.processes import are_gone
from support.servers import PENSTOCK
from support.waiting import until

pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FILES = 12

SCRIPT = """
import os, time

GATE = os.environ.get("GATE", "")

def init():
    pass

def run(paths):
    results = []
    for path in paths:
        number = int(os.path.basename(path)[:2])
        if GATE:
            # Which process has begun what; the first ones are let through, the others wait for the gate.
            with open(os.path.join(GATE, "begun-%d" % os.getpid()), "a") as file:
                file.write("%d\\n" % number)
            while number > 3 and not os.path.exists(os.path.join(GATE, "open")):
                time.sleep(0.01)
            while os.path.exists(os.path.join(GATE, "hold-%d" % number)):
                time.sleep(0.01)
        with open(path) as file:
            results.append("%d %s" % (number, file.read()))
    return results
"""


class Place:
    """A job's surroundings: input, script, and a gate that holds back all but the first files."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self.variables = variables
        self.jobs: list[subprocess.Popen[str]] = []
        (folder / "input").mkdir()
        self.gate.mkdir()
        for number in range(FILES):
            (folder / "input" / f"{number:02}.txt").write_text(f"content {number}")
        (folder / "score.py").write_text(SCRIPT)

    def score(self, output: str, *options: str, gated: bool = True) -> subprocess.Popen[str]:
        """Start the job whose name and output is `output`."""
        arguments = ["--script", "score.py", "--input", "input", "--input-format", "files"]
        arguments += ["--mini-batch-size", "1", "--output", f"{output}.csv", "--job", output]
        return self.run("score", *arguments, "--log-level", "info", *options, gated=gated)

    def resume(self, job: str) -> subprocess.Popen[str]:
        """Go on with a job."""
        return self.run("score", "--resume", job)

    def run(self, *arguments: str, gated: bool = True) -> subprocess.Popen[str]:
        """Start the command."""
        gate = {"GATE": str(self.gate)} if gated else {}
        job = subprocess.Popen(
            [PENSTOCK, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.variables, **gate, "PENSTOCK_JOBS": str(self.folder / "jobs")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.jobs.append(job)
        return job

    def end(self) -> None:
        """End all jobs, also those of a test that failed."""
        while self.jobs:
            job = self.jobs.pop()
            job.kill()
            if job.stdout is not None and not job.stdout.closed:
                job.communicate()

    def expected(self) -> bytes:
        """What the local engine makes of it."""
        finished(self.score("local", gated=False))
        return (self.folder / "local.csv").read_bytes()

    def begun(self) -> dict[int, list[int]]:
        """The files that each process has begun."""
        return {
            int(path.name.partition("-")[2]): [int(line) for line in path.read_text().split()]
            for path in self.gate.glob("begun-*")
        }

    def is_held(self, workers: int) -> bool:
        """Whether so many processes wait at the gate."""
        return sum(numbers[-1] > 3 for numbers in self.begun().values() if numbers) >= workers

    def wait_held(self, job: subprocess.Popen[str], workers: int, what: str = "workers at the gate") -> None:
        """Until so many processes of a job wait at the gate."""

        def held() -> bool:
            assert job.poll() is None, f"the job has ended:\n{job.communicate()[0]}"
            return self.is_held(workers)

        until(held, what, 120)

    def open(self) -> None:
        """Let all through."""
        (self.gate / "open").touch()


def finished(job: subprocess.Popen[str], code: int = 0, timeout_s: float = 90) -> str:
    """What a command said, once it has ended with `code`."""
    try:
        said, _ = job.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        job.kill()
        raise AssertionError(f"not finished:\n{job.communicate()[0]}") from None
    assert job.returncode == code, said
    return said


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[ray_cluster.Cluster, dict[str, str]]]:
    with ray_cluster.cluster(nodes=3) as made:
        yield made


@contextlib.contextmanager
def a_place(folder: Path, variables: dict[str, str]) -> Iterator[Place]:
    made = Place(folder, variables)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def place(tmp_path: Path, cluster: tuple[ray_cluster.Cluster, dict[str, str]]) -> Iterator[Place]:
    with a_place(tmp_path, cluster[1]) as made:
        yield made
        made.end()
        until(lambda: not agents(cluster[1]), "the agents of this test to end")


def on(cluster: tuple[ray_cluster.Cluster, dict[str, str]], *options: str) -> list[str]:
    """The options that send a job there."""
    return ["--engine", "ray", "--address", cluster[0].address, "--workers", "2", *options]


def node_of(pid: int) -> int:
    """The pid of the raylet under which a worker lives."""
    chain = psutil.Process(pid).parents()
    return next(parent.pid for parent in chain if parent.name() == "raylet")


def agents(variables: dict[str, str]) -> list[psutil.Process]:
    """Agents that live on the cluster."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Agent"):
                mark = process.environ().get("PENSTOCK_TEST_RAY")
                if mark == variables["PENSTOCK_TEST_RAY"]:
                    found.append(process)
    return found


def test_the_driver_dies_and_a_resumed_job_ends_as_if_nothing_had_happened(
    place: Place, cluster: tuple[ray_cluster.Cluster, dict[str, str]]
) -> None:
    job = place.score("ray", *on(cluster))
    place.wait_held(job, 2, "workers on the cluster")
    workers = list(place.begun())
    assert len({node_of(pid) for pid in workers}) == 2
    assert agents(cluster[1])
    job.kill()
    job.communicate()
    until(lambda: are_gone(workers), "the orphans to end")
    until(lambda: not agents(cluster[1]), "the agents to end")
    assert not (place.folder / "ray.csv").exists()
    place.open()
    finished(place.resume("ray"))
    assert (place.folder / "ray.csv").read_bytes() == place.expected()
    until(lambda: not agents(cluster[1]), "the agents to end")
    assert not list((place.folder / "jobs" / "ray").rglob(".shared-*"))


def test_a_node_dies_in_the_middle_and_its_work_is_done_on_another(
    place: Place, cluster: tuple[ray_cluster.Cluster, dict[str, str]]
) -> None:
    job = place.score("ray", *on(cluster))
    place.wait_held(job, 2)
    before = place.begun()
    victim, survivor = (pid for pid in before if not are_gone([pid]))
    cluster[0].kill_node(node_of(victim))
    until(lambda: are_gone([victim]), "the node's worker to end", 20)
    place.wait_held(job, 3, "a worker on the third node")
    assert not are_gone([survivor])
    place.open()
    said = finished(job)
    assert "agent 1 was lost" in said or "agent 2 was lost" in said
    assert (place.folder / "ray.csv").read_bytes() == place.expected()
    after = place.begun()
    lost = before[victim][-1]
    assert any(lost in numbers for pid, numbers in after.items() if pid != victim)


def test_a_node_that_does_not_see_the_folder_says_so(
    place: Place, cluster: tuple[ray_cluster.Cluster, dict[str, str]]
) -> None:
    job = place.score("unshared", *on(cluster))
    for path in until(lambda: list(place.folder.rglob(".shared-*")), "the driver's token"):
        path.write_text("another")
    said = finished(job, code=3)
    assert "is not the folder that the job's driver sees" in said
    assert "a file system that all nodes share" in said


def test_a_script_that_never_begins_is_given_up_on_every_node(
    place: Place, cluster: tuple[ray_cluster.Cluster, dict[str, str]]
) -> None:
    script = place.folder / "score.py"
    script.write_text(
        script.read_text().replace("def init():\n    pass", "def init():\n    time.sleep(1000)")
    )
    said = finished(place.score("stuck", *on(cluster, "--start-timeout", "3s")), code=3)
    assert "loading has taken longer than 3 s" in said


def test_no_cluster_there(tmp_path: Path) -> None:
    with a_place(tmp_path, {"RAY_AUTH_MODE": "disabled"}) as place:
        said = finished(place.score("none", "--engine", "ray", "--address", "127.0.0.1:1"), code=5)
    assert "cannot join the Ray cluster at 127.0.0.1:1: Connection refused" in said
    assert "--address HOST:PORT" in said


def test_an_option_that_there_is_not(tmp_path: Path) -> None:
    with a_place(tmp_path, {}) as place:
        said = finished(place.score("typo", "--engine", "ray", "--engine-option", "cpu_per_agent=2"), code=5)
    assert "Ray's engine has no option 'cpu_per_agent'" in said
    assert "cpus_per_agent" in said


def test_the_head_is_lost_and_the_job_can_be_resumed(tmp_path: Path) -> None:
    with ray_cluster.cluster(nodes=1, cpus=2) as made, a_place(tmp_path, made[1]) as place:
        options = on(made, "--engine-option", "head_timeout_s=10", "--engine-option", "silence_s=10")
        job = place.score("ray", *options)
        place.wait_held(job, 2)
        workers = list(place.begun())
        # One agent of two CPUs: both were born of one nursery, as on a machine of its own.
        assert len({psutil.Process(pid).ppid() for pid in workers}) == 1
        made[0].kill_head()
        said = finished(job, code=5)
        assert "Ray's head has not answered for 10 s" in said
        until(lambda: are_gone(workers), "the workers to end", 40)
        about = json.loads((place.folder / "jobs" / "ray" / "job.json").read_text())
        assert about["status"] == "failed"
        assert not (place.folder / "ray.csv").exists()


def test_a_cluster_grows_for_a_job_and_lets_its_nodes_go_before_the_last_is_done(tmp_path: Path) -> None:
    options = ("--min", "0", "--max", "2", "--idle-timeout", "1", "--interval", "1")
    nodes = tmp_path / "nodes"

    def count() -> int:
        return len(list((nodes / "nodes").glob("*.json")))

    with (
        ray_cluster.growing(nodes, *options) as (address, variables, head),
        a_place(tmp_path, variables) as place,
    ):
        assert count() == 0
        job = place.score("ray", "--engine", "ray", "--address", address, "--workers", "2")
        place.wait_held(job, 2)
        until(lambda: count() == 2, "both nodes to be noted")
        # All but one are let through: its node is still busy, the other one goes.
        last = next(iter(place.begun().values()))[-1]
        (place.gate / f"hold-{last}").touch()
        place.open()
        until(lambda: count() == 1, "the idle node to go while the job goes on")
        assert job.poll() is None
        (place.gate / f"hold-{last}").unlink()
        finished(job)
        until(lambda: count() == 0, "the last node to go")
        head.terminate()
        assert head.wait(30) == 0
        assert (place.folder / "ray.csv").read_bytes() == place.expected()
