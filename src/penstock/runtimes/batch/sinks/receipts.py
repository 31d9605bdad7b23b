"""What publishing has come to, in the job's own folder: so that it can be called again after a kill at any point,
and leaves nothing of ours in the place of the results but the results."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from penstock.runtimes.batch.sinks import places
from penstock.runtimes.batch.sinks.interface import Published


class Receipt:
    """A small JSON object at ``publish.json`` in the job's folder, replaced whole at each change."""

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / "publish.json"

    def load(self) -> dict[str, Any]:
        """What was saved last; empty when nothing was."""
        with contextlib.suppress(FileNotFoundError):
            content: dict[str, Any] = json.loads(self._path.read_text())
            return content
        return {}

    def save(self, **content: Any) -> None:
        """Keep `content` in place of what was there; it survives a loss of power."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        places.write_whole(self._path, json.dumps(content).encode())

    def published(self) -> Published | None:
        """What was published, where that is complete."""
        done = self.load().get("done")
        return Published(**done) if done else None

    def finish(self, published: Published) -> Published:
        """Publishing is complete."""
        self.save(done=vars(published))
        return published


def staging_name(name: str, job: str, folder: str) -> str:
    """A hidden name for what the job stages beside `name`. Jobs of one name may come from several folders."""
    digest = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:6]
    return f".{name}.penstock-{job}-{digest}"
