"""Image files as arrays, in the shape and dtype that a model's tensor has.

As in Azure ML's batch deployments of MLflow models, one image is one call: it gets the leading dimension that the
signature has, and its channels as the signature counts them. Runs in workers: Python 3.8; Pillow and NumPy inside
the functions.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Sequence

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
            mode = _plain_mode(image)
            return image if mode == image.mode else image.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise errors.DataError(f"cannot be read as an image: {error}") from error


def _plain_mode(image: Any) -> str:
    """A mode whose values are brightness: those of a palette are names of colours, those of CMYK are ink."""
    if image.mode in ("P", "PA", "LA", "La", "RGBa"):
        return "RGBA" if image.mode != "P" or "transparency" in image.info else "RGB"
    return {"1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}.get(
        image.mode, str(image.mode)
    )


def array(image: Any) -> Any:
    """`image` as an array ``(height, width)`` or ``(height, width, channels)``, of uint8 for most."""
    import numpy as np

    return np.asarray(image)


def shaped(image: Any, field: Field) -> Any:
    """`image` as the model's input `field` has it: ``(1, height, width, channels)`` for ``(-1, -1, -1, 3)``, say,
    and with the channels in front where that alone fits. Colours are turned to grey, or grey to colours, where
    the signature asks for it. Last, as Azure ML does, values are reshaped as they come. Raises DataError."""
    own = array(image)
    found = _arranged(image, own, field.shape)
    if found is None:
        flat = (1 if field.shape[0] == -1 else field.shape[0], *field.shape[1:])
        fixed = math.prod(size for size in flat if size != -1)
        if own.size == fixed or (flat.count(-1) == 1 and fixed and own.size % fixed == 0):
            found = own.reshape(flat)
    if found is None:
        raise errors.DataError(
            f"an image of the shape {_told(own.shape)} does not fit the model's input {_told(field.shape)}",
            hint="bring images to the model's size first, or write a scoring script that does",
        )
    made = found.astype(field.dtype, copy=False)
    if made.dtype.kind in "iu" and (made != found).any():
        raise errors.DataError(
            f"the values of a {found.dtype} image do not fit into {field.dtype}, which the model takes",
            hint="bring images to 8 bits a channel first, or write a scoring script that does",
        )
    return made


def _arranged(image: Any, own: Any, wanted: Sequence[int]) -> Any:
    """`image` as an array of the shape `wanted`, None where it has none. What is nearest to the image comes first:
    as one of several, as it is, then in other colours."""
    # Of more than 8 bits a channel a conversion would lose some.
    modes = [mode for mode in _MODES if mode != image.mode and image.mode in _MODES]
    others = (array(image.convert(mode)) for mode in modes)
    for number, found in enumerate(itertools.chain((own,), others)):
        is_grey = found.ndim == 2
        orders = [found, found[..., None], found[None]] if is_grey else [found, found.transpose(2, 0, 1)]
        candidates = [order[None] for order in orders]
        last = found[..., None] if is_grey else found
        # The first size of a shape counts images, unless it is fixed: only channels at the end tell otherwise.
        if wanted[0] != -1:
            candidates += orders
        elif number == 0 or wanted[-1] == last.shape[-1]:
            candidates.append(last)
        for candidate in candidates:
            if _fits(candidate.shape, wanted):
                return candidate
    return None


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(size in (-1, found) for found, size in zip(shape, wanted))


def _told(shape: Sequence[int]) -> str:
    return "(" + ", ".join("any" if size == -1 else str(size) for size in shape) + ")"
