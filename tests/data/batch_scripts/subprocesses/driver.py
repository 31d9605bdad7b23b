"""Asks a command."""

import subprocess


def run(mini_batch):
    return [
        subprocess.run(["wc", "-c"], stdin=open(path), capture_output=True, check=True).stdout
        for path in mini_batch
    ]
