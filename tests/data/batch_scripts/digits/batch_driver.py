"""Small grey images, one a file; a linear model from an npz file; a line of text for each."""

import os

import numpy as np

weights = None


def init():
    global weights
    model = os.path.join(os.environ["AZUREML_MODEL_DIR"], "digits.npz")
    weights = np.load(model)["weights"]


def read_pgm(path):
    with open(path, "rb") as image:
        assert image.readline().strip() == b"P5"
        width, height = map(int, image.readline().split())
        image.readline()
        return np.frombuffer(image.read(), dtype=np.uint8).reshape(height, width)


def run(mini_batch):
    print(f"run method start: {__file__}, run({mini_batch})")
    results = []
    for image in mini_batch:
        pixels = read_pgm(image).reshape(1, -1) / 255.0
        best = np.argmax(pixels @ weights)
        results.append("{}: {}".format(os.path.basename(image), best))
    return results
