"""Yields."""


def run(mini_batch):
    for name in mini_batch:
        yield name
