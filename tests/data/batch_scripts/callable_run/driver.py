"""run is an object, its function decorated."""

import functools
import time


def timed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        begin = time.perf_counter()
        result = function(*args, **kwargs)
        print(f"took {time.perf_counter() - begin:.3f} s")
        return result

    return wrapper


class Runner:
    def __init__(self, factor):
        self.factor = factor

    @timed
    def __call__(self, mini_batch):
        return [self.factor] * len(mini_batch)


run = functools.partial(Runner(3))
