"""Opening batch scoring scripts inside the test process, and data for them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import script_bench

from penstock.bundle.batch import BatchSettings
from penstock.bundle.manifest import Code, Manifest, ModelSource
from penstock.scoring.scripts.batch import ScriptBatchScorer, open_batch_script

SCRIPTS = Path(__file__).parents[3] / "data" / "batch_scripts"


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Undo what opening a batch script does to a process."""
    arguments, level, fallback = list(sys.argv), logging.root.level, logging.lastResort
    handlers = list(logging.root.handlers)
    assert fallback is not None
    fallback_level, formatter = fallback.level, fallback.formatter
    with script_bench.untouched():
        try:
            yield
        finally:
            sys.argv[:] = arguments
            logging.root.setLevel(level)
            logging.root.handlers[:] = handlers
            fallback.setLevel(fallback_level)
            fallback.setFormatter(formatter)


def folder(name: str) -> tuple[Path, str]:
    """The code folder and the script, below it, of the example called `name`."""
    code = SCRIPTS / name
    nested = {"nested": "src/scoring/driver.py"}
    if name in nested:
        return code, nested[name]
    code = code / "code" if (code / "code").is_dir() else code
    named = [path.name for path in sorted(code.glob("*.py")) if "def run(" in path.read_text()]
    own = [path.name for path in sorted(code.glob("*.py")) if "run = " in path.read_text()]
    return code, (named or own)[0]


def opened(
    code: Path | str,
    script: str = "driver.py",
    *,
    model: Path | None = None,
    takes: str = "files",
    schema: Any = None,
    variables: dict[str, str] | None = None,
    **settings: Any,
) -> ScriptBatchScorer:
    """The scorer of the example called `code`, or of `script` in the folder `code`."""
    if isinstance(code, str):
        code, script = folder(code)
    source = ModelSource(path=str(model), name="model") if model else None
    manifest = Manifest(name="test", model=source, code=Code(str(code), script), variables=variables or {})
    os.environ.pop("AZUREML_MODEL_DIR", None)
    return open_batch_script(manifest, BatchSettings(takes=takes, **settings), schema)


def texts(folder: Path, *contents: str, suffix: str = ".txt") -> list[str]:
    """Paths of files ``1.txt``, ``2.txt``, ... with `contents`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}{suffix}" for number in range(1, len(contents) + 1)]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    return [str(path) for path in paths]
