"""`fork_safe` is a promise: what was loaded and has scored before a fork scores in the children.

In a process of its own for every format, because a fork of the test process proves nothing: other tests have
started threads there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import sample_models

# Each imports a model library anew.
pytestmark = pytest.mark.slow

_PROGRAM = """
import os, sys, time
import numpy as np
from penstock.bundle.manifest import ModelSource
from penstock.scoring.loaders import loading

model = loading.load_model(ModelSource(sys.argv[1], "sample"))
print("fork_safe", model.fork_safe)
rows = np.random.default_rng(1).random((64, 4)).astype(sys.argv[2])
expected = model.call("predict", rows, {})
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        same = all((model.call("predict", rows, {}) == expected).all() for _ in range(5))
        os._exit(0 if same else 1)
    children.append(child)
deadline = time.monotonic() + 30
for child in children:
    done = (0, 0)
    while not done[0] and time.monotonic() < deadline:
        done = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not done[0]:
        os.kill(child, 9)
        os.waitpid(child, 0)
    print("child", os.waitstatus_to_exitcode(done[1]) if done[0] else "hangs")
"""


def _forest(folder: Path) -> Path:
    from sklearn.ensemble import RandomForestRegressor

    data = sample_models.numbers()
    return sample_models.joblib_file(folder, RandomForestRegressor(10, n_jobs=2).fit(data, data[:, 0]))


def _histogram(folder: Path) -> Path:
    from sklearn.ensemble import HistGradientBoostingRegressor

    data = sample_models.numbers()
    return sample_models.joblib_file(folder, HistGradientBoostingRegressor(max_iter=5).fit(data, data[:, 0]))


def _xgboost(folder: Path) -> Path:
    sample_models.xgboost_booster().save_model(folder / "model.ubj")
    return folder / "model.ubj"


def _lightgbm(folder: Path) -> Path:
    sample_models.lightgbm_booster().save_model(folder / "model.txt")
    return folder / "model.txt"


def _onnx(folder: Path) -> Path:
    return sample_models.onnx_file(folder, sample_models.ridge())


def _torch(folder: Path) -> Path:
    import torch

    torch.jit.trace(sample_models.network(), torch.rand(1, 4)).save(folder / "model.pt")
    return folder / "model.pt"


_MAKERS: list[Callable[[Path], Path]] = [_forest, _histogram, _xgboost, _lightgbm, _onnx, _torch]


def _run(path: Path, dtype: str, **variables: str) -> str:
    inherited: dict[str, Any] = {key: value for key, value in os.environ.items() if "_NUM_THREADS" not in key}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM, str(path), dtype],
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("make", _MAKERS, ids=lambda make: make.__name__.strip("_"))
def test_children_score_as_the_parent_did(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    dtype = "float32" if make in (_onnx, _torch) else "float64"
    out = _run(make(tmp_path), dtype)
    assert out.split("\n") == ["fork_safe True", "child 0", "child 0", "child 0", ""]


def test_more_threads_are_no_promise(tmp_path: Path) -> None:
    assert "fork_safe False" in _run(_forest(tmp_path), "float64", OMP_NUM_THREADS="2")
