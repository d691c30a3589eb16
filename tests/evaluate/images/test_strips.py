"""Strips of pictures: each panel is its picture, at one height, whatever the sizes are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentdrift.evaluate.images.recorded_edits import read_edits
from latentdrift.evaluate.images.strips import GAP, MIN_HEIGHT, edit_strip, side_by_side

WHITE = 247  # of RdBu's middle


def panels(strip: np.ndarray, widths: list[int]) -> list[np.ndarray]:
    """The pictures of a strip without its gaps."""
    starts = np.cumsum([0, *(width + GAP for width in widths[:-1])])
    gaps = [strip[:, start - GAP : start] for start in starts[1:]]
    assert all((gap == 255).all() for gap in gaps) and starts[-1] + widths[-1] == strip.shape[1]
    return [
        strip[:, start : start + width].astype(int)
        for start, width in zip(starts, widths, strict=True)
    ]


def folder(root: Any, shape: tuple[int, int], detail: bool) -> Any:
    """An edit on disk whose counterfactual is brighter on the left, and whose map is a large
    figure, as `edit` writes it."""
    place = root / "000000"
    place.mkdir()
    grey = np.full(shape, 100, np.uint8)
    brighter = grey.copy()
    again = np.full(shape, 90, np.uint8)
    brighter[:, : shape[1] // 2] += 51
    figure = np.zeros((504, 600, 3), np.uint8)
    pictures = {
        "original": grey,
        "reconstruction": again,
        "counterfactual": brighter,
        "difference": figure,
    }
    for name, picture in pictures.items():
        Image.fromarray(picture).save(place / f"{name}.png")
    (place / "record.json").write_text(json.dumps({"detail": detail}))
    return root


@pytest.mark.parametrize("shape", [(64, 64), (207, 256), (512, 512), (300, 120)])
def test_every_picture_of_an_edit_fills_the_height_of_its_strip(tmp_path, shape):
    (edit,) = read_edits(folder(tmp_path, shape, detail=True))
    strip, caption = edit_strip(edit)
    height = max(MIN_HEIGHT, shape[0])
    width = round(shape[1] * height / shape[0])
    assert strip.shape == (height, 4 * width + 3 * GAP, 3)
    original, again, made, change = panels(strip, [width] * 4)
    assert (original == 100).all() and (again == 90).all()
    left = slice(0, width // 2 - 8)
    right = slice(width // 2 + 8, width)
    assert (made[:, left] == 151).all() and (made[:, right] == 100).all()
    red, _, blue = np.moveaxis(change[:, left], -1, 0)
    assert (red > blue + 50).all() and (change[:, right] >= WHITE - 1).all()
    assert "counterfactual minus original" in caption and "20 % of the intensity range" in caption


def test_the_change_of_a_drawn_edit_is_from_the_reconstruction(tmp_path):
    (edit,) = read_edits(folder(tmp_path, (64, 64), detail=False))
    strip, caption = edit_strip(edit)
    assert "minus reconstruction" in caption
    *_, change = panels(strip, [MIN_HEIGHT] * 4)
    assert (
        change[:, -8:, 0] > change[:, -8:, 2]
    ).all()  # the whole counterfactual is brighter than the reconstruction


def test_pictures_of_one_size_are_not_touched():
    noise = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    below = side_by_side(noise, axis=0)
    assert below.shape == (80 + GAP, 40, 3)
    assert (below[:40] == noise[0]).all() and (below[40 + GAP :] == noise[1]).all()
