"""``penstock serve``: parse, resolve, build the environment, become the supervisor."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from penstock import errors
from penstock.assembly import serving, things
from penstock.cli import handover, keys, sections, serve_options, thing_options, variables
from penstock.spec.drafts import Draft

EPILOG = """
Precedence: an option wins over an environment variable, and that over a file.

Environment variables:
  PENSTOCK_AUTH_KEY, PENSTOCK_AUTH_KEYS  one key; or two with a comma between
  WORKER_COUNT, WORKER_PRELOAD           as --workers, --preload (true or false)
  AML_CORS_ORIGINS                       as --cors-origins
  SERVICE_PATH_PREFIX                    as --path-prefix
  AZUREML_LOG_LEVEL                      as --log-level
  AML_APP_ROOT, AZUREML_ENTRY_SCRIPT, AZUREML_MODEL_DIR
                                         as --code, --script, --model-dir, when nothing else is named
  AZUREML_CONFIG_FILE                    JSON with any of the variables above (default: config.json
                                         beside the script)

Exit codes:
  0 served, and stopped in peace         3 model or scoring script cannot start
  1 a bug in Penstock                    4 the environment cannot be built
  2 a wrong command line or file       130 interrupted before serving

Examples:
  penstock serve model.pkl
  penstock serve model.pkl --script score.py --workers 4
  penstock serve blue-deployment.yml --check
  PENSTOCK_AUTH_KEY=... penstock serve model.onnx --host 0.0.0.0
"""


@click.command(
    cls=sections.SectionedCommand,
    epilog=EPILOG,
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-"), "max_content_width": 100},
)
@click.argument("thing", required=False, metavar="[THING]")
@serve_options.with_options
def serve(**given: Any) -> None:
    """Serve THING over HTTP, in the foreground.

    THING is a model file (scikit-learn, XGBoost, LightGBM, ONNX, TorchScript), an MLflow model folder, or an
    Azure ML online deployment YAML. A scoring script is given with --script, with or without a model.
    POST /score answers; GET / says that it is up; GET /swagger.json says what it takes.
    """
    environ = dict(os.environ)
    plan = serving.resolve(
        sources_of(given, environ),
        typed_draft(given),
        lambda directory: variables.ambient_draft(variables.with_config_file(environ, directory)),
    )
    plan, fresh_key = secured(plan, no_auth=given["no_auth"])
    if given["check"]:
        from penstock.cli import checks

        click.echo(checks.json_of(plan) if given["output"] == "json" else checks.text_of(plan), nl=False)
        return
    launch = serving.furnish(plan, strict=given["strict_environment"], say=say)
    if fresh_key:
        say(fresh_key_note(fresh_key, launch.host))
    handover.hand_over(
        launch, {name: value for name, value in environ.items() if name not in variables.SECRETS}
    )


def sources_of(given: Mapping[str, Any], environ: Mapping[str, str]) -> things.Sources:
    """What the command line names, or, when it names nothing, what the inference server's variables name."""
    configs = {name: given[name] for name in ("inference_config", "deployment_config")}
    named = ("thing", "model", "model_dir", "code", "script")
    if any(given[name] for name in named) or any(configs.values()) or not environ.get("AZUREML_ENTRY_SCRIPT"):
        return thing_options.sources(given, **configs)
    return thing_options.sources(
        given,
        script=environ["AZUREML_ENTRY_SCRIPT"],
        code=environ.get("AML_APP_ROOT", ""),
        model_directory=environ.get("AZUREML_MODEL_DIR", ""),
    )


def typed_draft(given: Mapping[str, Any]) -> Draft:
    """The settings that the command line says."""
    limit = given["memory_limit"]
    start = given["start_timeout"]
    settings = {
        "workers": given["workers"],
        "request_timeout_ms": given["request_timeout"],
        "max_queue": given["max_queue"],
        "max_batch_size": given["max_batch_size"],
        "max_body_bytes": given["max_body"],
        "memory_limit_mb": None if limit is None else max(1, limit // 1024**2),
        "start_timeout_s": None if start is None else start / 1000,
        "preload": given["preload"],
    }
    serving = {
        "host": given["host"],
        "port": given["port"],
        "path_prefix": None if given["path_prefix"] is None else variables.prefix_of(given["path_prefix"]),
        "cors_origins": None
        if given["cors_origins"] is None
        else variables.origins_of(given["cors_origins"]),
        "keys": _typed_keys(given),
        "log_format": given["log_format"],
        "log_level": given["log_level"],
        "access_log": given["access_log"],
        "reload": given["reload"],
    }
    return Draft(settings=_said(settings), serving=_said(serving))


def secured(plan: serving.Plan, *, no_auth: bool) -> tuple[serving.Plan, str]:
    """`plan` with keys checked, and the key that was made up, or empty.

    Whoever lets others connect and names no key gets one: a model should not stand open by oversight.
    """
    launch = plan.launch
    if no_auth and launch.keys:
        raise errors.UsageError("--no-auth, but keys are given", hint="leave out one of them")
    keys.checked(launch.keys)
    if launch.keys or no_auth or keys.is_loopback(launch.host):
        return plan, ""
    fresh = keys.new_key()
    return dataclasses.replace(plan, launch=dataclasses.replace(launch, keys=(fresh,))), fresh


def fresh_key_note(key: str, host: str) -> str:
    """What to tell whoever got a key made up; shown once, on the terminal, and never logged."""
    return (
        f"others can connect to {host} and no key was given, so one was made up; it is shown this once:\n"
        f"  Authorization: Bearer {key}\n"
        "set your own with PENSTOCK_AUTH_KEY or --auth-key-file; --no-auth serves without"
    )


def say(line: str) -> None:
    """Progress, to stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _typed_keys(given: Mapping[str, Any]) -> tuple[str, ...] | None:
    if given["auth_key"] and given["auth_key_file"]:
        raise errors.UsageError(
            "--auth-key and --auth-key-file are both given", hint="put both keys into the file"
        )
    if given["auth_key_file"]:
        return keys.read_key_file(given["auth_key_file"])
    return tuple(given["auth_key"]) or None


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
