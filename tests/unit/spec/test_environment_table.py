from __future__ import annotations

from pathlib import Path

import pytest

from penstock.bundle import interpreters
from penstock.errors import SpecError
from penstock.spec import environment_table
from penstock.spec.environment_table import lookup


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user without tables of their own, in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return {"HOME": str(tmp_path / "home")}


@pytest.mark.parametrize(
    ("reference", "python", "package"),
    [
        ("azureml:AzureML-sklearn-1.0-ubuntu20.04-py38-cpu@latest", "3.8", "scikit-learn~=1.0.0"),
        ("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "3.8", "scikit-learn~=1.0.0"),
        ("azureml:azureml-SKLEARN-1.0-ubuntu20.04-py38-cpu:44", "3.8", "scikit-learn~=1.0.0"),
        (
            "azureml://registries/azureml/environments/sklearn-1.5/labels/latest",
            "3.10",
            "scikit-learn~=1.5.0",
        ),
        ("azureml://registries/azureml/environments/sklearn-1.5/versions/10", "3.10", "scikit-learn~=1.5.0"),
        (
            "/subscriptions/1/resourceGroups/r/providers/p/workspaces/w/environments/sklearn-1.5/versions/3",
            "3.10",
            "scikit-learn~=1.5.0",
        ),
        ("mcr.microsoft.com/azureml/curated/sklearn-1.5:12", "3.10", "scikit-learn~=1.5.0"),
        ("mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest", "3.8", ""),
        ("mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04@sha256:00ff", "3.8", ""),
        ("mcr.microsoft.com/azureml/minimal-ubuntu20.04-py39-cpu-inference:latest", "3.9", ""),
        ("mcr.microsoft.com/azureml/minimal-py312-inference", "3.12", "numpy"),
        ("python:3.11-slim", "3.11", ""),
    ],
)
def test_the_table_that_ships(nobody: dict[str, str], reference: str, python: str, package: str) -> None:
    found = lookup(reference, variables=nobody)
    assert found.python == python
    assert found.source == reference
    assert package in (*found.packages, "")
    assert python in found.notes[-1]


def test_every_entry_that_ships_can_be_read() -> None:
    table = environment_table.built_in()
    for key in table.entries:
        reference = key.replace("*", "x")
        found = lookup(reference)
        assert interpreters.satisfies((3, 99, 0), found.python) is False


def test_users_tables_win_and_the_nearest_first(tmp_path: Path, nobody: dict[str, str]) -> None:
    beside, home, named = (
        tmp_path / "beside",
        tmp_path / "home" / ".config" / "penstock",
        tmp_path / "named.yml",
    )
    for folder, python in ((home, "3.8"), (Path.cwd(), "3.9"), (beside, "3.10")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "environments.yml").write_text(
            f'sklearn-1.5: {{python: "{python}"}}\n{python}-only: {{}}\n'
        )
    named.write_text('sklearn-1.5: {python: "3.11"}\n')
    reference = "azureml:sklearn-1.5@latest"
    assert lookup(reference, variables={"HOME": str(tmp_path / "elsewhere")}).python == "3.9"
    assert lookup(reference, beside=beside, variables=nobody).python == "3.10"
    assert (
        lookup(reference, beside=beside, variables={**nobody, "PENSTOCK_ENVIRONMENTS": str(named)}).python
        == "3.11"
    )
    lookup("azureml:3.8-only:1", beside=beside, variables=nobody)


def test_what_an_entry_may_say(tmp_path: Path, nobody: dict[str, str]) -> None:
    (Path.cwd() / "conda.yml").write_text("dependencies: [python=3.9, numpy=1.21]\n")
    (Path.cwd() / "r.txt").write_text("six\n")
    Path("environments.yml").write_text(
        "azureml:mine:3: {python: 3.10, packages: [numpy==1.22.4, --pre]}\n"
        "mine: {conda_file: conda.yml}\n"
        'files: {python: "3.12", requirements: r.txt}\n'
        "example.org/team/*: mine\n"
    )
    three = lookup("azureml:mine:3", variables=nobody)
    assert (three.python, three.packages, three.options) == ("3.10", ("numpy==1.22.4",), ("--pre",))
    assert lookup("azureml:mine@latest", variables=nobody).packages == ("numpy==1.21.*",)
    assert lookup("example.org/team/image:2", variables=nobody).python == "3.9"
    files = lookup("files", variables=nobody)
    assert (files.python, files.packages) == ("3.12", ("six",))


def test_an_unknown_one_says_what_to_write_where(tmp_path: Path, nobody: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="'azureml:my-env:3' is not known") as caught:
        lookup("azureml:my-env:3", beside=tmp_path, variables=nobody)
    assert f"{tmp_path}/environments.yml" in caught.value.hint
    assert str(tmp_path / "home" / ".config" / "penstock" / "environments.yml") in caught.value.hint
    assert '\nmy-env:\n  python: "3.10"\n  packages: [' in caught.value.hint
    with pytest.raises(SpecError, match=r"close is 'sklearn-1\.5'"):
        lookup("azureml:sklearn-1.51:1", variables=nobody)


def test_the_proposed_text_works_as_it_stands(tmp_path: Path, nobody: dict[str, str]) -> None:
    for reference in (
        "azureml:my-env:3",
        "localhost:5000/team/image:7",
        "azureml://registries/r/environments/e/versions/1",
    ):
        with pytest.raises(SpecError) as caught:
            lookup(reference, variables=nobody)
        Path("environments.yml").write_text(caught.value.hint.split("\n\n")[1] + "\n")
        assert lookup(reference, variables=nobody).packages[0] == "scikit-learn==1.5.2"
        Path("environments.yml").unlink()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: {}\ne: {pyton: 3.8}\n", 2, "e.pyton: is not known"),
        ("e: [x]\n", 1, "must be a mapping"),
        ("e: {packages: [a], conda_file: b}\n", 1, "must have one of"),
        ("e: {conda_file: none.yml}\n", 1, "no file 'none.yml'"),
        ("e: {packages: numpy}\n", 1, "must be a list"),
        ("e: {packages: [numpy=1]}\n", 1, "'numpy=1' is not a requirement"),
        ("e: {python: newest}\n", 1, "must be a version"),
        ("e: f\nf: e\n", 2, "no entry of this file that ends"),
        ("e: nothing\n", 1, "no entry of this file that ends"),
    ],
)
def test_mistakes_name_file_line_and_key(nobody: dict[str, str], text: str, line: int, message: str) -> None:
    Path("environments.yml").write_text(text)
    with pytest.raises(SpecError) as caught:
        lookup("e", variables=nobody)
    assert message in str(caught.value)
    assert "environments.yml" in str(caught.value)
    assert caught.value.line == line


def test_a_named_table_that_is_missing_is_an_error(tmp_path: Path, nobody: dict[str, str]) -> None:
    with pytest.raises(SpecError, match="PENSTOCK_ENVIRONMENTS"):
        lookup("e", variables={**nobody, "PENSTOCK_ENVIRONMENTS": str(tmp_path / "none.yml")})
