"""Images in the shape and dtype of a model's tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penstock import errors
from penstock.scoring.interface import Field
from penstock.scoring.models import batch_images

COLOURS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def image(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((-1, -1, -1, 3), COLOURS[None]),
        ((-1, 4, 6, 3), COLOURS[None]),
        ((-1, -1, -1, -1), COLOURS[None]),
        ((-1, -1, 3), COLOURS),
        ((-1, -1, -1), COLOURS),
        ((-1, 3, 4, 6), COLOURS.transpose(2, 0, 1)[None]),
        ((-1, 3, -1, -1), COLOURS.transpose(2, 0, 1)[None]),
        ((3, -1, -1), COLOURS.transpose(2, 0, 1)),
        ((-1, 72), COLOURS.reshape(1, 72)),
        ((-1, 24, -1), COLOURS.reshape(1, 24, 3)),
        ((72,), COLOURS.reshape(72)),
    ],
)
def test_colours(shape: tuple[int, ...], expected: np.ndarray) -> None:
    found = batch_images.shaped(image(COLOURS), Field("image", "uint8", shape))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_grey_and_colours_are_turned_into_each_other() -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)

    def shaped(array: np.ndarray, *shape: int) -> np.ndarray:
        return batch_images.shaped(image(array), Field("image", "float32", shape))

    np.testing.assert_array_equal(shaped(grey, -1, 4, 6), grey[None])
    np.testing.assert_array_equal(shaped(grey, -1, 4, 6, 1), grey[None, ..., None])
    np.testing.assert_array_equal(shaped(grey, -1, 1, 4, 6), grey[None, None])
    np.testing.assert_array_equal(shaped(grey, -1, -1, -1, 3), np.repeat(grey[None, ..., None], 3, axis=3))
    np.testing.assert_array_equal(shaped(grey, -1, -1, 3), np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(shaped(grey, -1, -1), grey.reshape(1, 24))
    np.testing.assert_array_equal(shaped(np.dstack([grey] * 3), -1, 4, 6, 1), grey[None, ..., None])
    np.testing.assert_array_equal(shaped(np.dstack([grey] * 3), -1, 4, 6), grey[None])
    assert shaped(grey, -1, 24).dtype == np.float32


def test_odd_modes_are_brightness(tmp_path: Path) -> None:
    tensor = Field("image", "uint8", (-1, -1, -1, 3))

    def read(made: Image.Image, name: str) -> np.ndarray:
        made.save(tmp_path / name)
        return batch_images.shaped(batch_images.read(str(tmp_path / name)), tensor)

    white = np.full((1, 4, 6, 3), 255)
    np.testing.assert_array_equal(read(Image.new("1", (6, 4), 1), "1.png"), white)
    np.testing.assert_array_equal(read(Image.new("LA", (6, 4), (255, 9)), "la.png"), white)
    assert read(Image.new("CMYK", (6, 4), (0, 0, 0, 0)), "cmyk.jpg").min() > 250
    deep = Image.fromarray(np.full((4, 6), 1000, dtype=np.uint16))
    with pytest.raises(errors.DataError, match="does not fit"):
        read(deep, "deep.png")
    grey = Field("image", "uint8", (-1, 4, 6))
    with pytest.raises(errors.DataError, match="a uint16 image do not fit into uint8"):
        batch_images.shaped(deep, grey)
    wide = Field("image", "float32", (-1, 4, 6))
    np.testing.assert_array_equal(batch_images.shaped(deep, wide), np.full((1, 4, 6), 1000, dtype=np.float32))


def test_what_fits_nowhere_is_told() -> None:
    with pytest.raises(
        errors.DataError, match=r"\(4, 6, 3\) does not fit the model's input \(any, 28, 28, 3\)"
    ):
        batch_images.shaped(image(COLOURS), Field("image", "uint8", (-1, 28, 28, 3)))


def test_files(tmp_path: Path) -> None:
    for suffix in batch_images.SUFFIXES:
        path = tmp_path / f"x{suffix}"
        image(COLOURS).save(path)
        assert batch_images.array(batch_images.read(str(path))).shape == (4, 6, 3)
    palette = image(COLOURS).convert("P")
    palette.save(tmp_path / "p.png")
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(batch_images.array(batch_images.read(str(tmp_path / "p.png"))), expected)
    palette.save(tmp_path / "t.png", transparency=0)
    assert batch_images.array(batch_images.read(str(tmp_path / "t.png"))).shape == (4, 6, 4)
    whole = (tmp_path / "x.png").read_bytes()
    for torn in (b"", b"GIF89a", whole[: len(whole) // 2]):
        (tmp_path / "torn.png").write_bytes(torn)
        with pytest.raises(errors.DataError, match="cannot be read as an image"):
            batch_images.read(str(tmp_path / "torn.png"))
