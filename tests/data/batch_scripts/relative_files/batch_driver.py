"""Counts on the code folder being the working directory."""

import json

CONFIG = json.load(open("config.json"))


def init():
    with open("lookup.csv") as file:
        global lookup
        lookup = dict(line.strip().split(",") for line in file)


def run(mini_batch):
    return [CONFIG["prefix"] + lookup["a"] for _ in mini_batch]
