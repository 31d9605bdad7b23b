"""Which installed libraries were compiled for NumPy 1, so that NumPy 2 breaks them.

Conda's packages carry that bound; many older wheels on PyPI do not, so a conda file that pins an old
scikit-learn and leaves NumPy open would get the two that crash at import ("numpy.dtype size changed").
Runs in workers: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from typing import Mapping

HELD_BACK = "numpy<2"
"""The requirement that is added."""

_FIRST_FOR_NUMPY_2 = {
    "bottleneck": (1, 4),
    "contourpy": (1, 2, 1),
    "h5py": (3, 11),
    "matplotlib": (3, 8, 4),
    "numba": (0, 60),
    "numexpr": (2, 10),
    "onnxruntime": (1, 19),
    "opencv-contrib-python": (4, 10, 0, 84),
    "opencv-contrib-python-headless": (4, 10, 0, 84),
    "opencv-python": (4, 10, 0, 84),
    "opencv-python-headless": (4, 10, 0, 84),
    "pandas": (2, 2, 2),
    "pyarrow": (16,),
    "pywavelets": (1, 6),
    "scikit-image": (0, 23),
    "scikit-learn": (1, 4, 2),
    "scipy": (1, 13),
    "shap": (0, 46),
    "statsmodels": (0, 14, 2),
    "torch": (2, 3),
}
"""By normalised name, the first release whose wheels run on NumPy 2; where in doubt a later one, as NumPy 1
does no harm to those."""


def misfits(installed: Mapping[str, str]) -> tuple[str, ...]:
    """The libraries of `installed` (normalised names to versions) that its NumPy breaks, as ``name version``."""
    if release_of(installed.get("numpy", "")) < (2,):
        return ()
    return tuple(
        f"{name} {installed[name]}"
        for name, first in sorted(_FIRST_FOR_NUMPY_2.items())
        if name in installed and () < release_of(installed[name]) < first
    )


def release_of(version: str) -> tuple[int, ...]:
    """``2.0.1rc1+cpu`` as ``(2, 0, 1)``; of what is no version, nothing."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()
