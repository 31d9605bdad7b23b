"""Leaves in three ways; which one the file says."""

import os
import sys


def run(mini_batch):
    with open(mini_batch[0]) as file:
        way = file.read().strip()
    if way == "exit":
        sys.exit(3)
    if way == "interrupt":
        raise KeyboardInterrupt
    if way == "memory":
        raise MemoryError("no more")
    if way == "die":
        os._exit(9)
    return mini_batch


def shutdown():
    raise OSError("the connection was gone")
