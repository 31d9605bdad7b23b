"""Says a lot."""

import sys


def run(mini_batch):
    for number in range(2000):
        print(number, "x" * 1000)
        print("warning", number, file=sys.stderr)
    sys.stdout.write("no end of line")
    return mini_batch
