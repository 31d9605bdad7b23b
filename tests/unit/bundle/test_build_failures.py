"""uv's own words, as it said them (0.13), become an error that names the package and the next step."""

from __future__ import annotations

import pytest

from penstock.bundle import build_failures
from penstock.bundle.interpreters import Interpreter
from penstock.bundle.requirements import Requirements

ON = Interpreter("/python3.8", (3, 8, 18))
HEAD = "Using Python 3.8.18 environment at: e3.8.18\n"
UNSOLVED = HEAD + "error: No solution found when resolving dependencies\n  cause: "
ABSENT = UNSOLVED + (
    "Because nosuch was not found in the package registry and you require nosuch==3, we can conclude that\n"
    "         your requirements are unsatisfiable."
)
NO_VERSION = (
    UNSOLVED + "Because there is no version of numpy==9.9 and you require numpy==9.9, we can conclude that"
)
OTHER_PYTHON = UNSOLVED + (
    "Because the current Python version (3.8.18) does not satisfy Python>=3.11 and all of:\n"
    "             numpy>=2.3.0rc1,<=2.4.0rc1\n             numpy>=2.4.1,<=2.4.6\n"
    "         depend on Python>=3.11, we can conclude that all of:\n"
    "         Because the current Python version (3.8.18) does not satisfy Python>=3.9 and numpy>=2.0.0,<=2.0.2 "
    "depends on Python>=3.9, we can conclude that numpy>=2.0.0,<=2.0.2 cannot be used."
)
UNBUILT = HEAD + (
    "Resolved 6 packages in 749ms\n   Building scikit-learn==0.24.2\n"
    "error: Failed to build `scikit-learn==0.24.2`\n  cause: The build backend returned an error\n"
    "         ModuleNotFoundError: No module named 'pkg_resources'\n\n"
    "hint: This error likely indicates that something else\n"
)
NO_WHEEL = (
    UNSOLVED + "Because pandas==0.25.1 has no usable wheels and you require pandas==0.25.1, we can conclude"
)
UNREACHED = HEAD + (
    "error: Request failed after 3 retries in 4.4s\n  cause: Failed to fetch: http://me:secret@mirror/simple/six/\n"
    "  cause: error sending request for url (http://me:secret@mirror/simple/six/)\n"
)
CONFLICT = UNSOLVED + (
    "Because pandas==2.0.0 depends on numpy>=1.20.3 and you require pandas==2.0.0, we can conclude that\n"
    "         you require numpy>=1.20.3. And because you require numpy==1.16, we can conclude that your\n"
    "         requirements are unsatisfiable."
)

DISK = (
    HEAD
    + "error: Failed to install: numpy.whl\n  cause: failed to copy: No space left on device (os error 28)\n"
)
OFFLINE = UNSOLVED + "Because nope was not found in the cache and you require nope, we can conclude that"


@pytest.mark.parametrize(
    ("log", "packages", "message", "hint"),
    [
        (
            ABSENT,
            ("NoSuch==3",),
            "conda.yml asks for `NoSuch==3`, but no package index",
            "the name it has on PyPI",
        ),
        (ABSENT, ("other",), "a package of conda.yml needs nosuch, but no package index", "private index"),
        (
            NO_VERSION,
            ("numpy==9.9",),
            "no package index that is configured has numpy==9.9",
            "a version that exists",
        ),
        (
            OTHER_PYTHON,
            ("numpy>=2",),
            "`numpy>=2`, which needs Python 3.9 or newer; the environment",
            "python=3.9",
        ),
        (UNBUILT, ("scikit-learn==0.24.2",), "has no ready-made wheel for Python 3.8.18", "loosen the pin"),
        (NO_WHEEL, ("pandas==0.25.1",), "pandas==0.25.1 has no wheel for Python 3.8.18", "another Python"),
        (UNREACHED, ("six",), "cannot be reached: http://***@mirror/simple/six/", "--environment current"),
        (
            CONFLICT,
            ("pandas==2.0.0", "numpy==1.16"),
            "cannot be installed together",
            "loosen one of the pins",
        ),
        (DISK, ("numpy",), "cannot be written: No space left on device", "PENSTOCK_CACHE"),
        (OFFLINE, ("nope",), "`nope`; uv is told to stay offline", "UV_OFFLINE"),
        ("error: something new\n", ("six",), "could not install the packages of conda.yml", ""),
        ("error: something new\n", ("six",), "error: something new", ""),
    ],
)
def test_explained(log: str, packages: tuple[str, ...], message: str, hint: str) -> None:
    error = build_failures.explain(log, Requirements(packages=packages, source="conda.yml"), ON)
    assert message in str(error)
    assert hint in error.hint
    assert "secret" not in str(error) + error.hint


def test_a_long_log_is_cut_to_a_screen_and_uvs_own_advice_left_out() -> None:
    log = UNBUILT.replace("  cause: The", "\n".join(f"  line {i}" for i in range(500)) + "\n  cause: The")
    text = str(build_failures.explain(log, Requirements(source="c"), ON))
    assert len(text.splitlines()) < 20
    assert "lines left out" in text
    assert "ModuleNotFoundError" in text
    assert "something else" not in text
