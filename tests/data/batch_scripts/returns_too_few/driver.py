"""Returns what it likes."""


def run(mini_batch):
    return [name for name in mini_batch if name.endswith("1.txt")]
