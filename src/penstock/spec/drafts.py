"""What one source says of a deployment, as far as it says anything.

A deployment is described by a file, by environment variables and by the command line at once. Each is read
into a `Draft`; `layered` puts one over the other; `penstock.assembly` fills what nobody said. So precedence
is decided in one place, and a reader of files need not know that there is a command line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.bundle.manifest import Code, ModelSource
from penstock.bundle.requirements import Requirements


@dataclass(frozen=True, kw_only=True)
class EnvironmentChoice:
    """The environment that somebody asked for.

    `kind`: ``current`` (the running interpreter), ``conda`` and ``requirements`` (`value` is the file's
    absolute path), ``reference`` (`value` is an image or a name such as ``azureml:sklearn-1.5@latest``, for
    the environment table), ``inline`` (`requirements` says it all), ``mlflow`` (`value` is the model's
    folder, which brings its own files). `said` names where it was said, for messages; `folder` is that of the
    file in which it was said, or empty: a table of environments may lie beside it.
    """

    kind: str
    value: str = ""
    requirements: Requirements | None = None
    said: str = ""
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One source's part of a deployment; None and empty mean that it says nothing.

    `settings` holds fields of `penstock.bundle.manifest.Settings`, `serving` those of
    `penstock.bundle.launch.Launch` that concern the listener and the logs; both by field name. `notes` are
    lines for people: what was ignored or replaced, and why.
    """

    name: str = ""
    model: ModelSource | None = None
    model_directory: str = ""
    """What AZUREML_MODEL_DIR shall be, exactly; empty: the folder that holds the model."""
    code: Code | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: EnvironmentChoice | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    serving: Mapping[str, Any] = field(default_factory=dict)
    sample_input: str = ""
    notes: tuple[str, ...] = ()


def layered(below: Draft, above: Draft) -> Draft:
    """One Draft of two: what `above` says wins, mappings are merged key by key, notes are kept in order."""
    said = {}
    for item in dataclasses.fields(Draft):
        low, high = getattr(below, item.name), getattr(above, item.name)
        if isinstance(low, tuple):
            said[item.name] = low + high
        elif isinstance(low, Mapping):
            said[item.name] = {**low, **high}
        else:
            said[item.name] = high if high not in (None, "") else low
    return Draft(**said)
