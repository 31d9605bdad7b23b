"""Environment variables of ``penstock serve``, read in this one place.

Most are those of Azure ML's inference server, with its meaning and its fallback: what a variable does not
say, the key of the same name in ``AZUREML_CONFIG_FILE`` (else ``config.json`` beside the script) may.
SCORING_TIMEOUT_MS, SERVICE_NAME and the like are left to the worker, which inherits them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock import errors
from penstock.spec.drafts import Draft

AUTH_KEY = "PENSTOCK_AUTH_KEY"
AUTH_KEYS = "PENSTOCK_AUTH_KEYS"
SECRETS = (AUTH_KEY, AUTH_KEYS)
"""Variables that no child process may see."""

LEVELS = {
    "DEBUG": "debug",
    "INFO": "info",
    "WARN": "warning",
    "WARNING": "warning",
    "ERROR": "error",
    "CRITICAL": "error",
    "FATAL": "error",
}

_OLDER_NAMES = {
    "SERVICE_PATH_PREFIX": "service_path_prefix",
    "AZUREML_LOG_LEVEL": "log_level",
    "AML_CORS_ORIGINS": "cors_origins",
}
_TRUE = {"true": True, "1": True, "false": False, "0": False}


def with_config_file(environ: Mapping[str, str], code_directory: str) -> dict[str, str]:
    """`environ` over the string values of the configuration file that belongs to it.

    Raises UsageError when ``AZUREML_CONFIG_FILE`` names no readable JSON object. A ``config.json`` beside the
    script that is something else, as many models bring one, is left alone.
    """
    named = environ.get("AZUREML_CONFIG_FILE", "")
    path = Path(named or Path(code_directory, "config.json"))
    if not named and not (code_directory and path.is_file()):
        return dict(environ)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if named:
            raise errors.UsageError(f"AZUREML_CONFIG_FILE={named} cannot be read as JSON: {error}") from error
        return dict(environ)
    if not isinstance(values, dict):
        if named:
            raise errors.UsageError(f"AZUREML_CONFIG_FILE={named} is not a JSON object")
        return dict(environ)
    known = {
        name: values[name] for name in (*_OLDER_NAMES, "WORKER_COUNT", "WORKER_PRELOAD") if name in values
    }
    known |= {
        name: values[older] for name, older in _OLDER_NAMES.items() if older in values and name not in known
    }
    return {**{name: str(value) for name, value in known.items()}, **environ}


def ambient_draft(environ: Mapping[str, str]) -> Draft:
    """What the variables say of a deployment. Raises UsageError, naming the variable."""
    settings: dict[str, Any] = {}
    serving: dict[str, Any] = {}
    if environ.get("WORKER_COUNT"):
        settings["workers"] = _count("WORKER_COUNT", environ["WORKER_COUNT"])
    if environ.get("WORKER_PRELOAD"):
        word = environ["WORKER_PRELOAD"].lower()
        if word not in _TRUE:
            raise errors.UsageError(f"WORKER_PRELOAD={environ['WORKER_PRELOAD']}: write true or false")
        settings["preload"] = "always" if _TRUE[word] else "never"
    if environ.get("AML_CORS_ORIGINS"):
        serving["cors_origins"] = origins_of(environ["AML_CORS_ORIGINS"])
    if environ.get("SERVICE_PATH_PREFIX"):
        serving["path_prefix"] = prefix_of(environ["SERVICE_PATH_PREFIX"])
    if environ.get("AZUREML_LOG_LEVEL"):
        word = environ["AZUREML_LOG_LEVEL"].upper()
        if word not in LEVELS:
            raise errors.UsageError(
                f"AZUREML_LOG_LEVEL={environ['AZUREML_LOG_LEVEL']}: write one of {', '.join(LEVELS)}"
            )
        serving["log_level"] = LEVELS[word]
    keys = keys_of(environ)
    if keys:
        serving["keys"] = keys
    return Draft(settings=settings, serving=serving)


def keys_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The keys in PENSTOCK_AUTH_KEY (one) or PENSTOCK_AUTH_KEYS (one or two, with a comma between)."""
    if environ.get(AUTH_KEY):
        return (environ[AUTH_KEY],)
    return tuple(part.strip() for part in environ.get(AUTH_KEYS, "").split(",") if part.strip())


def origins_of(text: str) -> tuple[str, ...]:
    """``https://a.example, https://b.example`` or ``*``, as a tuple."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def prefix_of(text: str) -> str:
    """A path prefix with a slash before and none behind; ``/`` is none."""
    inner = text.strip().strip("/")
    return f"/{inner}" if inner else ""


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise errors.UsageError(f"{name}={text}: write a number of workers, 1 or more")
    return int(text)
