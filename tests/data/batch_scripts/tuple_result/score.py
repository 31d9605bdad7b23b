"""Returns a tuple."""


def run(mini_batch):
    return tuple(mini_batch["age"].tolist())
