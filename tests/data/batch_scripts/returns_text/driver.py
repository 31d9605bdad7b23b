"""Returns a text."""


def run(mini_batch):
    return "\n".join(mini_batch)
