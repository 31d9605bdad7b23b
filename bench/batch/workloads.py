"""What is scored: a model, a folder of Parquet files, and the right answer for every row."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.batch import meter, shape
from bench.realtime import place

TITLES = {
    "hgb": "gradient boosting, 100 trees, depth 6",
    "lr": "logistic regression",
}
CONTESTANTS = Path(__file__).resolve().parent / "contestants"
TIMEOUT_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Workload:
    """`rows` rows in the Parquet files of `folder`, for the model called `name`. `reference` holds what the
    model says to each."""

    name: str
    rows: int
    model: Path
    folder: Path
    reference: Path

    def __str__(self) -> str:
        return f"{self.name}, {self.rows:,} rows"


def model(name: str) -> Path:
    """The model `name`, trained on first use and anew for another scikit-learn."""
    version = importlib.metadata.version("scikit-learn")
    folder = shape.CACHE / "models" / f"{name}-{version}"
    path = folder / "model.pkl"
    if not path.exists():
        _say(f"training {name}")
        _python("bench.batch.train", name, str(folder))
    return path


def prepare(name: str, rows: int, *, rows_a_group: int = shape.ROWS_A_FILE) -> Workload:
    """Make what is not there yet: model, rows, reference. Then read all rows once, so that nobody is the first
    to wait for the disk."""
    group = f"-{rows_a_group}" if rows_a_group != shape.ROWS_A_FILE else ""
    folder = shape.CACHE / "data" / f"{rows}{group}"
    if not folder.exists():
        _say(f"making {rows:,} rows")
        _python("bench.batch.data", "rows", str(rows), str(rows_a_group), str(folder))
    path = model(name)
    reference = shape.CACHE / "references" / f"{path.parent.name}-{rows}.npy"
    workload = Workload(name=name, rows=rows, model=path, folder=folder, reference=reference)
    if not reference.exists():
        _say(f"making the reference of {workload}")
        output = shape.CACHE / "outputs" / "reference"
        shutil.rmtree(output, ignore_errors=True)
        bare = [sys.executable, str(CONTESTANTS / "bare.py"), str(path), str(folder), str(output)]
        meter.run(bare, shape.CACHE / "logs" / "reference.log", timeout_s=TIMEOUT_S, weigh=False)
        _python("bench.batch.verify", "make", str(output), str(reference), str(path), str(folder))
        shutil.rmtree(output)
    warm(folder)
    return workload


def many_files(count: int) -> Path:
    """A folder of `count` small Parquet files."""
    folder = shape.CACHE / "data" / f"{count}-files"
    if not folder.exists():
        _say(f"making {count:,} files")
        _python("bench.batch.data", "many", str(count), str(folder))
    return folder


def warm(folder: Path) -> None:
    """Bring the files of `folder` into the page cache."""
    for path in shape.files(folder):
        with path.open("rb") as stream:
            while stream.read(1 << 22):
                pass


def _python(module: str, *arguments: str) -> None:
    argv = [sys.executable, "-m", module, *arguments]
    subprocess.run(argv, check=True, cwd=place.ROOT, env=place.environment(), timeout=TIMEOUT_S)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)
