"""Unpickles a class of a module beside it."""

import os
import pickle

import my_model  # noqa: F401


def init():
    global model
    with open(os.path.join(os.getenv("AZUREML_MODEL_DIR"), "mine.pkl"), "rb") as file:
        model = pickle.load(file)


def run(mini_batch):
    return [model.predict(name) for name in mini_batch]
