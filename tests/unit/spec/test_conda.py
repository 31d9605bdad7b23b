from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import SpecError
from penstock.spec import conda


def conda_file(folder: Path, text: str) -> Path:
    path = folder / "conda.yml"
    path.write_text(text)
    return path


def test_the_usual_file(tmp_path: Path) -> None:
    found = conda.read_conda_file(
        conda_file(
            tmp_path,
            """\
name: model-env
channels:
  - conda-forge
dependencies:
  - python=3.10
  - conda-forge::numpy=1.21.2=py310_0
  - scikit-learn 1.0.2
  - pytorch=1.12
  - opencv=4.5.1
  - msgpack-python
  - mkl
  - libgcc-ng=9.3.0
  - pip=21.2.4
  - pip:
      - azureml-defaults~=1.48  # comment
      - --extra-index-url https://example.org/simple
      - foo[bar]>=1; python_version < "3.9"
""",
        )
    )
    assert found.python == "3.10"
    assert found.packages == (
        "numpy==1.21.2",
        "scikit-learn==1.0.2",
        "torch==1.12.*",
        "opencv-python-headless==4.5.1.*",
        "msgpack",
        "azureml-defaults~=1.48",
        'foo[bar]>=1; python_version < "3.9"',
    )
    assert found.options == ("--extra-index-url https://example.org/simple",)
    assert found.source == str(tmp_path / "conda.yml")
    assert [note.partition(": ")[2] for note in found.notes] == [
        "left out, as PyPI's wheels bring what they need of it: mkl, libgcc-ng"
    ]


def test_python_310_is_not_31(tmp_path: Path) -> None:
    assert conda.read_conda_file(conda_file(tmp_path, "dependencies: [python=3.10]")).python == "3.10"
    env = tmp_path / "python_env.yaml"
    env.write_text("python: 3.10\nbuild_dependencies: [pip==23]\ndependencies: [-r requirements.txt]\n")
    (tmp_path / "requirements.txt").write_text("mlflow==2.9\n")
    found = conda.read_python_env_file(env)
    assert (found.python, found.packages) == ("3.10", ("mlflow==2.9",))


def test_a_full_export_asks_for_python_packages_only(tmp_path: Path) -> None:
    found = conda.read_conda_file(
        conda_file(
            tmp_path,
            """\
dependencies:
  - _libgcc_mutex=0.1=main
  - ca-certificates=2022.4.26=h06a4308_0
  - intel-openmp=2021.4.0=h06a4308_3561
  - ld_impl_linux-64=2.38=h1181459_1
  - libstdcxx-ng=11.2.0=h1234567_1
  - librosa=0.9.2=pyhd8ed1ab_0
  - mkl_fft=1.3.1=py38hd3c417c_0
  - openssl=1.1.1o=h7f8727e_0
  - python=3.8.13=h12debd9_0
  - setuptools=61.2.0=py38h06a4308_0
  - xz=5.2.5=h7f8727e_1
prefix: /opt/conda/envs/x
""",
        )
    )
    assert found.python == "3.8.13"
    assert found.packages == ("librosa==0.9.2", "setuptools==61.2.0")


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        (
            "dependencies:\n  - python=3.8\n  - r-base=4\n  - ffmpeg\n",
            3,
            "does not have r-base, ffmpeg",
            "line 4",
        ),
        ("dependencies:\n  - python: 3.8\n", 2, "'python' is a mapping", "python=3.8"),
        ("dependencies: numpy\n", 1, "must be a list", "as in"),
        ("name: x\n", 0, "is missing", "as in"),
        ("- numpy\n", 1, "must be a mapping", ""),
        ("dependencies: [\n", 2, "is not YAML", ""),
        ("dependencies:\n  - numpy\n  - pip: numpy\n", 3, "must be a list", ""),
        ("dependencies:\n  - pip:\n      - numpy=1.2\n", 3, "'numpy=1.2' is not a requirement", "numpy==1.2"),
        ("dependencies:\n  - openblas\n  - numpy=1.1.1k_2\n", 3, "PyPI does not know", "numpy has on PyPI"),
        ("dependencies:\n  - =1.2\n", 2, "not a conda dependency", "scikit-learn=1.0.2"),
        ("dependencies:\n  - [a, b]\n", 2, "not a conda dependency", ""),
        ("dependencies:\n  - python=pypy\n", 2, "conda's own way", ""),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        conda.read_conda_file(conda_file(tmp_path, text))
    assert message in str(caught.value)
    assert str(tmp_path / "conda.yml") in str(caught.value)
    assert caught.value.line == line
    assert hint in caught.value.hint


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.yml: there is no such file"):
        conda.read_conda_file(tmp_path / "nowhere.yml")


def test_keys_without_meaning_are_said_and_not_lost_in_silence(tmp_path: Path) -> None:
    found = conda.read_conda_file(
        conda_file(
            tmp_path, "dependancies: [x]\nvariables: {OMP_NUM_THREADS: 1}\ndependencies: [numpy=1.2|1.3]\n"
        )
    )
    notes = " ".join(found.notes)
    assert "'dependancies'" in notes
    assert "OMP_NUM_THREADS" in notes
    assert "'or'" in notes


def test_pip_runs_after_conda_and_replaces_what_it_installed(tmp_path: Path) -> None:
    found = conda.read_conda_file(
        conda_file(
            tmp_path,
            "dependencies:\n- numpy=1.19\n- six==1.16\n- pandas\n- pip:\n"
            "  - NumPy==1.21.2\n  - six == 1.16\n  - pandas<2; python_version > '3'\n",
        )
    )
    assert found.packages == ("pandas", "NumPy==1.21.2", "six == 1.16", "pandas<2; python_version > '3'")
    assert [note.partition(": ")[2] for note in found.notes] == [
        "numpy==1.19.* is replaced by NumPy==1.21.2 of the pip list"
    ]


def test_an_environment_written_inside_another_file(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("six\n")
    found = conda.requirements_of(
        {"name": "x", "dependencies": ["python=3.9", {"pip": ["-r more.txt", "numpy"]}]},
        source="deployment.yml",
        folder=tmp_path,
    )
    assert (found.python, found.packages) == ("3.9", ("six", "numpy"))
    with pytest.raises(SpecError, match=r"deployment\.yml: dependencies"):
        conda.requirements_of({"dependencies": "numpy"}, source="deployment.yml", folder=tmp_path)


def test_the_table_that_ships_is_whole() -> None:
    table = conda.package_table()
    assert not any(table.is_bundled(name) and name != "mkl-service" for name in table.pypi_names)
    assert not any(table.advice(name) for name in table.pypi_names)
    assert all(isinstance(text, str) and text for text in table.unavailable.values())
