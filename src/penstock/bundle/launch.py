"""The launch contract: what the supervisor of one deployment is handed, and what workers find around them.

Whoever launches (the command line today, a container's entry point or a workspace later) writes a `Launch`
as JSON to a file descriptor that the supervisor inherits, so that keys never stand in an argument list.
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from penstock.bundle.manifest import Manifest


@dataclass(frozen=True)
class Patience:
    """How long the gateway waits for a client, in seconds."""

    head_s: float = 20.0
    """From a request's first byte to the end of its headers; then 408."""
    body_s: float = 60.0
    """How long a body may pause; then 408."""
    idle_s: float = 75.0
    """How long a connection may be idle between requests."""
    write_s: float = 60.0
    """How long a client may take none of its answer."""
    linger_s: float = 2.0
    """How long a client that was refused may pause while it still sends. Hanging up at once would make the
    kernel reset the connection, and the client might never read why it was refused."""
    linger_most_s: float = 30.0
    """How long it may go on sending."""


@dataclass(frozen=True)
class Launch:
    """Everything that `python -m penstock.runtimes.realtime.supervisor --launch-fd N` needs to know."""

    manifest: Manifest
    python: str
    """Absolute path of the interpreter that the workers run on."""
    host: str = "127.0.0.1"
    port: int = 5001
    """0: any free port; the log says which."""
    keys: tuple[str, ...] = ()
    """Accepted bearer keys, primary first; none: no authentication."""
    cors_origins: tuple[str, ...] = ()
    """``("*",)`` or origins, as AML_CORS_ORIGINS; none: no CORS headers."""
    path_prefix: str = ""
    """Prefix of every route, ``/v1/service``; SERVICE_PATH_PREFIX."""
    log_format: str = "human"
    """``human`` or ``json``."""
    log_level: str = "info"
    """``debug``, ``info``, ``warning`` or ``error``."""
    access_log: bool = False
    """One line a request; errors are logged in any case."""
    reload: bool = False
    """Watch `reload_paths` and replace the workers when something there changes."""
    reload_paths: tuple[str, ...] = ()
    """Files and folders, absolute."""
    notes: tuple[str, ...] = ()
    """Lines for people, logged once at start: what was ignored, what was replaced."""
    patience: Patience = Patience()

    def to_json(self) -> str:
        """One line of JSON."""
        raw = dataclasses.asdict(self)
        raw["manifest"] = self.manifest.to_json()
        return json.dumps(raw)

    @classmethod
    def from_json(cls, text: str) -> Launch:
        """The reverse of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        manifest = Manifest.from_json(raw.pop("manifest"))
        patience = Patience(**raw.pop("patience"))
        rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        return cls(manifest=manifest, patience=patience, **rest)


def worker_variables(
    manifest: Manifest, inherited: dict[str, str], *, path_prefix: str = ""
) -> dict[str, str]:
    """The environment variables of a worker: `inherited`, then what Azure ML promises a script and what our
    stand-ins for its modules ask for, then the deployment's own, which win."""
    variables = dict(inherited)
    variables["PENSTOCK_DEPLOYMENT"] = manifest.name
    if path_prefix:
        variables["SERVICE_PATH_PREFIX"] = path_prefix
    if manifest.model is not None:
        variables["AZUREML_MODEL_DIR"] = manifest.model.directory
        variables["PENSTOCK_MODEL_VERSION"] = manifest.model.version
    if manifest.code is not None:
        variables["AML_APP_ROOT"] = manifest.code.directory
        variables["AZUREML_ENTRY_SCRIPT"] = manifest.code.script
    variables.update(manifest.variables)
    return variables


# The working directory, which `-c` puts first on the path, goes last: a user's `random.py` must not shadow the
# standard library's, but a pickle's own module that lies there is still found. sys and os are loaded already.
_BOOT = """
import os, sys
if "" in sys.path:
    sys.path.remove("")
    try:
        sys.path.append(os.getcwd())
    except OSError:
        pass
import runpy, importlib.util
directory, module = sys.argv.pop(1), sys.argv.pop(1)
spec = importlib.util.spec_from_file_location(
    "penstock", directory + "/__init__.py", submodule_search_locations=[directory]
)
sys.modules["penstock"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def worker_argv(python: str, package_directory: str, module: str, *arguments: str) -> list[str]:
    """The argument list that runs `module` of this very Penstock on another interpreter.

    Only the package itself becomes importable there: putting its site-packages on the path would let the
    gateway's libraries shadow the deployment's own.
    """
    return [python, "-c", _BOOT, package_directory, module, *arguments]
