"""`make demo` is the first thing that anybody runs: it works, reads well where there is no terminal, and fails
with a word when it cannot work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from page_runner import ROOT

DEMO = ROOT / "examples" / "demo.py"

pytestmark = pytest.mark.slow


def _run(python: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(DEMO)],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_demo_works_and_is_plain_where_nobody_watches() -> None:
    done = _run(sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as expected" in done.stdout
    assert "\x1b" not in done.stdout
    assert not done.stderr
    titles = ("Train", "Serve", "Score", "Misspell", "Read", "Put", "Look", "Stop", "Score a file")
    for number, title in enumerate(titles, 1):
        assert f"\n{number}  {title}" in done.stdout


def test_the_demo_fails_with_a_word(tmp_path: Path) -> None:
    # An environment in which the command is something else: beside a link to Python.
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    (python.parent / "penstock").write_text("#!/bin/sh\necho no such wine >&2\nexit 7\n")
    (python.parent / "penstock").chmod(0o755)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    done = _run(str(python), PYTHONPATH=packages)
    assert done.returncode == 1
    assert "The demo failed: penstock serve ended with 7" in done.stdout
    assert "no such wine" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
