"""Lies deep in its folder, and imports its neighbours in three ways."""

import json
import os
import sys
from pathlib import Path

script_dir = os.path.dirname(os.path.realpath(__file__))
sys.path.append(os.path.join(script_dir, "more"))

from shapes import area_of  # noqa: E402

from .helpers import double  # noqa: E402

with open(Path(__file__).parent / "labels.json") as labels:
    LABELS = json.load(labels)


def run(mini_batch):
    import far

    return [LABELS[str(double(area_of(name)) % 2)] + far.MARK for name in mini_batch]
