"""``penstock score --check``: plan, say what would be scored, leave nothing behind. Driver only."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from penstock.bundle.batch import BatchLaunch
from penstock.kit import urls
from penstock.runtimes.batch.ledger import Ledger
from penstock.runtimes.batch.planning import intake
from penstock.runtimes.batch.reports import progress
from penstock.runtimes.batch.sinks import registry as sinks
from penstock.runtimes.batch.worker import read_schema


def check(launch: BatchLaunch) -> None:
    """Writes to stdout what the job of `launch` would do. Raises what it would raise before any work."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="penstock-check-") as folder:
        held = dataclasses.replace(launch, folder=folder)
        sinks.open_sink(launch.output, job=launch.job, folder=folder).check()
        ledger = Ledger(folder)
        inputs = intake.Intake(held, Path(folder, "inputs"), room=0)
        try:
            inputs.write_plan(ledger, None)
            about = _about(launch, ledger, inputs, time.perf_counter() - began)
        finally:
            inputs.close()
            ledger.close()
    as_json = launch.log_format == "json"
    sys.stdout.write(json.dumps({"event": "checked", **about}) + "\n" if as_json else _text(about))
    sys.stdout.flush()


def _about(launch: BatchLaunch, ledger: Ledger, inputs: intake.Intake, seconds: float) -> dict[str, Any]:
    count, size = ledger.planned()
    manifest = launch.manifest
    schema = ledger.fact("schema")
    fields = read_schema(bytes.fromhex(schema)) if schema else ()
    return {
        "name": manifest.name,
        "model": manifest.model.path if manifest.model else "",
        "format": manifest.model.format if manifest.model else "",
        "script": str(Path(manifest.code.directory, manifest.code.script)) if manifest.code else "",
        "python": launch.python,
        "inputs": inputs.locations(),
        "files": ledger.fact("files"),
        "bytes": size,
        "columns": {field.name: str(field.type) for field in fields},
        "mini_batches": count,
        "takes": launch.settings.takes,
        "output": urls.without_secrets(launch.output.location),
        "output_form": launch.output.form,
        "engine": launch.engine,
        "notes": list(launch.notes),
        "planning_s": round(seconds, 3),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _text(about: dict[str, Any]) -> str:
    scorer = about["script"] or about["model"]
    lines = [f"  Penstock would score with {about['name']}: {scorer}"]
    if about["format"]:
        lines[0] += f" ({about['format']})"
    lines.append(f"  on {about['python']}")
    lines.append("")
    lines.append(
        f"    input    {progress.counted(about['files'], 'file')}, {progress.size(about['bytes'])}, in "
        f"{progress.counted(about['mini_batches'], 'mini-batch')}: {', '.join(about['inputs'])}"
    )
    columns = [f"{name} {kind}" for name, kind in about["columns"].items()]
    if columns:
        more = f", and {len(columns) - 12} more" if len(columns) > 12 else ""
        lines.append(f"    columns  {', '.join(columns[:12])}{more}")
    lines.append(f"    output   {about['output']} ({about['output_form']})")
    lines += [f"    note     {note}" for note in about["notes"]]
    return "\n".join(lines) + "\n"
