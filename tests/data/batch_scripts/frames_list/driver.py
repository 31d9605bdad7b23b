"""A frame for each file."""

import pandas as pd


def run(mini_batch):
    return [pd.read_csv(path) for path in mini_batch]
