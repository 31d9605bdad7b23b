"""Where packages come from on this machine: pip's configuration, said in uv's variables.

uv does not read ``pip.conf`` or ``PIP_*``, yet that is where companies name their mirrors. So what pip is
told is handed to uv, unless uv has a configuration of its own, which then stands alone. URLs may hold
passwords: they travel in environment variables, never in arguments.
Sources: pip's "Configuration" page (files, order, names), uv's "Environment variables" page.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import Mapping, Sequence

_UV_OWN_VARIABLES = (
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_NO_INDEX",
)
_SECTIONS = ("global", "install")
_TRUE = ("1", "true", "yes", "on")


def uv_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """What to add to `variables` (a process environment) so that uv installs from where pip would."""
    if configures_uv(variables):
        return {}
    return translate(pip_settings(variables), variables)


def configures_uv(variables: Mapping[str, str]) -> bool:
    """Whether this machine or user has told uv where packages come from."""
    if any(variables.get(name) for name in _UV_OWN_VARIABLES):
        return True
    user = variables.get("XDG_CONFIG_HOME") or os.path.join(_home(variables), ".config")
    shared = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    folders = [user, *shared, "/etc"]
    return any(Path(folder, "uv", "uv.toml").is_file() for folder in folders)


def pip_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """pip's settings by long option name (``extra-index-url``): files in pip's order, then ``PIP_*``; what
    comes later wins."""
    settings: dict[str, str] = {}
    for path in _pip_files(variables):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself refuses such a file, and is the one to say so
        for section in _SECTIONS:
            if parser.has_section(section):
                settings.update((key.replace("_", "-"), value) for key, value in parser.items(section))
    for name, value in variables.items():
        if name.startswith("PIP_") and value:
            settings[name[len("PIP_") :].lower().replace("_", "-")] = value
    return settings


def translate(settings: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """pip's `settings` as uv's variables; those that `variables` sets already are left alone."""
    wanted: dict[str, str | None] = {
        "UV_DEFAULT_INDEX": settings.get("index-url") or settings.get("pypi-url"),
        "UV_INDEX": " ".join(settings.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_NO_INDEX": "1" if _on(settings.get("no-index")) else None,
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": settings.get("timeout") or settings.get("default-timeout"),
        "UV_KEYRING_PROVIDER": "subprocess" if settings.get("keyring-provider") == "subprocess" else None,
        "UV_PRERELEASE": "allow" if _on(settings.get("pre")) else None,
        "UV_CONSTRAINT": " ".join(settings.get("constraint", "").split()),
        "SSL_CERT_FILE": settings.get("cert"),
        "SSL_CLIENT_CERT": settings.get("client-cert"),
        "HTTPS_PROXY": settings.get("proxy"),
        "HTTP_PROXY": settings.get("proxy"),
    }
    if wanted["UV_INDEX"]:
        # pip takes the best version over all its indexes; uv would stop at the first that has the name.
        wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in wanted.items() if value and not variables.get(name)}


def _on(value: str | None) -> bool:
    return (value or "").strip().lower() in _TRUE


def _home(variables: Mapping[str, str]) -> str:
    return variables.get("HOME") or str(Path.home())


def _pip_files(variables: Mapping[str, str]) -> Sequence[str]:
    """pip's configuration files, least important first."""
    named = variables.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = _home(variables)
    shared = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    files: list[str] = [os.path.join(folder, "pip", "pip.conf") for folder in reversed(shared)]
    files += [
        "/etc/pip.conf",
        os.path.join(home, ".pip", "pip.conf"),
        os.path.join(variables.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "pip", "pip.conf"),
        os.path.join(sys.prefix, "pip.conf"),
    ]
    if named:
        files.append(named)
    return files
