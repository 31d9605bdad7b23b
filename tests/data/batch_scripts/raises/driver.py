"""Fails for a reason that has a reason."""

import json

from reader import read


def run(mini_batch):
    results = []
    for path in mini_batch:
        try:
            results.append(read(path))
        except json.JSONDecodeError as error:
            raise RuntimeError(f"cannot score {path}") from error
    return results
