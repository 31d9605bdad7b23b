"""pip's configuration reaches uv, unless uv has its own. Files are real, in a home folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.bundle import package_indexes


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The variables of a user whose folders are all empty."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "etc")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_users_pip_conf(tmp_path: Path, home: dict[str, str]) -> None:
    write(
        tmp_path / ".config" / "pip" / "pip.conf",
        "[global]\nindex-url = https://mirror/simple\nextra-index-url =\n    https://one/simple\n    https://two/simple\n"
        "trusted-host = mirror other\n[install]\nfind_links = /wheels /more\npre = true\n",
    )
    told = package_indexes.uv_variables(home)
    assert told["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert told["UV_INDEX"] == "https://one/simple https://two/simple"
    assert told["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert told["UV_FIND_LINKS"] == "/wheels,/more"
    assert told["UV_INSECURE_HOST"] == "mirror other"
    assert told["UV_PRERELEASE"] == "allow"


def test_variables_win_over_files_and_nearer_files_over_farther(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "etc" / "pip" / "pip.conf", "[global]\nindex-url = https://shared\nretries = 7\n")
    write(
        tmp_path / ".config" / "pip" / "pip.conf", "[global]\nindex-url = https://users\ncert = /users.pem\n"
    )
    assert package_indexes.pip_settings(home)["index-url"] == "https://users"
    assert package_indexes.pip_settings(home)["retries"] == "7"
    told = package_indexes.uv_variables(
        {**home, "PIP_INDEX_URL": "https://typed", "PIP_DEFAULT_TIMEOUT": "60"}
    )
    assert told["UV_DEFAULT_INDEX"] == "https://typed"
    assert told["UV_HTTP_TIMEOUT"] == "60"
    assert told["SSL_CERT_FILE"] == "/users.pem"


def test_what_uv_is_told_already_stands(tmp_path: Path, home: dict[str, str]) -> None:
    variables = {
        **home,
        "PIP_INDEX_URL": "https://pip",
        "SSL_CERT_FILE": "/mine.pem",
        "PIP_CERT": "/pips.pem",
    }
    assert "SSL_CERT_FILE" not in package_indexes.uv_variables(variables)
    assert package_indexes.uv_variables({**variables, "UV_DEFAULT_INDEX": "https://uv"}) == {}
    write(tmp_path / ".config" / "uv" / "uv.toml", "")
    assert package_indexes.uv_variables(variables) == {}


def test_no_pip_configuration_at_all(home: dict[str, str]) -> None:
    assert package_indexes.uv_variables({**home, "PIP_CONFIG_FILE": "/dev/null"}) == {}


def test_a_pip_conf_that_cannot_be_read_is_passed_over(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / ".config" / "pip" / "pip.conf", "index-url without a section\n")
    assert "index-url" not in package_indexes.pip_settings(home)
