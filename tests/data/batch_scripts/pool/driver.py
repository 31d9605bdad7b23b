"""Forks helpers of its own in every mini-batch."""

import multiprocessing
import os


def size(path):
    return os.path.basename(path), os.path.getsize(path)


def run(mini_batch):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(size, mini_batch)
