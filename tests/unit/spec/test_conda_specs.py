"""Conda's versions in PEP 440. `packaging` is the judge of what a specifier admits."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from penstock.spec.conda_specs import MatchSpec, parse, pep440, python_version


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("numpy", MatchSpec("numpy")),
        ("numpy=1.21", MatchSpec("numpy", "=1.21")),
        ("numpy==1.21.2", MatchSpec("numpy", "==1.21.2")),
        ("numpy=1.21.2=py38_0", MatchSpec("numpy", "=1.21.2", "py38_0")),
        ("numpy==1.21.2=py38_0", MatchSpec("numpy", "==1.21.2", "py38_0")),
        ("numpy 1.21.2 py38_0", MatchSpec("numpy", "1.21.2", "py38_0")),
        ("numpy >=1.8,<2", MatchSpec("numpy", ">=1.8,<2")),
        ("numpy >= 1.8, < 2 py_0", MatchSpec("numpy", ">=1.8,<2", "py_0")),
        ("numpy>=1.8=py_0", MatchSpec("numpy", ">=1.8", "py_0")),
        ("python = 3.8", MatchSpec("python", "=3.8")),
        ("conda-forge::numpy=1.2", MatchSpec("numpy", "=1.2", "", "conda-forge")),
        ("conda-forge/linux-64::numpy", MatchSpec("numpy", "", "", "conda-forge/linux-64")),
        ("numpy[version='>=1.3,<2',build=py_0]", MatchSpec("numpy", ">=1.3,<2", "py_0")),
        ("Numpy=1.2  # pinned", MatchSpec("numpy", "=1.2")),
        ("_libgcc_mutex=0.1=main", MatchSpec("_libgcc_mutex", "=0.1", "main")),
    ],
)
def test_parse(text: str, spec: MatchSpec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize("text", ["", "=1.2", ">=3", "::"])
def test_what_names_no_package_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a conda dependency"):
        parse(text)


@pytest.mark.parametrize(
    ("version", "build", "specifier"),
    [
        ("", "", ""),
        ("*", "", ""),
        ("=*", "", ""),
        ("=1.2", "", "==1.2.*"),
        ("=1.2", "py38_0", "==1.2"),
        ("=1.2", "*", "==1.2.*"),
        ("==1.2", "", "==1.2"),
        ("1.2", "", "==1.2"),
        ("1.2.*", "", "==1.2.*"),
        ("1.2*", "", "==1.2.*"),
        ("=1.2.*", "py38_0", "==1.2.*"),
        (">=1.2,<2", "", ">=1.2,<2"),
        (">=1.2.*", "", ">=1.2"),
        ("!=1.2.*", "", "!=1.2.*"),
        ("~=1.2", "", "~=1.2"),
        ("~=1", "", ">=1"),
        ("=1.0rc1", "", "==1.0rc1"),
        ("=1!2.0", "", "==1!2.0.*"),
    ],
)
def test_pep440(version: str, build: str, specifier: str) -> None:
    assert pep440(version, build) == (specifier, "")


@pytest.mark.parametrize(
    ("version", "specifier"),
    [("1.2|1.3", "==1.3"), ("=1.10|1.9", "==1.10.*"), (">=2|<1", ">=2"), ("1.2.*|1.3.*", "==1.3.*")],
)
def test_of_alternatives_the_newest_is_asked_and_said(version: str, specifier: str) -> None:
    found, note = pep440(version)
    assert found == specifier
    assert "no 'or'" in note


@pytest.mark.parametrize("version", ["=1.1.1k_2", "^1.2$", "(1.2|1.3)", "==release_3"])
def test_versions_that_only_conda_has_are_refused(version: str) -> None:
    with pytest.raises(ValueError, match="PyPI does not know"):
        pep440(version)


@pytest.mark.parametrize(
    ("version", "python"),
    [
        ("", ""),
        ("=3.8", "3.8"),
        ("==3.8", "3.8"),
        ("3.8.*", "3.8"),
        ("=3.8.13", "3.8.13"),
        (">=3.8,<3.11", ">=3.8,<3.11"),
    ],
)
def test_python_version(version: str, python: str) -> None:
    assert python_version(version) == python


numbers = st.lists(st.integers(0, 12), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))


@given(numbers, numbers)
def test_one_sign_is_a_series_and_two_are_exact(asked: str, have: str) -> None:
    """The meaning that conda gives them, said over the parts of the version."""
    series, _ = pep440(f"={asked}")
    exact, _ = pep440(f"=={asked}")
    padded = (have.split(".") + ["0"] * 3)[: len(asked.split("."))]
    assert SpecifierSet(series).contains(have) == (padded == asked.split("."))
    assert SpecifierSet(exact).contains(have) == (Version(asked) == Version(have))


@given(
    st.sampled_from([">=", ">", "<=", "<", "!=", "~=", "=", "=="]),
    numbers,
    st.sampled_from(["", "*", ".*"]),
    numbers,
)
def test_whatever_is_given_out_is_pep440(operator: str, version: str, wildcard: str, build: str) -> None:
    specifier, _ = pep440(f"{operator}{version}{wildcard}", build)
    assume(specifier)
    SpecifierSet(specifier)


@given(numbers, numbers, numbers)
def test_ranges_keep_their_meaning(low: str, high: str, have: str) -> None:
    specifier, _ = pep440(f">={low},<{high}")
    assert SpecifierSet(specifier).contains(have) == (Version(low) <= Version(have) < Version(high))


@given(
    st.sampled_from(["numpy", "scikit-learn", "_x"]), numbers, st.sampled_from(["", "py38_0", "h1de35cc_1"])
)
def test_parse_undoes_what_conda_list_prints(name: str, version: str, build: str) -> None:
    text = f"{name}={version}={build}" if build else f"{name}={version}"
    assert parse(text) == MatchSpec(name, f"={version}", build)
    assert parse(f"channel::{text}").channel == "channel"
