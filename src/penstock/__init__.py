"""Penstock: register a trained model once; score it in real time, in batch, on a stream or on a device.

Every worker executes this file too, in the deployment's own environment (Python 3.8 and up, standard
library only), so it imports nothing: public names are resolved when they are first asked for (PEP 562).
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
