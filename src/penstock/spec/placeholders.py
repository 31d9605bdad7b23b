"""Values that a template left open: ``<ENDPOINT_NAME>``, ``$NAME``, ``${NAME}``, ``{{NAME}}``, ``<% PATH %>``."""

from __future__ import annotations

import re

_OPEN = re.compile(r"<%.*?%>|<[A-Za-z][^<>/]*>|\$\{?[A-Za-z_]\w*\}?|\{\{.*?\}\}|\$\(\w+\)|#\{\w+\}#")


def hint_for(text: str) -> str:
    """What to do about the first placeholder in `text`; empty where there is none."""
    found = _OPEN.search(text)
    return f"{found.group()} is a placeholder: put the value there" if found else ""
