"""Which Python an environment is built on: the choice is a pure function of what is wanted and what is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle import interpreters
from penstock.bundle.interpreters import Interpreter, choose, satisfies
from penstock.errors import EnvironmentBuildError

RUNNING = (3, 11, 7)


def machine(*versions: str) -> list[Interpreter]:
    """A machine that has these Pythons, each at /python/<version>."""
    return [Interpreter(f"/python/{text}", tuple(int(part) for part in text.split("."))) for text in versions]  # type: ignore[arg-type]  # three parts


HERE = machine("2.7.18", "3.6.15", "3.8.18", "3.9.18", "3.11.2", "3.11.7", "3.13.0")


@pytest.mark.parametrize(
    ("wanted", "version", "holds"),
    [
        ("3.8", (3, 8, 18), True),
        ("3.8", (3, 9, 1), False),
        ("==3.8", (3, 8, 1), True),
        ("3.8.*", (3, 8, 1), True),
        ("3.8.5", (3, 8, 18), False),
        (">=3.8,<3.11", (3, 10, 13), True),
        (">=3.8,<3.11", (3, 11, 0), False),
        ("<=3.10", (3, 10, 13), True),
        (">3.10", (3, 10, 13), False),
        ("~=3.9", (3, 12, 0), True),
        ("~=3.9.2", (3, 9, 18), True),
        ("~=3.9.2", (3, 10, 0), False),
        ("!=3.10,>=3.9", (3, 10, 2), False),
        ("", (3, 12, 0), True),
        ("3", (3, 12, 0), True),
    ],
)
def test_satisfies(wanted: str, version: tuple[int, int, int], holds: bool) -> None:
    assert satisfies(version, wanted) is holds


@pytest.mark.parametrize("wanted", ["3.x", "python3.8", "3.8 or 3.9", "=>3.8"])
def test_a_version_that_is_none_is_refused(wanted: str) -> None:
    with pytest.raises(EnvironmentBuildError, match="cannot read the Python version"):
        satisfies((3, 8, 1), wanted)


@pytest.mark.parametrize(
    ("wanted", "path", "noted"),
    [
        ("3.8", "3.8.18", False),
        ("3.11", "3.11.7", False),
        ("3.11.2", "3.11.2", False),
        ("", "3.11.7", False),
        (">=3.8", "3.11.7", False),
        (">=3.12", "3.13.0", False),
        (">=3.8,<3.10", "3.9.18", False),
        ("3.9.2", "3.9.18", True),
        ("3.10", "3.9.18", True),
        ("3.12", "3.11.7", True),
        ("3.14", "3.13.0", True),
        ("3.7", "3.8.18", True),
        ("2.7", "3.8.18", True),
    ],
)
def test_exact_else_nearest_with_a_note(wanted: str, path: str, noted: bool) -> None:
    choice = choose(wanted, HERE, preferred=RUNNING, strict=False, source="conda.yml")
    assert choice.interpreter.path == f"/python/{path}"
    assert bool(choice.note) is noted
    if noted:
        assert "conda.yml" in choice.note
        assert wanted in choice.note
        assert choice.interpreter.label in choice.note


def test_another_minor_version_warns_of_pickles_and_another_patch_does_not() -> None:
    assert "pickled" in choose("3.10", HERE, preferred=RUNNING, strict=False).note
    assert "pickled" not in choose("3.9.2", HERE, preferred=RUNNING, strict=False).note


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [("3.12", "pyenv install 3.12"), ("3.9.2", "python=3.9"), ("3.6", "oldest that can score")],
)
def test_strict_refuses_and_says_what_to_do(wanted: str, hint: str) -> None:
    with pytest.raises(
        EnvironmentBuildError, match=r"which this machine lacks; found 3\.8\.18, 3\.9\.18"
    ) as caught:
        choose(wanted, HERE, preferred=RUNNING, strict=True)
    assert hint in caught.value.hint


def test_no_usable_python_at_all() -> None:
    with pytest.raises(EnvironmentBuildError, match=r"no Python 3\.8 or newer"):
        choose("", machine("2.7.18", "3.7.16"), preferred=RUNNING, strict=False)


versions = st.tuples(st.just(3), st.integers(6, 15), st.integers(0, 20))


@given(st.lists(versions, min_size=1), versions)
def test_what_is_chosen_can_score_and_is_silent_only_when_it_is_what_was_wanted(
    there: list[tuple[int, int, int]], wanted: tuple[int, int, int]
) -> None:
    available = [Interpreter(str(version), version) for version in there]
    text = interpreters.dotted(wanted[:2])
    if all(version < interpreters.OLDEST for version in there):
        return
    choice = choose(text, available, preferred=RUNNING, strict=False)
    assert choice.interpreter.version >= interpreters.OLDEST
    assert (choice.interpreter.version[:2] == wanted[:2]) == (not choice.note)
    nearest = min(abs(version[1] - wanted[1]) for version in there if version >= interpreters.OLDEST)
    assert abs(choice.interpreter.version[1] - wanted[1]) == nearest


def test_find_lists_the_running_python_first_and_each_once() -> None:
    found = interpreters.find()
    assert found[0].version == sys.version_info[:3]
    assert len({each.path for each in found}) == len(found)
    assert all(Path(each.path).is_absolute() for each in found)


def test_pick_starts_fewer_pythons_and_picks_the_same() -> None:
    here, found = interpreters.running(), interpreters.find()
    for wanted in ("", "3.7", "3.8", "3.9", ">=3.8", ">=3.12"):
        expected = choose(wanted, found, preferred=here.version, strict=False, source="s")
        assert interpreters.pick(wanted, strict=False, source="s") == expected


def test_candidates_are_found_in_pyenv_and_conda_and_shims_are_not(tmp_path: Path) -> None:
    def executable(*parts: str) -> str:
        path = tmp_path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return str(path)

    in_pyenv = executable("pyenv", "versions", "3.8.1", "bin", "python3.8")
    in_conda = executable("conda", "env", "bin", "python3.9")
    executable("pyenv", "shims", "python3.8")
    not_python = executable("pyenv", "versions", "3.8.1", "bin", "python3.8-config")
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"{tmp_path}/conda/env\n")
    found = interpreters.candidates(
        {
            "HOME": str(tmp_path),
            "PYENV_ROOT": str(tmp_path / "pyenv"),
            "PATH": str(tmp_path / "pyenv" / "shims"),
        }
    )
    assert in_pyenv in found
    assert in_conda in found
    assert not_python not in found
    assert not any(os.sep + "shims" + os.sep in path for path in found)


def test_what_is_no_python_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    found = interpreters.find({"HOME": str(tmp_path), "PATH": str(tmp_path)})
    assert str(broken) not in {each.path for each in found}
