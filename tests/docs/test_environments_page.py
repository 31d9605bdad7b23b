"""What docs/environments.md shows is true: its example works, and the packages it names are treated as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.spec import conda, environment_table

PAGE = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")


def test_the_example_table_works(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "environments.yml").write_text(block)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "conda.yml").write_text("dependencies: [python=3.9]\n")
    (tmp_path / "requirements.txt").write_text("six\n")
    expected = {
        "azureml:my-env:3": "3.10",
        "azureml:my-env@latest": "3.10",
        "azureml://registries/any/environments/my-env/versions/7": "3.10",
        "azureml:my-env:2": "3.9",
        "registry.example.org/team/image:1": "3.11",
        "azureml:old-name:1": "3.10",
    }
    found = {name: environment_table.lookup(name, beside=tmp_path, variables={}).python for name in expected}
    assert found == expected


def test_the_references_it_names_are_in_the_table_that_ships(tmp_path: Path) -> None:
    section = PAGE.partition("## The environment table")[2].partition("Add your own")[0]
    references = re.findall(r"`((?:azureml:|mcr\.)[^`]+)`", section)
    assert len(references) == 3
    for reference in references:
        environment_table.lookup(reference, variables={"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("marker", "treated"),
    [("wheels bring along", conda.PackageTable.is_bundled), ("PyPI cannot give", conda.PackageTable.advice)],
)
def test_the_packages_it_names_are_treated_as_it_says(marker: str, treated: object) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith("- ") and marker in line]
    names = re.findall(r"`([^`]+)`", line)
    assert len(names) == 4
    assert callable(treated)
    assert all(treated(conda.package_table(), name) for name in names)


def test_the_names_it_translates() -> None:
    pairs = re.findall(r"`([a-z-]+)` is `([a-z-]+)`", PAGE)
    assert len(pairs) == 4
    for name, pypi in pairs:
        assert conda.requirements_of({"dependencies": [name]}, source="s", folder=".").packages == (pypi,)
