"""Appends to a file of its own; refuses files of other kinds silently, but counts them."""

import json
import os
from pathlib import Path


def init() -> None:
    global output_file
    output_file = Path(os.environ["AZUREML_BI_OUTPUT_PATH"]) / f"part-{os.getpid()}.jsonl"


def run(mini_batch):
    with output_file.open("a", encoding="utf-8") as output:
        for path in map(Path, mini_batch):
            if path.suffix.lower() == ".jsonl":
                for line in path.read_text(encoding="utf-8").splitlines():
                    output.write(json.dumps({"length": len(json.loads(line)["text"])}) + "\n")
    return [Path(path).name for path in mini_batch]
