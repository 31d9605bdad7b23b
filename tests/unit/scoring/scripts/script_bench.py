"""Opening scoring scripts inside the test process, and leaving the process as it was."""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from penstock.bundle.manifest import Code, Manifest, ModelSource
from penstock.scoring.scripts.scorer import ScriptScorer, open_script


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """Undo what opening a script does to a process."""
    directory, path, plain_print = Path.cwd(), list(sys.path), builtins.print
    modules, environ = set(sys.modules), dict(os.environ)
    level = logging.getLogger("azmlinfsrv").level
    try:
        yield
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:] = path
        builtins.print = plain_print
        logging.getLogger("azmlinfsrv").setLevel(level)
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            ours = file.startswith(("/tmp", str(directory / "tests" / "data")))
            if (ours and not file.startswith(sys.prefix)) or name == "main":
                del sys.modules[name]


def write(folder: Path, source: str, name: str = "score.py", init: str = "def init():\n    pass\n") -> Path:
    """A script with `source`, and an empty ``init`` unless told otherwise."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(init + textwrap.dedent(source))
    return path


def opened(
    folder: Path, script: str = "score.py", model: Path | None = None, **variables: str
) -> ScriptScorer:
    """The scorer of a script in `folder`."""
    source = ModelSource(path=str(model), name="m", directory=str(model)) if model else None
    return open_script(
        Manifest(name="test", model=source, code=Code(str(folder), script), variables=variables)
    )
