"""Knows its own arguments and the logging level, and refuses others."""

import argparse
import json


class SingletonMeta(type):
    _instances = {}

    def __call__(cls, *args, **kwargs):
        if cls not in cls._instances:
            cls._instances[cls] = super().__call__(*args, **kwargs)
        return cls._instances[cls]


class Args(metaclass=SingletonMeta):
    def __init__(self):
        self.json_setting = None
        self.logging_level = None


def init():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json_setting", required=True)
    parser.add_argument("--logging_level", choices=["WARNING", "INFO", "DEBUG"])
    parsed = parser.parse_args()
    Args().json_setting = json.loads(parsed.json_setting)
    Args().logging_level = parsed.logging_level


def run(mini_batch):
    return [f"{Args().json_setting['name']} {Args().logging_level} {name}" for name in mini_batch]
