"""A mini-batch of one partition: the context says which."""

import argparse
import os

import pandas as pd


def init():
    parser = argparse.ArgumentParser()
    parser.add_argument("--drop_cols", type=str)
    args, _ = parser.parse_known_args()
    global drop_cols
    drop_cols = args.drop_cols.split(",")


def run(input_data, mini_batch_context):
    if not isinstance(input_data, pd.DataFrame):
        raise Exception("Not a valid DataFrame input.")
    print(f"partition_key_value = {mini_batch_context.partition_key_value}")
    store = mini_batch_context.partition_key_value["Store"]
    input_data["Date"] = pd.to_datetime(input_data["Date"])
    data = input_data.set_index("Date").sort_index().drop(columns=drop_cols, errors="ignore")
    data["forecast"] = data["Quantity"].rolling(2, min_periods=1).mean()
    data["model"] = f"{store}_{mini_batch_context.minibatch_index}"
    return data.reset_index()
