"""Returns an array of probabilities, a row for each."""

import numpy as np


def run(mini_batch):
    first = np.asarray(mini_batch["age"], dtype="float64") / 100
    return np.column_stack([first, 1 - first])
