"""A traced torch module, the whole mini-batch in one tensor."""

import os
from typing import List

import numpy as np
import pandas as pd
import torch


def init():
    global model, device
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch.jit.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "net.pt"), map_location=device)
    model.eval()


def run(mini_batch: List[str]) -> pd.DataFrame:
    batch = torch.from_numpy(np.stack([np.load(path) for path in mini_batch])).to(device)
    with torch.no_grad():
        output = torch.softmax(model(batch), dim=1)
    best = torch.max(output, dim=1)
    return pd.DataFrame(
        {
            "file": [os.path.basename(path) for path in mini_batch],
            "class": best.indices.cpu().numpy(),
            "probability": best.values.cpu().numpy(),
        }
    )
