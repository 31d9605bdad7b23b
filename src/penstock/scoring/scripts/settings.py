"""What a scoring script's deployment says through the environment, read in this one place.

The names are those of Azure ML's inference server, and so is the precedence: a variable, else the key of the
same name in ``AZUREML_CONFIG_FILE`` (default: ``config.json`` in the code directory), else the default.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Mapping

from penstock import errors

_NAMES = {
    "AML_APP_ROOT": "app_root",
    "AZUREML_SOURCE_DIRECTORY": "source_dir",
    "AZUREML_MODEL_DIR": "azureml_model_dir",
    "AZUREML_LOG_LEVEL": "log_level",
    "SCORING_TIMEOUT_MS": "scoring_timeout",
    "SERVICE_NAME": "service_name",
    "SERVICE_VERSION": "service_version",
    "SERVICE_PATH_PREFIX": "service_path_prefix",
}
"""Variable -> the older name that a ``config.json`` may use for it."""


@dataclass(frozen=True)
class ScriptSettings:
    """The settings of one scoring script; defaults are the inference server's."""

    source_directory: str = ""
    """A folder under the code directory whose modules are importable too; empty: none."""
    model_directory: str = ""
    """``AZUREML_MODEL_DIR``; empty: no model was given."""
    log_level: str = "INFO"
    """Level of the ``azmlinfsrv`` logger, to which ``print`` goes."""
    scoring_timeout_ms: int = 0
    """How long `run` may take before the request fails; 0: the variable is not set, no alarm is armed."""
    service_name: str = "ML service"
    """Title of the schema pages."""
    service_version: str = "1.0"
    """Version on the schema pages."""
    service_path_prefix: str = ""
    """Prefix of the paths on the schema pages."""


def read_settings(code_directory: str, environ: Mapping[str, str]) -> ScriptSettings:
    """The settings that `environ` and the configuration file give.

    Raises `ScriptError` (stage ``import``) when the file or a value cannot be read.
    """
    values = _config_file(code_directory, environ)
    for name in _NAMES:
        if name in environ:
            values[name] = environ[name]
    return ScriptSettings(
        source_directory=str(values.get("AZUREML_SOURCE_DIRECTORY", "")),
        model_directory=str(values.get("AZUREML_MODEL_DIR", "")),
        log_level=str(values.get("AZUREML_LOG_LEVEL", "INFO")).upper(),
        scoring_timeout_ms=_milliseconds(values.get("SCORING_TIMEOUT_MS", 0)),
        service_name=str(values.get("SERVICE_NAME", "ML service")),
        service_version=str(values.get("SERVICE_VERSION", "1.0")),
        service_path_prefix=str(values.get("SERVICE_PATH_PREFIX", "")),
    )


def _milliseconds(value: Any) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if number < 0:
        raise errors.ScriptError(
            f"SCORING_TIMEOUT_MS is {value!r}, not a whole number of milliseconds",
            stage="import",
            hint="Set it to a number such as 60000, or remove it.",
        )
    return number


def _config_file(code_directory: str, environ: Mapping[str, str]) -> dict[str, Any]:
    candidates = [environ.get("AZUREML_CONFIG_FILE", ""), os.path.join(code_directory, "config.json")]
    path = next((path for path in candidates if path and os.path.isfile(path) and os.path.getsize(path)), "")
    if not path:
        return {}
    explicit = path == candidates[0]
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        if not explicit:
            # A script may keep a config.json of its own, in whatever form it likes.
            return {}
        raise errors.ScriptError(
            f"{path} (AZUREML_CONFIG_FILE) cannot be read as JSON: {error}", stage="import"
        ) from error
    if not isinstance(content, dict):
        return {}
    older = {alias: name for name, alias in _NAMES.items()}
    values = {name: content[name] for name in _NAMES if content.get(name) is not None}
    for alias, name in older.items():
        if name not in values and content.get(alias) is not None:
            values[name] = content[alias]
    return values
