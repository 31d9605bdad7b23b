"""Random processes of the tree are killed and suspended under load, one and two at a time, in a seeded order. No
answer is ever somebody else's, no request goes unanswered, and the service is well afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import joblib
import numpy as np
import psutil
import pytest
from sklearn.linear_model import LinearRegression

from support.load import Load, NumberedLoad
from support.servers import Server, serving
from support.waiting import until

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("PENSTOCK_CHAOS_S", "12"))
"""More for a long night."""

SCRIPT = """
import json, os, time
def init(): time.sleep(0.1)
def run(raw_data):
    data = json.loads(raw_data)
    time.sleep(0.004 if data["n"] % 10 == 0 else 0)
    return {"n": data["n"], "by": os.getpid()}
"""


def _trouble(server: Server, dice: random.Random) -> str:
    """One or two processes lose their life, or their time."""
    done = []
    for _ in range(dice.choice((1, 1, 1, 2))):
        role = dice.choice(("worker", "worker", "worker", "nursery", "gateway"))
        number = dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGTERM))
        with contextlib.suppress(psutil.Error, IndexError):
            victim = dice.choice(server.processes(role))
            victim.send_signal(number)
            done.append(f"{number.name} {role} {victim.pid}")
    return ", ".join(done)


def _rage(server: Server, seed: int) -> list[str]:
    dice = random.Random(seed)
    deadline = time.monotonic() + SECONDS
    done = []
    while time.monotonic() < deadline:
        done.append(_trouble(server, dice))
        time.sleep(dice.choice((0.0, 0.05, 0.3, 0.8)))
    return done


def _is_well(server: Server, workers: int) -> None:
    """All processes are there, none besides, and the service says so itself."""

    def well() -> bool:
        tree = psutil.Process(server.process.pid).children(recursive=True)
        with contextlib.suppress(OSError):
            page = server.request("GET", "/metrics").body.decode()
            return (
                f'state="serving"}} {workers}.0' in page
                and len(tree) == workers + 2
                and len(server.processes("worker")) == workers
            )
        return False

    until(well, f"the service to be well\n{server.log[-6000:]}", 60)
    assert "the supervisor failed" not in server.log


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.timeout(240)
def test_a_script_under_random_kills(tmp_path: Path, seed: int) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    arguments = [
        "--code",
        str(tmp_path),
        "--script",
        "score.py",
        "--workers",
        "2",
        "--request-timeout",
        "10s",
    ]
    with serving(*arguments) as server:
        with Load(server.port) as load:
            done = _rage(server, seed)
            _is_well(server, 2)
            before = load.tally.succeeded
            until(lambda: load.tally.succeeded > before + 300, "load to flow after it")
        assert server.stop() == 0
    tally = load.tally
    assert not tally.wrong, done
    assert not tally.unanswered, done
    assert set(tally.statuses) <= {200, 502}, (tally.statuses, done)


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.timeout(240)
def test_a_model_under_random_kills(tmp_path: Path, seed: int) -> None:
    """Each caller sends numbers of its own and must get twice them back. A frame that is hit three times in a
    row may cost a 502, and on a slow machine nurseries that are killed while they load a 504."""
    model = tmp_path / "model.joblib"
    rows = np.arange(20.0).reshape(-1, 1)
    joblib.dump(LinearRegression(fit_intercept=False).fit(rows, rows[:, 0] * 2), model)
    with serving(str(model), "--workers", "2", "--request-timeout", "10s") as server:
        with NumberedLoad(server.port) as load:
            done = _rage(server, seed)
            _is_well(server, 2)
            before = load.tally.succeeded
            until(lambda: load.tally.succeeded > before + 300, "load to flow after it")
        assert server.stop() == 0
    tally = load.tally
    assert not tally.wrong, done
    assert not tally.unanswered, done
    assert set(tally.statuses) <= {200, 502, 504}, (tally.statuses, done)


@pytest.mark.timeout(240)
def test_reloads_while_processes_die(tmp_path: Path) -> None:
    """After the last reload nobody is answered by an older generation, whatever died meanwhile."""
    dice = random.Random(5)

    def write(version: int) -> None:
        text = SCRIPT.replace('"by": os.getpid()', f'"by": {version}')
        (tmp_path / "score.py").write_text(text + f"# {version}\n" * version)

    write(0)
    arguments = ["--code", str(tmp_path), "--script", "score.py", "--workers", "2", "--reload"]
    with serving(*arguments) as server, Load(server.port, callers=4) as load:
        for version in range(1, 8):
            write(version)
            told = server.log.count("changed; reloading")
            until(lambda told=told: server.log.count("changed; reloading") > told, "the change to be seen")
            for _ in range(dice.choice((1, 2, 4))):
                _trouble(server, dice)
                time.sleep(dice.choice((0.0, 0.1, 0.4)))
        until(lambda: server.score({"n": 1}).json()["by"] == 7, "the last version to serve")
        _is_well(server, 2)
        for n in range(50):
            assert server.score({"n": n}).json() == {"n": n, "by": 7}
    assert not load.tally.wrong
    assert not load.tally.unanswered
    assert set(load.tally.statuses) <= {200, 502}
    assert server.log.count("the new generation serves") >= 1


@pytest.mark.timeout(240)
def test_many_deaths_leave_nothing_behind(tmp_path: Path) -> None:
    """Descriptors, memory and progress pages after 30 deaths of workers and nurseries are what they were."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    code = tmp_path / "code"
    code.mkdir()
    (code / "score.py").write_text(SCRIPT)
    arguments = ["--code", str(code), "--script", "score.py", "--workers", "2", "--reload"]
    with serving(*arguments, variables={"TMPDIR": str(temporary)}) as server:

        def held() -> tuple[int, int, int, int]:
            _is_well(server, 2)
            pages = len(list(temporary.rglob("progress-*")))
            supervisor, gateway = psutil.Process(server.process.pid), server.processes("gateway")[0]
            memory = supervisor.memory_info().rss + gateway.memory_info().rss
            return pages, supervisor.num_fds(), gateway.num_fds(), memory

        def deaths(workers: int) -> None:
            for count in range(workers):
                _is_well(server, 2)
                role = "nursery" if count % 6 == 5 else "worker"
                victim = server.processes(role)[0]
                victim.kill()
                until(lambda victim=victim: not victim.is_running(), "its end")

        def is_at_rest() -> bool:
            """The pipes of a nursery that died are held until the last of its workers has retired, and a moment
            longer: one reading alone may count them."""
            nonlocal pages, supervisor_fds, gateway_fds, memory
            first, *others = (held() for _ in range(5))
            pages, supervisor_fds, gateway_fds, memory = first
            return all(other[:3] == first[:3] for other in others)

        pages = supervisor_fds = gateway_fds = memory = 0
        deaths(6)
        until(is_at_rest, "the service to be at rest")
        assert pages == 2
        deaths(int(os.environ.get("PENSTOCK_CHAOS_DEATHS", "30")))
        until(lambda: held()[:3] == (2, supervisor_fds, gateway_fds), "descriptors to be what they were", 15)
        assert held()[3] < memory + 6 * 2**20
