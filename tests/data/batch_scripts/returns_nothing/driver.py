"""Forgets to return."""


def run(mini_batch):
    for name in mini_batch:
        print(name)
