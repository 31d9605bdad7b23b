"""What is to be deployed, as values: the model, the code, the variables and the settings.

`penstock.spec` reads what people wrote and fills this in, every path absolute and every default resolved;
from here on nobody asks again. It crosses processes as JSON. Runs in workers: Python 3.8, standard library.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import Any, Mapping


@dataclass(frozen=True)
class ModelSource:
    """A model file or folder. `path` is absolute. `format` is a loader's name, or empty to look and see.
    `directory` is what ``AZUREML_MODEL_DIR`` says to a script: the folder that holds `path`."""

    path: str
    name: str
    version: str = "1"
    format: str = ""
    directory: str = ""

    def __post_init__(self) -> None:
        if not self.directory:
            object.__setattr__(self, "directory", os.path.dirname(self.path))


@dataclass(frozen=True)
class Code:
    """A scoring script: `directory` is absolute and becomes ``AML_APP_ROOT``; `script` is relative to it."""

    directory: str
    script: str


@dataclass(frozen=True)
class Settings:
    """How a deployment is run. One field a setting, unit in the name."""

    workers: int = 1
    """Worker processes, each with one loaded model."""
    request_timeout_ms: int = 60_000
    """From the last byte of a request to its answer; then 504, and the worker that is still at it is killed."""
    max_queue_wait_ms: int = 0
    """How long a request may wait for a worker before it is answered 429; 0: as long as its deadline allows."""
    max_queue: int = 2048
    """Requests that may wait; one more is answered 429 with ``Retry-After``."""
    max_batch_size: int = 256
    """Most requests that one worker takes at a time."""
    max_body_bytes: int = 100 * 1024 * 1024
    """Largest body accepted; a larger one is answered 413."""
    start_timeout_s: float = 600.0
    """How long a worker may take to load before it counts as failed."""
    drain_timeout_s: float = 30.0
    """How long requests in flight may take after SIGTERM before they are cut."""
    memory_limit_mb: int = 0
    """Resident memory at which a worker is replaced once it is idle; 0: no limit."""
    preload: str = "auto"
    """``auto``: load once and fork where that is safe; ``always``; ``never``: each worker loads for itself."""


@dataclass(frozen=True)
class Manifest:
    """One deployment. At least one of `model` and `code` is set."""

    name: str
    model: ModelSource | None = None
    code: Code | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = Settings()
    sample_input: str = ""
    """Absolute path of a sample payload, for models that say nothing of their inputs; or empty."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The reverse of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        return cls(
            name=raw["name"],
            model=ModelSource(**raw["model"]) if raw["model"] else None,
            code=Code(**raw["code"]) if raw["code"] else None,
            variables=raw["variables"],
            settings=Settings(**raw["settings"]),
            sample_input=raw["sample_input"],
        )
