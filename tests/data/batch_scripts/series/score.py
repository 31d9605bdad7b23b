"""Returns a Series."""


def run(mini_batch):
    return (mini_batch["age"] / mini_batch["chol"]).astype("float32")
