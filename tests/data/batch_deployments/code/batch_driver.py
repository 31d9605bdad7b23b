"""A batch driver: one line for each file."""

from pathlib import Path


def init():
    pass


def run(mini_batch):
    return [Path(path).name for path in mini_batch]
