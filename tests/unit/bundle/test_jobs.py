"""Jobs' folders: names, finding them again, and what is kept in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle import jobs
from penstock.bundle.batch import BatchLaunch, BatchSettings, Inputs, Output, ReadOptions
from penstock.bundle.manifest import Manifest
from penstock.errors import JobError


def launch_in(root: Path, name: str = "a", **said: object) -> BatchLaunch:
    return BatchLaunch(
        job=name,
        folder=str(root / name),
        manifest=Manifest(name="m"),
        python="/python",
        inputs=Inputs(locations=("/in\nput",), read=ReadOptions(column_types={"ü": "int64"})),
        output=Output(location="/out", key=("id",)),
        settings=BatchSettings(input_columns=("a",)),
        **said,  # type: ignore[arg-type]
    )


def test_a_launch_comes_back_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    launch = launch_in(tmp_path, notes=("n",), engine_options={"k": "v"})
    jobs.write_launch(launch)
    assert jobs.read_launch(launch.folder) == launch
    assert (tmp_path / "a" / jobs.LAUNCH).stat().st_mode & 0o77 == 0
    assert list(jobs.names(str(tmp_path))) == ["a"]
    variables = {"PENSTOCK_JOBS": str(tmp_path)}
    assert jobs.find("a", variables) == jobs.find(launch.folder, variables) == launch.folder
    with pytest.raises(JobError, match="there is no job 'b'"):
        jobs.find("b", variables)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"job": 1}'])
def test_a_damaged_launch_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / jobs.LAUNCH).write_text(content)
    with pytest.raises(JobError, match="cannot be read"):
        jobs.read_launch(str(tmp_path))


@given(st.text(max_size=60))
def test_every_new_name_can_be_a_folders(about: str) -> None:
    assert jobs.checked_name(jobs.new_name(about))


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "a\n", "a b", "-a", "ü", "x" * 101])
def test_names_that_no_folder_should_have(name: str) -> None:
    with pytest.raises(JobError):
        jobs.checked_name(name)


def test_facts_are_kept_over_each_other_and_damage_is_no_end(tmp_path: Path) -> None:
    jobs.write_about(str(tmp_path), status="running", pid=3)
    jobs.write_about(str(tmp_path), status="done")
    assert jobs.read_about(str(tmp_path)) == {"status": "done", "pid": 3}
    for content in ("{", "[1]", "\xff"):
        (tmp_path / jobs.ABOUT).write_text(content, encoding="latin-1")
        assert jobs.read_about(str(tmp_path)) == {}


def test_where_jobs_are() -> None:
    assert jobs.root({"PENSTOCK_JOBS": "there"}) == str(Path.cwd() / "there")
    assert jobs.root({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == "/s/penstock/jobs"
    assert jobs.root({"HOME": "/h"}) == "/h/.local/state/penstock/jobs"


def test_the_same_work_is_the_same_kind_however_it_is_run(tmp_path: Path) -> None:
    base = launch_in(tmp_path)
    assert base.kind() == launch_in(tmp_path, "b", force=True, log_format="json").kind()
