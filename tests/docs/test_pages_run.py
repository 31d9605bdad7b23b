"""Everything that README and docs/ show works, to the letter. The convention: `page_runner`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import page_runner
import pytest
from page_runner import DIRECTIVES, LANGUAGES, ROOT, Runner

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN_TEST = {
    "environments.md": "test_environments_page.py",
    "scoring-models.md": "test_scoring_models_page.py",
}
"""Pages whose blocks are tested elsewhere, with data of their own."""


def _runs(page: Path) -> bool:
    return page.name not in OWN_TEST and any(
        block.language in ("console", "python") or block.directive for block in page_runner.blocks(page)
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of examples/ after ``python train.py`` and ``python flowers.py``."""
    folder = tmp_path_factory.mktemp("trained") / "examples"
    shutil.copytree(
        ROOT / "examples",
        folder,
        ignore=shutil.ignore_patterns("__pycache__", "*.pkl", "iris-mlflow", "*.csv", "flowers", "results"),
    )
    for script in ("train.py", "flowers.py"):
        subprocess.run([sys.executable, script], cwd=folder, check=True, timeout=60, capture_output=True)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_one_that_can_be_tested(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = page_runner.blocks(page)
    assert text.count("\n```") + text.startswith("```") == 2 * len(found), (
        "a block is not closed, or indented"
    )
    if page.name not in OWN_TEST and page.name != "architecture.md":
        for block in found:
            assert block.language in LANGUAGES, f"{page.name}:{block.line}: language {block.language!r}"
            assert block.directive in DIRECTIVES | {""}, f"{page.name}:{block.line}: {block.directive}"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if _runs(page)], ids=lambda page: page.name)
def test_what_a_page_shows_works(page: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "examples")
    runner = Runner(tmp_path)
    if page.name != "README.md":
        runner.cwd = tmp_path / "examples"
    try:
        for block in page_runner.blocks(page):
            try:
                runner.run(block)
            except Exception as error:
                raise AssertionError(f"{page.name}:{block.line}: {error}") from error
    finally:
        runner.stop()


def test_the_runner_tells_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo a b\na ... b\n```\n<!-- exit: 3 -->\n```console\n$ exit 3\n```\n"
        "```json\n{]\n```\n```console\n$ echo c\nd\n```\n```console\n$ false\n```\n"
    )
    found = page_runner.blocks(page)
    runner = Runner(tmp_path)
    assert [block.line for block in found] == [1, 6, 9, 12, 16]
    for block in found[:2]:
        runner.run(block)
    for block in found[2:]:
        with pytest.raises((AssertionError, ValueError)):
            runner.run(block)
    assert page_runner.agrees("a ...b c\n... e", "a xxb c\n1\n2 e\n")
    assert not page_runner.agrees("a b", "a b c")
