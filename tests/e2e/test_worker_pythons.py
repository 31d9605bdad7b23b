"""Worker code on every Python of this machine, started exactly as workers are, with no library installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from penstock.bundle import interpreters, launch
from penstock.bundle.manifest import Code, Manifest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "penstock"
DATA = ROOT / "tests" / "data"


def _without_braces(pattern: str) -> list[str]:
    """``a/{b,c}.py`` as ``a/b.py`` and ``a/c.py``, which pathlib would take by the letter."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    parts = (pattern[: match.start()] + part + pattern[match.end() :] for part in match[1].split(","))
    return [plain for part in parts for plain in _without_braces(part)]


def worker_side() -> list[str]:
    """The modules that pyproject.toml holds to Python 3.8: the worker side, by the one list there is."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    files = {
        path
        for pattern in settings["tool"]["ruff"]["per-file-target-version"]
        for plain in _without_braces(pattern)
        for path in ROOT.glob(plain)
        if path.suffix == ".py"
    }
    names = (".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in sorted(files))
    return [name.removesuffix(".__init__") for name in names]


# One of each minor version: two patches of one behave alike.
FOUND = {
    each.version[:2]: each for each in reversed(interpreters.find()) if each.version >= interpreters.OLDEST
}


def test_the_list_holds_what_workers_run() -> None:
    assert {
        "penstock.errors",
        "penstock.bundle.environments",
        "penstock.scoring.opening",
        "penstock.scoring.scripts.scorer",
        "penstock.runtimes.realtime.worker",
        "penstock.runtimes.realtime.nursery",
        "penstock.runtimes.nurseries",
        "penstock.runtimes.batch.worker",
        "penstock.runtimes.batch.formats.parquet",
    } <= set(worker_side())


@pytest.mark.parametrize("version", sorted(FOUND), ids=interpreters.dotted)
def test_every_worker_module_imports_and_a_script_scores(version: tuple[int, int]) -> None:
    scripts = DATA / "scripts" / "plain"
    manifest = Manifest(name="plain", code=Code(directory=str(scripts), script="score.py"))
    argv = launch.worker_argv(FOUND[version].path, str(PACKAGE), "probe_worker_side", *worker_side(), "--")
    run = subprocess.run(
        [*argv, manifest.to_json()],
        env={**os.environ, "PYTHONPATH": str(DATA / "worker_probe"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout.splitlines()[-1])
    assert answer["failures"] == {}, "\n".join(answer["failures"].values())
    assert answer["heavy"] == []
    assert tuple(answer["version"]) == version
    (status, body), (failed, _) = answer["reply"]
    assert (status, json.loads(body)["got"]) == (200, [1, 2])
    assert failed == 500
