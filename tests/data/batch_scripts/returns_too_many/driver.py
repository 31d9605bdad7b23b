"""Returns more than it got."""


def run(mini_batch):
    return mini_batch + mini_batch
