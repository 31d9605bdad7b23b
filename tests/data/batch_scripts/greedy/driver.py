"""Empties the list that it was given, and fills it again."""


def run(mini_batch):
    done = []
    while mini_batch:
        done.append(mini_batch.pop())
    mini_batch.extend(["a"] * 1000)
    return done
