"""Goes elsewhere."""

import os
import tempfile


def run(mini_batch):
    os.chdir(tempfile.gettempdir())
    return [os.getcwd() for _ in mini_batch]
