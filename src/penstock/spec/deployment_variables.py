"""``environment_variables:`` of a deployment or job file."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.spec.documents import Document, KeyPath


def read(
    document: Document, said: Mapping[str, str] | None, *, under: KeyPath = ("environment_variables",)
) -> dict[str, str]:
    """The variables `said` under the key path `under`. Raises SpecError for a name or value that no process
    can have."""
    variables = dict(said or {})
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name:
            raise document.error("no variable can have this name", *under, name)
        if "\0" in value:
            raise document.error("a variable cannot hold a NUL", *under, name)
    return variables
