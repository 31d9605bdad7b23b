"""What a deployment's environment must hold, as a value: the one form to which conda files, requirements
files, environment YAML and MLflow's files are translated, and from which environments are built.

Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirements:
    """`python` as the file says it (``3.8``, ``3.9.13``, ``>=3.8,<3.11``; empty: any). `packages` are PEP 508
    requirements, paths of wheels and projects (absolute) and URLs, each with its ``--hash`` options if it has
    any; `options` are pip's own lines, in order (``--extra-index-url https://...``, ``--pre``, ``-e /path``).
    `source` names the file for messages, as the user named it. `notes` are lines for people: what of the file
    has no meaning here and was left out."""

    python: str = ""
    packages: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
