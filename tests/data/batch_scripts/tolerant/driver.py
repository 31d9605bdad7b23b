"""Catches what a bad file raises, and goes on."""

import os
import traceback

import pandas as pd


def run(mini_batch):
    results = []
    for file_path in mini_batch:
        try:
            df = pd.read_csv(file_path)
            results.append({"file": os.path.basename(file_path), "sum": int(df["a"].sum()), "error": None})
        except Exception as error:
            print(f"cannot read {file_path}: {error}")
            print(traceback.format_exc())
            results.append({"file": os.path.basename(file_path), "sum": None, "error": type(error).__name__})
    return results
