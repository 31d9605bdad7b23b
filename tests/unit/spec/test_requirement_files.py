from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement

from penstock.errors import SpecError
from penstock.spec import requirement_files
from penstock.spec.requirement_files import read_requirements_file


def write(folder: Path, text: str, name: str = "requirements.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_everything_that_pip_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0ken")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pyproject.toml").write_text("")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "x-1-py3-none-any.whl").write_text("")
    write(tmp_path, "pandas\n", "more.txt")
    write(tmp_path, "numpy<2\n", "constraints.txt")
    found = read_requirements_file(
        write(
            tmp_path,
            """\
# a comment
-r more.txt
-c constraints.txt
--extra-index-url https://u:${TOKEN}@example.org/simple  # private
--find-links=wheels
--pre
--no-cache-dir
-e ./project[extra]
numpy >=1.21, \\
    <2 ; python_version < "3.12"
scikit-learn==1.0.2 --hash=sha256:aa \\
    --hash=sha256:bb
torch @ https://example.org/torch.whl#sha256=1
git+https://example.org/repository.git@main#egg=x
./wheels/x-1-py3-none-any.whl
""",
        )
    )
    assert found.packages == (
        "pandas",
        'numpy >=1.21,      <2 ; python_version < "3.12"',
        "scikit-learn==1.0.2 --hash=sha256:aa --hash=sha256:bb",
        "torch @ https://example.org/torch.whl#sha256=1",
        "git+https://example.org/repository.git@main#egg=x",
        f"{tmp_path}/wheels/x-1-py3-none-any.whl",
    )
    assert found.options == (
        f"--constraint {tmp_path}/constraints.txt",
        "--extra-index-url https://u:t0ken@example.org/simple",
        f"--find-links {tmp_path}/wheels",
        "--pre",
        f"--editable {tmp_path}/project[extra]",
    )
    assert ["--no-cache-dir" in note for note in found.notes] == [True]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("numpy\npandas=1.2\n", 2, "'pandas=1.2' is not a requirement", "pandas==1.2"),
        ("a\n\nb \\\n c d\n", 3, "is not a requirement", "one requirement a line"),
        ("conda-forge::numpy\n", 1, "is not a requirement", "belong to conda"),
        ("--extra-index-urls x\n", 1, "--extra-index-urls is not known", "--extra-index-url"),
        ("-r none.txt\n", 1, "no requirements file 'none.txt'", "own folder"),
        ("-c none.txt\n", 1, "no constraints file", "own folder"),
        ("-e .\n", 1, "is no Python project", "own folder"),
        ("./x.whl\n", 1, "no file './x.whl'", "own folder"),
        ("-r requirements.txt\n", 0, "includes itself", "circle"),
        ("-r https://example.org/r.txt\n", 1, "not fetched", "save the file"),
        ("--find-links wheels\n", 1, "no folder 'wheels'", "make it"),
        ("numpy @ file:///tmp/build/numpy_1/work\n", 1, "not on this machine", "numpy==VERSION"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, line: int, message: str, hint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        read_requirements_file(path)
    assert message in str(caught.value)
    assert "requirements.txt" in str(caught.value)
    assert caught.value.line == line
    assert hint in caught.value.hint


def test_powershells_utf16_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes("numpy==1.2\r\n".encode("utf-16"))
    assert read_requirements_file(path).packages == ("numpy==1.2",)
    path.write_bytes("numpy==1.2\n".encode("utf-8-sig"))
    assert read_requirements_file(path).packages == ("numpy==1.2",)
    path.write_bytes(b"numpy\n\xff\xff\n")
    with pytest.raises(SpecError, match=r"requirements\.txt:2: is not UTF-8"):
        read_requirements_file(path)


@given(
    st.text(
        st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=60
    )
)
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    for number, line in requirement_files.logical_lines(text):
        assert line
        assert 1 <= number <= text.count("\n") + 1


@given(
    st.sampled_from(["numpy", "Foo.bar_baz", "a1"]),
    st.sampled_from(["", "[x]", "[x, y]"]),
    st.lists(
        st.sampled_from(["==1.2", ">=1", "<2.0", "!=1.2.*", "~=1.4", "=1", "1.2", "=>2", "==1.2+cpu"]),
        max_size=2,
    ),
    st.sampled_from(["", "; python_version < '3.9'", " ; sys_platform == 'linux'"]),
)
def test_packaging_agrees_on_what_a_requirement_is(
    name: str, extras: str, versions: list[str], marker: str
) -> None:
    text = name + extras + ",".join(versions) + marker
    try:
        Requirement(text)
    except InvalidRequirement:
        valid = False
    else:
        valid = True
    line = requirement_files.Line(text, "f", 1, Path("/"))
    collected = requirement_files.Collected()
    if valid:
        requirement_files.collect_line(collected, line)
        assert collected.packages == [text]
    else:
        with pytest.raises(SpecError):
            requirement_files.collect_line(collected, line)
