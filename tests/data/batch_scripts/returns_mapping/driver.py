"""Returns a dictionary."""


def run(mini_batch):
    return {name: 1 for name in mini_batch}
