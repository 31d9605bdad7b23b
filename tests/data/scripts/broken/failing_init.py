import os


def init():
    open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pk"))


def run(data):
    return data
