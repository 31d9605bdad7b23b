"""Texts in, shorter texts out, with all that a text can hold."""

import os
from typing import List

import pandas as pd


class Summarizer:
    def __call__(self, text):
        return {"summary_text": text[:24]}


def init():
    global summarizer, source_column
    source_column = "text"
    summarizer = Summarizer()


def run(mini_batch: List[str]):
    resultList = []
    print(f"[INFO] Reading new mini-batch of {len(mini_batch)} file(s).")
    frames = [pd.read_csv(path) for path in mini_batch]
    for path, frame in zip(mini_batch, frames):
        for text in frame[source_column]:
            resultList.append({"file": os.path.basename(path), **summarizer(text)})
    return pd.DataFrame(resultList)
