"""``penstock score``: what may be said beside ``--resume``, and that its help names everything."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from penstock.bundle import jobs
from penstock.bundle.batch import BatchLaunch, BatchSettings, Inputs, Output
from penstock.bundle.manifest import Manifest
from penstock.cli import exits, handover, main, score


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchLaunch:
    """A job that was begun."""
    monkeypatch.setenv("PENSTOCK_JOBS", str(tmp_path / "jobs"))
    launch = BatchLaunch(
        job="j",
        folder=str(tmp_path / "jobs" / "j"),
        manifest=Manifest(name="m"),
        python="/usr/bin/python3",
        inputs=Inputs(locations=("/in",)),
        output=Output(location="/out"),
        settings=BatchSettings(workers=2),
    )
    jobs.write_launch(launch)
    return launch


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main.main(["score", *arguments])
    return int(caught.value.code or 0)


def test_help_names_every_option_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    told = capsys.readouterr().out
    for parameter in score.score.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in told
    for number in exits.MEANINGS:
        assert f" {number} " in told


@pytest.mark.parametrize(
    "said",
    [
        ("model.pkl",),
        ("--output", "x"),
        ("--on-error", "bisect"),
        ("--delimiter", ";"),
        ("--with-lineage",),
        ("--check",),
    ],
)
def test_what_would_be_scored_cannot_be_said_anew(
    begun: BatchLaunch, capsys: pytest.CaptureFixture[str], said: tuple[str, ...]
) -> None:
    assert run("--resume", "j", *said) == exits.USAGE
    told = capsys.readouterr().err
    assert "cannot be said anew" in told
    assert said[0] in told or "THING" in told


def test_how_it_is_run_can_be_said_anew(
    begun: BatchLaunch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[BatchLaunch] = []
    monkeypatch.setattr(handover, "hand_over", lambda launch, *_, **__: taken.append(launch))
    run("--resume", "j", "--workers", "7", "--error-threshold", "5", "--engine", "ray", "-o", "json")
    (launch,) = taken
    assert (launch.settings.workers, launch.settings.error_threshold) == (7, 5)
    assert (launch.engine, launch.log_format, launch.inputs) == ("ray", "json", begun.inputs)
