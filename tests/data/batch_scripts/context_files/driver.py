"""Names its own output after the mini-batch."""

import os


def run(mini_batch, context):
    target = os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], f"{context.minibatch_index}.txt")
    with open(target, "x") as file:
        file.write("\n".join(mini_batch))
    return mini_batch
