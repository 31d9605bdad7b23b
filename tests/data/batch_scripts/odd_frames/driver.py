"""Frames that are hard to write."""

import pandas as pd


def run(mini_batch):
    grouped = mini_batch.groupby("thal_normal")[["age", "chol"]].agg(["min", "max"])
    wide = mini_batch.pivot_table(index="age", columns="thal_normal", values="chol").add_prefix("thal ")
    both = pd.concat([mini_batch[["age"]], mini_batch[["age"]]], axis=1)
    both.index = pd.MultiIndex.from_arrays([range(len(both)), [None] * len(both)])
    return both if len(grouped) and len(wide) else None
