"""Libraries compiled for NumPy 1 are found where NumPy 2 is installed, and only there."""

from __future__ import annotations

import pytest

from penstock.bundle import numpy_fit


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"numpy": "2.2.6", "scikit-learn": "1.2.2"}, ("scikit-learn 1.2.2",)),
        ({"numpy": "2.0.0rc1", "pandas": "2.2.1", "torch": "2.2.2+cpu"}, ("pandas 2.2.1", "torch 2.2.2+cpu")),
        ({"numpy": "2.2.6", "scikit-learn": "1.4.2", "pandas": "2.2.3", "scipy": "1.13.0"}, ()),
        ({"numpy": "1.26.4", "scikit-learn": "1.2.2"}, ()),
        ({"scikit-learn": "1.2.2"}, ()),
        ({"numpy": "2.2.6", "pandas": ""}, ()),
        ({"numpy": "2.2.6", "flask": "1.0"}, ()),
    ],
)
def test_misfits(installed, expected):
    assert numpy_fit.misfits(installed) == expected
