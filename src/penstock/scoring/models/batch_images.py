"""Image files as arrays, in the shape and dtype that a model's tensor has.

As in Azure ML's batch deployments of MLflow models, one image is one call: it gets the leading dimension that the
signature has, and its channels as the signature counts them. Runs in workers: Python 3.8; Pillow and NumPy inside
the functions.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Iterator, Sequence

from penstock import errors
from penstock.scoring.interface import Field

SUFFIXES = (".png", ".jpg", ".jpeg", ".tiff", ".bmp", ".gif")

_MODES = ("RGB", "L", "RGBA")
"""Pillow's names for three channels, one and four."""


def read(path: str) -> Any:
    """The ``PIL.Image.Image`` in the file at `path`, its first where it holds several. Raises JobError where
    Pillow is not installed, and DataError."""
    try:
        from PIL import Image
    except ImportError as error:
        raise errors.JobError(
            "an image is read with Pillow, which the environment lacks", hint="add pillow to its conda file"
        ) from error
    try:
        with Image.open(path) as image:
            image.load()
            # The values of a palette are names of colours.
            return (
                image.convert("RGBA" if "transparency" in image.info else "RGB")
                if image.mode == "P"
                else image
            )
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise errors.DataError(f"cannot be read as an image: {error}") from error


def array(image: Any) -> Any:
    """`image` as an array ``(height, width)`` or ``(height, width, channels)``, of uint8 for most."""
    import numpy as np

    return np.asarray(image)


def shaped(image: Any, field: Field) -> Any:
    """`image` as the model's input `field` has it: ``(1, height, width, channels)`` for ``(-1, -1, -1, 3)``, say,
    and with the channels in front where that alone fits. Colours are turned to grey, or grey to colours, where
    the signature asks for it. Last, as Azure ML does, values are reshaped as they come. Raises DataError."""
    own = array(image)
    modes = (image.convert(mode) for mode in _MODES if mode != image.mode)
    for found in itertools.chain((own,), map(array, modes)):
        for arranged in _arrangements(found):
            if _fits(arranged.shape, field.shape):
                return arranged.astype(field.dtype, copy=False)
    flat = (1 if field.shape[0] == -1 else field.shape[0], *field.shape[1:])
    fixed = math.prod(size for size in flat if size != -1)
    if own.size == fixed or (flat.count(-1) == 1 and fixed and own.size % fixed == 0):
        return own.reshape(flat).astype(field.dtype, copy=False)
    raise errors.DataError(
        f"an image of the shape {_told(own.shape)} does not fit the model's input {_told(field.shape)}",
        hint="bring images to the model's size first, or write a scoring script that does",
    )


def _arrangements(found: Any) -> Iterator[Any]:
    """`found` in every order of its dimensions that an image may have, most likely first; a copy nowhere."""
    is_grey = found.ndim == 2
    orders = [found, found[..., None], found[None]] if is_grey else [found, found.transpose(2, 0, 1)]
    for order in orders:
        yield order[None]
    yield from orders


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(size in (-1, found) for found, size in zip(shape, wanted))


def _told(shape: Sequence[int]) -> str:
    return "(" + ", ".join("any" if size == -1 else str(size) for size in shape) + ")"
