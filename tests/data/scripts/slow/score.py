"""Takes as long as it is asked to."""

import time


def init():
    pass


def run(data):
    try:
        time.sleep(float(data))
    finally:
        time.sleep(0)
    return "slept"
