"""Ray Data: `map_batches` with a pool of two actors that hold the model, on a local cluster of two CPUs.

python ray_data.py MODEL INPUT OUTPUT
"""

from __future__ import annotations

import sys
import warnings

import joblib
import numpy as np
import pyarrow as pa
import ray

FEATURES = [f"f{number}" for number in range(20)]


class Scorer:
    """An actor with the model."""

    def __init__(self, path: str) -> None:
        warnings.simplefilter("ignore")
        self.model = joblib.load(path)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One batch."""
        rows = np.column_stack([batch[name].to_numpy() for name in FEATURES])
        probability = self.model.predict_proba(rows)[:, 1]
        return pa.table({"id": batch["id"], "probability_1": pa.array(probability)})


def main(model: str, folder: str, output: str) -> None:
    """The whole job."""
    ray.init(num_cpus=2, include_dashboard=False)
    data = ray.data.read_parquet(folder)
    # Half a CPU an actor: two whole ones would leave nothing to the tasks that read and write.
    scored = data.map_batches(
        Scorer,
        fn_constructor_args=(model,),
        batch_format="pyarrow",
        batch_size=100_000,
        concurrency=2,
        num_cpus=0.5,
    )
    scored.write_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
