"""``python -m penstock``: the command line, where its script is not on PATH."""

from __future__ import annotations

from penstock.cli.main import main

main()
