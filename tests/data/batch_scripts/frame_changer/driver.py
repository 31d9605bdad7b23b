"""Changes its frame in place, and fails the first time."""

attempts = 0


def run(mini_batch):
    global attempts
    attempts += 1
    assert mini_batch.index[0] == 0
    mini_batch.loc[0, "age"] = mini_batch.loc[0, "age"] + 1
    mini_batch.iloc[-1, 0] += 1
    mini_batch["chol"] *= 2
    mini_batch.drop(columns="thal_normal", inplace=True)
    if attempts == 1:
        raise TimeoutError("the service was busy")
    return mini_batch
