"""What one writes by hand in ten minutes: pandas in and out, joblib's processes, a task a file.

python joblib_pandas.py MODEL INPUT OUTPUT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

FEATURES = [f"f{number}" for number in range(20)]


def score(model: Any, path: Path, output: Path) -> None:
    """One file; the model comes along with every task, which costs little for models of this size."""
    frame = pd.read_parquet(path)
    probability = model.predict_proba(frame[FEATURES])[:, 1]
    result = pd.DataFrame({"id": frame["id"], "probability_1": probability})
    result.to_parquet(output / path.name, index=False)


def main(model_path: str, folder: str, output: str) -> None:
    """All files of `folder`, two at a time."""
    model = joblib.load(model_path)
    Path(output).mkdir(parents=True)
    files = sorted(Path(folder).glob("*.parquet"))
    joblib.Parallel(n_jobs=2)(joblib.delayed(score)(model, path, Path(output)) for path in files)


if __name__ == "__main__":
    main(*sys.argv[1:])
