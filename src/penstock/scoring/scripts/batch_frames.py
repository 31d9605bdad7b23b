"""The data frame that a batch scoring script is handed.

Runs in workers: Python 3.8; pandas comes with the data.
"""

from __future__ import annotations

from typing import Any, Sequence


def own_frame(data: Any, names: Sequence[str] | None) -> Any:
    """`data` (an Arrow table, or a pandas DataFrame) as a pandas DataFrame of the columns `names` (None: all),
    rows numbered from 0.

    It is the script's own, which may write to it: what a failed ``run`` has changed must not be there when the
    same rows are tried again.
    """
    if hasattr(data, "to_pandas"):
        if names is not None:
            data = data.select(list(names))
        # What pandas noted in a Parquet file would make columns an index, and number a part's rows wrongly.
        # Blocks that are not split are copies; split ones would share Arrow's memory, and be read-only.
        return data.to_pandas(ignore_metadata=True, split_blocks=False)
    if names is not None:
        data = data[list(names)]
    return data.reset_index(drop=True).copy()
