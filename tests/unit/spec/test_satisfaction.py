"""Whether the running interpreter will do."""

from __future__ import annotations

import pytest

from penstock.bundle.requirements import Requirements
from penstock.spec import mlflow_environments, satisfaction

INSTALLED = {"scikit-learn": "1.5.0", "numpy": "2.1.3", "torch": "2.4.1+cpu", "beta": "1.0b2"}


@pytest.mark.parametrize(
    ("python", "packages", "met"),
    [
        ("", (), True),
        ("3.11", (), True),
        ("3.11.4", (), True),
        ("3", (), True),
        ("3.1", (), False),
        ("3.10.9", (), False),
        (">=3.8,<3.12", (), False),
        ("", ("scikit-learn==1.5",), True),
        ("", ("scikit-learn==1.5.1",), False),
        ("", ("numpy>=2,<3",), True),
        ("", ("numpy (>=2)",), True),
        ("", ("numpy<2",), False),
        ("", ("numpy!=2.1.3",), False),
        ("", ("torch==2.4.1",), True),
        ("", ("numpy", "missing"), False),
        ("", ("numpy~=2.0",), False),
        ("", ("numpy==2.*",), False),
        ("", ('numpy; python_version < "3"',), False),
        ("", ("beta",), False),
        ("", ("https://example.org/x.whl",), False),
    ],
)
def test_only_what_is_certain_counts(python, packages, met):
    requirements = Requirements(python=python, packages=packages)
    assert satisfaction.is_satisfied(requirements, lambda name: INSTALLED.get(name, ""), (3, 11)) is met


def test_options_of_pip_need_an_environment_of_their_own():
    assert not satisfaction.is_satisfied(Requirements(options=("--pre",)), lambda name: "1", (3, 11))


def test_mlflow_itself_is_only_needed_for_other_flavours(tmp_path):
    asked = Requirements(packages=("mlflow==2.9.2", "mlflow-skinny", "mlflow-plugin==1", "scikit-learn==1.5"))
    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    kept = mlflow_environments.without_mlflow(asked, str(tmp_path)).packages
    assert kept == ("mlflow-plugin==1", "scikit-learn==1.5")
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: mlflow.spacy\n")
    assert mlflow_environments.without_mlflow(asked, str(tmp_path)) == asked


def test_the_conda_file_speaks_for_an_mlflow_model(tmp_path):
    (tmp_path / "requirements.txt").write_text("scikit-learn==1.4.0\n")
    assert mlflow_environments.read(str(tmp_path)).packages == ("scikit-learn==1.4.0",)
    (tmp_path / "python_env.yaml").write_text("python: 3.9.13\ndependencies: [-r requirements.txt]\n")
    assert mlflow_environments.read(str(tmp_path)).python == "3.9.13"
    (tmp_path / "conda.yaml").write_text("dependencies: [python=3.8.5, pip, {pip: [scikit-learn==1.3.0]}]\n")
    found = mlflow_environments.read(str(tmp_path))
    assert (found.python, found.packages) == ("3.8.5", ("scikit-learn==1.3.0",))
