"""``penstock serve --check``: what would be served, for people and for programs.

Keys are counted, never shown.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from penstock.assembly import environments
from penstock.assembly.serving import Plan
from penstock.bundle.manifest import Settings


def about(plan: Plan) -> dict[str, Any]:
    """A JSON-able description of `plan`. Reads the environment's files; SpecError where they are wrong."""
    launch = plan.launch
    described = launch.manifest
    choice = plan.environment
    needed = None if choice.kind == "current" else environments.read_requirements(choice)
    return {
        "name": described.name,
        "model": dataclasses.asdict(described.model) if described.model else None,
        "code": dataclasses.asdict(described.code) if described.code else None,
        "environment": {
            "kind": choice.kind,
            "value": choice.value or (choice.requirements.source if choice.requirements else ""),
            "said": choice.said,
            "python": needed.python if needed else "",
            "packages": list(needed.packages) if needed else [],
        },
        "variables": dict(described.variables),
        "settings": dataclasses.asdict(described.settings),
        "sample_input": described.sample_input,
        "address": f"{launch.host}:{launch.port}",
        "path_prefix": launch.path_prefix,
        "cors_origins": list(launch.cors_origins),
        "keys": len(launch.keys),
        "log_format": launch.log_format,
        "log_level": launch.log_level,
        "access_log": launch.access_log,
        "reload": launch.reload,
        "notes": [*launch.notes, *(needed.notes if needed else ())],
    }


def json_of(plan: Plan) -> str:
    """`about` as indented JSON."""
    return json.dumps(about(plan), indent=2) + "\n"


def text_of(plan: Plan) -> str:
    """A page for people: settings that differ from the default are marked."""
    told = about(plan)
    model, code = told["model"], told["code"]
    rows = [("name", told["name"])]
    if model:
        rows += [("model", model["path"]), ("format", model["format"] or "left to the script")]
        rows += [("AZUREML_MODEL_DIR", model["directory"])]
    if code:
        rows += [("code", code["directory"]), ("script", code["script"])]
    environment = told["environment"]
    rows += [
        (
            "environment",
            f"{environment['kind']} {environment['value']}".strip() + f"  ({environment['said']})",
        )
    ]
    if environment["packages"]:
        rows += [("python", environment["python"] or "any"), ("packages", ", ".join(environment["packages"]))]
    rows += [("variable", f"{name}={value}") for name, value in told["variables"].items()]
    rows += [("address", f"http://{told['address']}{told['path_prefix']}/score")]
    rows += [("keys", str(told["keys"]) if told["keys"] else "none: anybody who can connect may score")]
    defaults = dataclasses.asdict(Settings())
    for name, value in told["settings"].items():
        rows.append((name, f"{value}" if value == defaults[name] else f"{value}  (default {defaults[name]})"))
    width = max(len(label) for label, _ in rows)
    lines = [f"{label:<{width}}  {value}" for label, value in rows]
    lines += [f"note: {note}" for note in told["notes"]]
    return "\n".join(lines) + "\n"
