"""Runs inside each interpreter found, started as workers are: imports modules, then scores with a script.

Arguments: names of modules, then ``--``, then a manifest as JSON. Prints one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback

HEAVY = {"numpy", "pandas", "pyarrow", "sklearn", "yaml", "pydantic", "click", "uvloop", "flask"}
STAND_INS = "penstock.scoring.compat."
"""These stand in for libraries that take NumPy or pandas for granted, and load when a script asks for them."""


def failed(names):
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            missing = error.name if isinstance(error, ModuleNotFoundError) else ""
            if not (name.startswith(STAND_INS) and missing in ("numpy", "pandas", "pyspark")):
                yield name, traceback.format_exc()


def main() -> None:
    split = sys.argv.index("--")
    ours = [name for name in sys.argv[1:split] if not name.startswith(STAND_INS)]
    failures = dict(failed(ours))
    heavy = sorted(HEAVY & set(sys.modules))
    failures.update(failed([name for name in sys.argv[1:split] if name.startswith(STAND_INS)]))
    answer = {"version": list(sys.version_info[:2]), "failures": failures, "heavy": heavy, "reply": ""}
    if not failures:
        from penstock.bundle.manifest import Manifest
        from penstock.scoring import opening
        from penstock.scoring.interface import Request

        scorer = opening.open_scorer(Manifest.from_json(sys.argv[split + 1]))
        replies = [scorer.score([request])[0] for request in (Request(b"[1, 2]"), Request(b'"raise"'))]
        answer["reply"] = [[reply.status, reply.body.decode()] for reply in replies]
    print("\n" + json.dumps(answer))


main()
