"""`penstock serve` with a conda file, once for every Python of this machine: the worker runs on that Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.bundle import interpreters
from support.servers import Server, serving
from support.waiting import until

pytestmark = pytest.mark.slow

FOUND = sorted({each.version[:2] for each in interpreters.find() if each.version >= interpreters.OLDEST})

SCRIPT = """\
import json, sys

def init():
    print("init on", sys.version.split()[0])

def run(data):
    return {"python": list(sys.version_info[:2]), "sum": sum(json.loads(data)), "prefix": sys.prefix}
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environments of this module's servers."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """A folder with a script; the conda file is each test's own."""
    (tmp_path / "score.py").write_text(SCRIPT)
    return tmp_path


@contextlib.contextmanager
def served(folder: Path, cache: Path, conda: str, *more: str) -> Iterator[Server]:
    (folder / "conda.yml").write_text(conda)
    arguments = ["--script", "score.py", "--environment", "conda.yml", *more]
    with serving(*arguments, variables={"PENSTOCK_CACHE": str(cache)}, cwd=folder) as server:
        yield server
        assert server.stop() == 0


@pytest.mark.parametrize("version", FOUND, ids=interpreters.dotted)
def test_a_request_is_scored_on_the_python_of_the_conda_file(
    deployment: Path, cache: Path, version: tuple[int, int]
) -> None:
    conda = f"dependencies: [python={interpreters.dotted(version)}]\n"
    with served(deployment, cache, conda, "--strict-environment") as server:
        reply = server.score([1, 2, 3])
        assert reply.status == 200
        assert reply.json()["python"] == list(version)
        assert reply.json()["sum"] == 6
        assert Path(reply.json()["prefix"]).is_relative_to(cache)
        until(lambda: "init on" in server.log, "what init printed")


def test_a_python_that_the_machine_lacks_is_replaced_with_a_warning(deployment: Path, cache: Path) -> None:
    with served(deployment, cache, "dependencies: [python=3.99]\n") as server:
        assert server.score([1]).json()["python"] == list(FOUND[-1])
        assert "asks for Python 3.99, which this machine lacks" in server.log


def test_strict_refuses_it(deployment: Path, cache: Path) -> None:
    (deployment / "conda.yml").write_text("dependencies: [python=3.99]\n")
    server = Server(
        ["--script", "score.py", "--environment", "conda.yml", "--strict-environment"],
        variables={"PENSTOCK_CACHE": str(cache)},
        cwd=deployment,
    )
    assert server.process.wait(30) != 0
    server.stop()
    assert "asks for Python 3.99, which this machine lacks; found" in server.log
    assert "Traceback" not in server.log


def test_a_package_that_cannot_be_had_is_named(deployment: Path, cache: Path) -> None:
    (deployment / "conda.yml").write_text(
        "dependencies:\n  - python\n  - pip:\n    - --no-index\n    - nosuch==1\n"
    )
    server = Server(
        ["--script", "score.py", "--environment", "conda.yml"],
        variables={"PENSTOCK_CACHE": str(cache)},
        cwd=deployment,
    )
    assert server.process.wait(30) != 0
    server.stop()
    assert "asks for `nosuch==1`" in server.log
    assert "Traceback" not in server.log
