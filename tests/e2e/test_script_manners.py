"""Scripts that do what scripts should not, or seldom do: they print much and strangely, fork, start helpers, exit,
close descriptors. Each costs at most its own request, and what it says is in the log."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from support.servers import PENSTOCK, serving
from support.waiting import until

pytestmark = pytest.mark.slow

MANY = """
import json, logging, multiprocessing, os, signal, subprocess, sys, threading, time
helpers = []
def init():
    helpers.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
def run(raw_data):
    return getattr(Does, json.loads(raw_data)["do"])()
class Does:
    def nothing(): return os.getpid()
    def emoji(): print("\\U0001f600" * 20_000); return "said"
    def long(): print("x" * 1_000_000); return "said"
    def binary(): sys.stdout.buffer.write(b"\\xff raw bytes\\n"); sys.stdout.buffer.flush(); return "said"
    def reconfigure():
        sys.stdout.reconfigure(encoding="utf-8", line_buffering=True); print("encoded")
        return "said"
    def surrogate(): print("half \\ud83d"); return "said"
    def unended():
        for _ in range(200_000): sys.stdout.write("...........")
        return "said"
    def threads():
        several = [threading.Thread(target=print, args=(f"thread {n}",)) for n in range(50)]
        [t.start() for t in several]; [t.join() for t in several]
        return "said"
    def process():
        child = multiprocessing.get_context("fork").Process(target=logging.warning, args=("from a child",))
        child.start(); child.join()
        return child.exitcode
    def terminate():
        several = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)) for _ in range(50)]
        for child in several: child.start(); child.terminate()
        for child in several: child.join(10)
        return {child.exitcode for child in several} == {-15}
    def stray_fork(): return "child" if os.fork() == 0 else "parent"
    def exit(): sys.exit(4)
    def os_exit(): os._exit(4)
    def stdin(): return sys.stdin.read()
    def close(): os.close(1); os.close(2); print("still heard"); return "closed"
    def handlers():
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1): signal.signal(number, signal.SIG_DFL)
        return "set"
    def cwd(): os.chdir("/"); return os.getcwd()
    def helper(): return helpers[0].pid
    def large(): return "y" * 100_000_000
"""


def test_each_costs_at_most_its_own_request(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(MANY)
    with serving("--code", str(tmp_path), "--script", "score.py") as server:

        def asks(what: str) -> tuple[int, object]:
            reply = server.score({"do": what})
            return reply.status, reply.json() if reply.status == 200 else None

        for what in ("emoji", "long", "binary", "reconfigure", "surrogate", "unended", "threads"):
            assert asks(what) == (200, "said"), what
        assert asks("process") == (200, 0)
        assert asks("terminate") == (200, True)
        assert asks("stdin") == (200, "")
        assert asks("cwd") == (200, "/")
        assert asks("handlers") == (200, "set")
        pid = asks("nothing")
        assert asks("stray_fork") == (200, "parent")
        for _ in range(20):
            assert asks("nothing") == pid, "answers of the worker, not of what it forked"
        assert asks("exit")[0] == 500
        assert asks("close") == (200, "closed")
        status, text = asks("large")
        assert (status, len(str(text))) == (200, 100_000_000)
        until(lambda: "still heard" in server.log, "the log")
        assert server.log.count("\\ud83d\\ude00") >= 20_000
        assert server.log.count("x" * 10_000) >= 100 - 62
        for words in ("raw bytes", "encoded", "thread 49", "from a child", "half"):
            assert words in server.log, words
        assert asks("os_exit")[0] == 502
        assert asks("nothing")[1] != pid[1]


def test_helpers_of_a_script_end_with_their_worker(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(MANY)
    with serving("--code", str(tmp_path), "--script", "score.py") as server:
        helper = psutil.Process(server.score({"do": "helper"}).json())
        assert server.score({"do": "os_exit"}).status == 502
        until(lambda: not helper.is_running(), "the killed worker's helper to end", 10)
        second = psutil.Process(server.score({"do": "helper"}).json())
        assert server.stop() == 0
        until(lambda: not second.is_running(), "the helper to end with the service", 10)


def test_a_failure_of_a_megabyte_is_told_in_one_screen(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(
        "def init(): raise ValueError('\\U0001f600' * 300_000)\ndef run(d): return d"
    )
    ended = subprocess.run(
        [PENSTOCK, "serve", "--code", str(tmp_path), "--script", "score.py", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert "ValueError" in ended.stderr
    assert len(ended.stderr) < 300_000


def test_modules_in_the_working_directory_shadow_none_of_ours(tmp_path: Path) -> None:
    """A data scientist's folder holds a `random.py`, a `queue.py`, a `click.py`."""
    for name in ("random", "socket", "json", "logging", "struct", "select", "uvloop", "click", "typing"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')")
    (tmp_path / "near.py").write_text("NAME = 'near'")
    code = tmp_path / "code"
    code.mkdir()
    (code / "score.py").write_text("import near\ndef init(): pass\ndef run(d): return near.NAME")
    with serving("--code", str(code), "--script", "score.py", cwd=tmp_path) as server:
        assert server.score({}).json() == "near", "what lies there can be imported still"
    assert json.loads(server.lines[0])
