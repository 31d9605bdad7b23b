"""Environments built for real by uv: once, whole or not at all, on the Python asked for, with words when not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.bundle import environments, interpreters
from penstock.bundle.requirements import Requirements
from penstock.errors import EnvironmentBuildError
from penstock.spec import conda
from support.waiting import until

pytestmark = pytest.mark.slow

BUILD = Path(__file__).parents[1] / "data" / "worker_probe" / "build_environment.py"
Builder = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of environments, in force for this process and its children."""
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "environments"


@pytest.fixture
def builder(cache: Path) -> Iterator[Builder]:
    """Starts processes that build; whatever of them is left is killed with its children."""
    started: list[subprocess.Popen[str]] = []

    def start(**fields: object) -> subprocess.Popen[str]:
        argv = [sys.executable, str(BUILD), json.dumps(fields)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    """A wheel with one module that holds its version."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def waiting_project(folder: Path) -> Path:
    """A source project whose build makes a file ``begun`` beside it and then waits for a file ``go`` there."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "waiting"\nversion = "1.0"\n'
    )
    source = wheel(folder.parent / "made", "waiting")
    (folder / "backend.py").write_text(
        "import pathlib, shutil, time\n"
        f"here = pathlib.Path({str(folder.parent)!r})\n"
        "def build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        "    (here / 'begun').write_text('')\n"
        "    deadline = time.monotonic() + 60\n"
        "    while not (here / 'go').exists() and time.monotonic() < deadline:\n"
        "        time.sleep(0.02)\n"
        f"    return pathlib.Path(shutil.copy({str(source)!r}, directory)).name\n"
    )
    return folder


def run(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_built_once_then_taken_from_the_cache(cache: Path, tmp_path: Path) -> None:
    said: list[str] = []
    requirements = Requirements(packages=(str(wheel(tmp_path, "tiny")),), source="conda.yml")
    first = environments.prepare(requirements, strict=False, say=said.append)
    assert run(first.python, "import tiny; print(tiny.version)") == "1.0\n"
    assert said[0].startswith("building the environment of conda.yml on Python 3.")
    assert any(line.startswith("installed 1 package") for line in said)
    said.clear()
    assert environments.prepare(requirements, strict=False, say=said.append) == first
    assert said == []


def test_penstock_itself_is_not_in_it_but_the_companions_are(cache: Path, tmp_path: Path) -> None:
    built = environments.prepare(Requirements(), strict=False, say=print)
    probe = "import importlib.util as u; print([n for n in NAMES if u.find_spec(n)])"
    names = ["penstock", "click", "pip", "pkg_resources", "orjson"]
    assert run(built.python, f"NAMES = {names}; {probe}") == "['pip', 'pkg_resources', 'orjson']\n"


@pytest.mark.parametrize(
    ("packages", "numpy", "word"),
    [
        (("pandas==1.1.5", "numpy"), "1.26.4", "NumPy is kept below 2: pandas 1.1.5 is built for NumPy 1"),
        (("pandas==2.2.3", "numpy"), "2.2.6", ""),
        (
            ("pandas==1.1.5", "numpy>=2"),
            "2.2.6",
            "NumPy 2 is asked for, but pandas 1.1.5 is built for NumPy 1",
        ),
    ],
)
def test_numpy_fits_what_was_compiled_for_it(
    cache: Path, tmp_path: Path, packages: tuple[str, ...], numpy: str, word: str
) -> None:
    for name, version in (("numpy", "1.26.4"), ("numpy", "2.2.6"), ("pandas", "1.1.5"), ("pandas", "2.2.3")):
        wheel(tmp_path / "wheels", name, version)
    options = ("--no-index", f"--find-links {tmp_path / 'wheels'}")
    said: list[str] = []
    built = environments.prepare(
        Requirements(packages=packages, options=options), strict=False, say=said.append
    )
    assert run(built.python, "import numpy; print(numpy.version)") == f"{numpy}\n"
    about_numpy = [line for line in said if line.startswith("NumPy")]
    assert [line[: len(word)] for line in about_numpy] == ([word] if word else [])


@pytest.mark.parametrize(
    ("asked", "version"), [("setuptools", "80.9"), ("setuptools>=82", "82.0"), ("setuptools==70.0", "70.0")]
)
def test_setuptools_keeps_what_old_libraries_import(
    cache: Path, tmp_path: Path, asked: str, version: str
) -> None:
    for each in ("70.0", "80.9", "82.0"):
        wheel(tmp_path / "wheels", "setuptools", each)
    options = ("--no-index", f"--find-links {tmp_path / 'wheels'}")
    requirements = Requirements(packages=(asked,), options=options)
    built = environments.prepare(requirements, strict=False, say=print)
    assert run(built.python, "import setuptools; print(setuptools.version)") == f"{version}\n"


def test_two_at_once_build_once(builder: Builder, cache: Path, tmp_path: Path) -> None:
    project = waiting_project(tmp_path / "project")
    first = builder(packages=[str(project)])
    until((tmp_path / "begun").exists, "the build to begin")
    second = builder(packages=[str(project)])
    assert second.stdout is not None
    assert "waiting for another process" in second.stdout.readline()
    (tmp_path / "go").write_text("")
    (out_first, _), (out_second, _) = first.communicate(timeout=60), second.communicate(timeout=60)
    assert out_first.splitlines()[-1] == out_second.splitlines()[-1]
    assert "building" not in out_second
    assert run(out_first.splitlines()[-1], "import waiting; print(waiting.version)") == "1.0\n"


def test_a_killed_build_leaves_nothing_half_made(builder: Builder, cache: Path, tmp_path: Path) -> None:
    project = waiting_project(tmp_path / "project")
    first = builder(packages=[str(project)])
    until((tmp_path / "begun").exists, "the build to begin")
    first.kill()  # uv, its child, goes on, and holds the lock that it has inherited
    first.wait(10)
    (folder,) = [path for path in cache.iterdir() if path.is_dir()]
    assert not environments.is_ready(str(folder))
    second = builder(packages=[str(project)])
    assert second.stdout is not None
    assert "waiting for another process" in second.stdout.readline()
    (tmp_path / "go").write_text("")
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 0, output
    assert "building the environment" in output
    assert run(output.splitlines()[-1], "import waiting; print(waiting.version)") == "1.0\n"


def test_an_interrupted_build_ends_uv_and_clears_up(builder: Builder, cache: Path, tmp_path: Path) -> None:
    project = waiting_project(tmp_path / "project")
    first = builder(packages=[str(project)])
    until((tmp_path / "begun").exists, "the build to begin")
    first.send_signal(signal.SIGINT)
    assert first.wait(20) != 0
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_failed_build_leaves_nothing_and_can_be_tried_again(cache: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    requirements = Requirements(
        packages=("tiny==1.0",), options=("--no-index", f"--find-links {wheels}"), source="conda.yml"
    )
    with pytest.raises(EnvironmentBuildError, match=r"conda\.yml asks for `tiny==1.0`, but no package index"):
        environments.prepare(requirements, strict=False, say=print)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    wheel(wheels, "tiny")
    environments.prepare(requirements, strict=False, say=print)


def test_pips_configuration_says_where_packages_come_from(
    builder: Builder, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "mirror", "only_in_the_mirror")
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nno-index = true\nfind-links = {tmp_path}/mirror\n")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    process = builder(packages=["only-in-the-mirror"])
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentBuildError, match="cannot build the environment in") as caught:
        environments.prepare(Requirements(packages=("x",)), strict=False, say=print)
    assert "PENSTOCK_CACHE" in caught.value.hint


def test_a_python_that_is_missing(cache: Path, tmp_path: Path) -> None:
    requirements = Requirements(python="3.99", packages=(str(wheel(tmp_path, "tiny")),), source="conda.yml")
    with pytest.raises(
        EnvironmentBuildError, match=r"conda\.yml asks for Python 3\.99, which this machine lacks"
    ):
        environments.prepare(requirements, strict=True, say=print)
    built = environments.prepare(requirements, strict=False, say=print)
    assert "this machine lacks; using Python" in built.notes[0]
    run(built.python, "import tiny")


@pytest.mark.skipif(
    not any(each.version[:2] == (3, 8) for each in interpreters.find()),
    reason="this machine has no Python 3.8",
)
def test_a_model_of_2021_loads_in_the_environment_of_2021(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "conda.yml"
    path.write_text(
        "name: model-env\nchannels: [conda-forge]\ndependencies:\n"
        "  - python=3.8\n  - pip=21.1\n  - numpy=1.19.5=py38h9894fe3_2\n  - mkl\n"
        "  - pip:\n      - scikit-learn==0.24.2\n      - joblib==1.0.1\n"
    )
    built = environments.prepare(conda.read_conda_file(path), strict=True, say=print)
    pickled = tmp_path / "model.pkl"
    train = (
        "import sys, joblib, sklearn, numpy; from sklearn.linear_model import Ridge;"
        "joblib.dump(Ridge().fit([[0.], [1.], [2.]], [0., 1., 2.]), sys.argv[1])"
    )
    subprocess.run([built.python, "-c", train, str(pickled)], check=True, timeout=60)
    load = (
        f"import joblib, numpy, sklearn; m = joblib.load({str(pickled)!r});"
        "print(sklearn.__version__, numpy.__version__, round(m.predict([[1.]])[0], 6))"
    )
    assert run(built.python, load) == "0.24.2 1.19.5 1.0\n"
