"""Each element of another type."""


def run(mini_batch):
    return [1, "two", 3.5, None, {"four": 4}][: len(mini_batch)]
