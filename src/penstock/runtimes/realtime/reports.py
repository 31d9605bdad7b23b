"""What a person reads when a deployment starts, and when it cannot: one screen each."""

from __future__ import annotations

from penstock.bundle.launch import Launch

_STAGES = {
    "environment": "its environment could not be used",
    "model": "the model could not be loaded",
    "import": "the scoring script could not be imported",
    "function": "the scoring script lacks what Penstock calls",
    "init": "init() of the scoring script failed",
}
_DETAIL_LINES = 25


def failure(launch: Launch, found: dict[str, str]) -> str:
    """Why a deployment cannot start: what failed, where, and what to try."""
    manifest = launch.manifest
    lines = [f"{manifest.name} cannot start: {_STAGES.get(found['stage'], found['stage'])}.", ""]
    lines += ["  " + line for line in found["message"].splitlines()]
    detail = found["detail"].strip().splitlines()
    if detail:
        if len(detail) > _DETAIL_LINES:
            left_out = len(detail) - _DETAIL_LINES
            detail = [*detail[:5], f"  ... {left_out} lines left out ...", *detail[-(_DETAIL_LINES - 5) :]]
        lines += ["", *("  | " + line for line in detail)]
    if found["hint"]:
        lines += ["", *("  try: " + line for line in found["hint"].splitlines())]
    lines += [""]
    if manifest.model is not None:
        lines.append(f"  model   {manifest.model.path}")
    if manifest.code is not None:
        lines.append(f"  script  {manifest.code.directory}/{manifest.code.script}")
    lines.append(f"  python  {launch.python}")
    return "\n".join(lines) + "\n"


def greeting(launch: Launch, url: str) -> str:
    """What is served, where, and how to ask it."""
    manifest = launch.manifest
    if manifest.code is not None:
        what = f"{manifest.code.script} in {manifest.code.directory}"
    else:
        what = manifest.model.path if manifest.model else ""
    workers = manifest.settings.workers
    prefix = launch.path_prefix
    key = "  (with a key: Authorization: Bearer ...)" if launch.keys else ""
    return (
        f"\n  Penstock serves {manifest.name}: {what}\n"
        f"  {workers} worker{'s' if workers > 1 else ''} on {launch.python}\n\n"
        f"    score    POST {url}{prefix}/score{key}\n"
        f"    schema   {url}{prefix}/docs   {url}{prefix}/swagger.json?version=3\n"
        f"    health   {url}/   {url}/v2/health/ready\n"
        f"    metrics  {url}/metrics\n\n"
    )
