from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.bundle import requirement_lines
from penstock.bundle.requirements import Requirements


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Scikit_Learn[x]>=1", "scikit-learn"),
        ("ruamel.yaml", "ruamel-yaml"),
        ("numpy ; python_version < '3.9'", "numpy"),
        ("torch @ https://example.org/torch.whl", "torch"),
        ("https://example.org/torch.whl", ""),
        ("/wheels/torch.whl", ""),
        ("git+https://example.org/x.git", ""),
    ],
)
def test_name_of(line: str, name: str) -> None:
    assert requirement_lines.name_of(line) == name


names = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,8}[A-Za-z0-9]", fullmatch=True)
blanks = st.sampled_from(["", " ", "  "])


@given(names, blanks, blanks, st.sampled_from([">=", "==", "~=", "<"]))
def test_blanks_and_spelling_make_no_difference(name: str, left: str, right: str, operator: str) -> None:
    spelled = f"{left}{name.upper().replace('-', '_')}{left}{operator}{right}1.2 ,{right}!= 1.3"
    assert requirement_lines.normalized(spelled) == requirement_lines.normalized(f"{name}{operator}1.2,!=1.3")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("--find-links=x", ("--find-links", "x")),
        ("--find-links x", ("--find-links", "x")),
        ("-f x", ("--find-links", "x")),
        ("-fx", ("--find-links", "x")),
        ("-i https://a/b=c", ("--index-url", "https://a/b=c")),
        ("--pre", ("--pre", "")),
        ("-e .", ("--editable", ".")),
    ],
)
def test_split_option(line: str, parts: tuple[str, str]) -> None:
    assert requirement_lines.split_option(line) == parts


def test_passwords_travel_on_standard_input_and_never_in_arguments() -> None:
    arguments, text = requirement_lines.for_uv(
        Requirements(
            packages=("numpy==1",),
            options=("--extra-index-url https://me:secret@example.org/simple", "--pre"),
        )
    )
    assert "secret" not in " ".join(arguments)
    assert "--extra-index-url https://me:secret@example.org/simple\n" in text
    assert "numpy==1\n" in text
    assert arguments == ["--index-strategy", "unsafe-best-match", "--prerelease", "allow"]


def test_local_files_count_and_change_the_fingerprint(tmp_path: Path) -> None:
    wheel = tmp_path / "x-1-py3-none-any.whl"
    wheel.write_bytes(b"one")
    project = tmp_path / "project"
    project.mkdir()
    (project / "setup.py").write_text("one")
    requirements = Requirements(
        packages=(f"{wheel}", f"y @ file://{wheel}", f"{project}[extra]", "numpy"),
        options=(f"--constraint {wheel}", f"--editable {project}[x]"),
    )
    paths = requirement_lines.local_paths(requirements)
    assert paths[:4] == [str(wheel), str(wheel), str(project), str(wheel)]
    assert str(project / "setup.py") in paths
    before = [requirement_lines.fingerprint(path) for path in paths]
    wheel.write_bytes(b"two")
    (project / "new.py").write_text("")
    after = [requirement_lines.fingerprint(path) for path in paths]
    assert before[0] != after[0]
    assert before[2] != after[2]
    assert before[-4:] == after[-4:]  # an editable project's code may change: it is read where it lies
