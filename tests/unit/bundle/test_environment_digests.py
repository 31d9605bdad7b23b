"""What makes two environments the same one, and when one on disk counts. Builds are in tests/e2e."""

from __future__ import annotations

from pathlib import Path

from penstock.bundle import environments
from penstock.bundle.interpreters import Interpreter
from penstock.bundle.requirements import Requirements

ON = Interpreter("/python3.8", (3, 8, 18))


def test_order_spelling_and_source_make_no_difference() -> None:
    one = Requirements(packages=("numpy==1.2", "Scikit_Learn >= 1"), source="a.yml", notes=("left out: mkl",))
    two = Requirements(packages=("scikit-learn>=1", "numpy == 1.2"), source="b.yml")
    assert environments.digest(one, ON) == environments.digest(two, ON)


def test_versions_options_python_and_local_files_do(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"1")
    base = Requirements(packages=("numpy==1.2", str(wheel)))
    digests = [
        environments.digest(base, ON),
        environments.digest(Requirements(packages=("numpy==1.3", str(wheel))), ON),
        environments.digest(Requirements(packages=base.packages, options=("--pre",)), ON),
        environments.digest(base, Interpreter("/python3.8", (3, 8, 19))),
        environments.digest(base, Interpreter("/other/python3.8", (3, 8, 18))),
    ]
    wheel.write_bytes(b"2")
    digests.append(environments.digest(base, ON))
    assert len(set(digests)) == len(digests)


def test_only_a_finished_environment_with_its_interpreter_counts(tmp_path: Path) -> None:
    assert not environments.is_ready(str(tmp_path))
    base = tmp_path / "base-python"
    base.write_text("#!/bin/sh\n")
    base.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(base)
    assert not environments.is_ready(str(tmp_path))
    (tmp_path / ".penstock-ready").write_text("{}")
    assert environments.is_ready(str(tmp_path))
    base.unlink()
    assert not environments.is_ready(str(tmp_path))


def test_cache_directory() -> None:
    assert environments.cache_directory({"PENSTOCK_CACHE": "/c", "HOME": "/h"}) == "/c"
    assert environments.cache_directory({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == "/x/penstock"
    assert environments.cache_directory({"HOME": "/h"}) == "/h/.cache/penstock"
