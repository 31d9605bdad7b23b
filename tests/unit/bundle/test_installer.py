from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.bundle import installer


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Resolved 1 package in 145ms\n", "resolved 1 package in 145ms"),
        ("Resolved 12 packages in 1.2s\n", "resolved 12 packages in 1.2s"),
        ("Downloading scipy (33.6MiB)\n", "downloading scipy (33.6MB)"),
        ("   Building x==1\n", "building x==1 from source, as no wheel of it fits; this may take minutes"),
        ("Installed 3 packages in 17ms\n", "installed 3 packages in 17ms"),
        (" Downloaded scipy\n", ""),
        (" + numpy==1.2\n", ""),
        ("Using Python 3.8.18 environment at: x\n", ""),
    ],
)
def test_progress(line: str, told: str) -> None:
    assert installer.progress(line) == told


def test_uv_is_found() -> None:
    assert os.access(installer.uv_binary(), os.X_OK)


def test_uv_knows_nothing_of_an_active_environment_and_downloads_no_python() -> None:
    given = installer.uv_environment(
        {"HOME": "/h", "VIRTUAL_ENV": "/v", "PYTHONPATH": "/p", "UV_SYSTEM_PYTHON": "1"}
    )
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "UV_SYSTEM_PYTHON"} & set(given)
    assert given["UV_PYTHON_DOWNLOADS"] == "never"


def test_the_outcome_holds_all_that_uv_said(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = installer.run(["pip", "no-such-command"], say=said.append, folder=str(tmp_path))
    assert outcome.status != 0
    assert "no-such-command" in outcome.log
    assert said == []
