"""The SDK's first version: the model by its registered name, the name as an argument."""

import argparse
import os
import pickle

from azureml.core.model import Model


def init():
    global model, label

    parser = argparse.ArgumentParser(description="Batch scoring")
    parser.add_argument("--model_name", dest="model_name", required=True)
    parser.add_argument("--label", default="?")
    args, unknown_args = parser.parse_known_args()
    label = args.label

    with open(Model.get_model_path(args.model_name), "rb") as file:
        model = pickle.load(file)


def run(input_data):
    result_list = []
    for name in input_data:
        with open(name) as file:
            result_list.append((os.path.basename(name), label, model["threshold"] < float(file.read())))
    return result_list
