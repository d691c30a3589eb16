"""Registration of phantoms and noise under known transforms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from skimage.transform import AffineTransform, warp

from latentdrift.data.phantom import phantom
from latentdrift.data.registration.registration import register, resample
from latentdrift.data.registration.transforms import Grid

SIDE = 128
GRID = Grid((SIDE, SIDE), (1.0, 1.0))


def drawn(kind: str, seed: int) -> np.ndarray:
    row = phantom.kind_of(kind)
    attributes = row.history(np.random.default_rng(seed), 1)[0].attributes
    return np.asarray(row.render(seed, attributes, visit=1, size=SIDE), dtype=float)


def moved(image: np.ndarray, known: AffineTransform) -> np.ndarray:
    """The image under a transform, by scikit-image; its points are (column, row) in pixels."""
    centre = AffineTransform(translation=[(SIDE - 1) / 2] * 2)
    about_centre = centre.inverse + known + centre
    return warp(image, about_centre.inverse, order=3, mode="edge")


@pytest.mark.parametrize(("kind", "seed"), product(("brain", "chest"), (0, 1)))
def test_a_known_transform_is_found(kind: str, seed: int) -> None:
    """Within 0.3 px and 0.3 degrees, with noise and another gain."""
    rng = np.random.default_rng(seed)
    degrees, scale = rng.uniform(-8, 8), rng.uniform(0.94, 1.06)
    column, row = rng.uniform(-6, 6, 2)
    known = AffineTransform(scale=scale, rotation=np.deg2rad(degrees), translation=(column, row))
    image = drawn(kind, seed)
    moving = 1.2 * moved(image, known) + rng.normal(0, 0.02, image.shape)
    found = register(image, moving, (GRID, GRID)).transform
    assert found.shift == pytest.approx((row, column), abs=0.3)
    # scikit-image turns columns towards rows
    assert found.rotation == pytest.approx(-degrees, abs=0.3)
    assert found.scale == pytest.approx(scale, abs=0.005)


def test_an_affine_transform_is_found() -> None:
    """A stretch along one axis, which a similarity cannot follow."""
    image = drawn("brain", 3)
    moving = moved(image, AffineTransform(matrix=[[1.08, 0.03, 2], [0, 0.97, -3], [0, 0, 1]]))
    found = register(image, moving, (GRID, GRID), "affine")
    assert np.array(found.transform.matrix) == pytest.approx(
        np.array([[0.97, 0], [0.03, 1.08]]), abs=0.005
    )
    similar = register(image, moving, (GRID, GRID), "similarity")
    assert found.after > similar.after > similar.before


def test_pixels_of_other_sizes_are_brought_onto_the_fixed_ones() -> None:
    """The same phantom, drawn at twice the resolution, lies on itself without a transform."""
    row = phantom.kind_of("brain")
    attributes = row.history(np.random.default_rng(5), 1)[0].attributes
    fine = np.asarray(row.render(5, attributes, visit=1, size=2 * SIDE), dtype=float)
    coarse = fine.reshape(SIDE, 2, SIDE, 2).mean((1, 3))
    grids = (GRID, Grid((2 * SIDE, 2 * SIDE), (0.5, 0.5)))
    found = register(coarse, fine, grids)
    assert found.transform.shift == pytest.approx((0, 0), abs=0.05)
    assert found.transform.scale == pytest.approx(1, abs=0.001)
    lying = resample(fine, found.transform, grids, order=1)
    assert np.abs(lying - coarse).mean() < 0.02


def test_resampling_follows_scikit_image() -> None:
    """The image that was moved comes back."""
    image = drawn("brain", 7)
    known = AffineTransform(rotation=0.1, translation=(4, -2))
    moving = moved(image, known)
    found = register(image, moving, (GRID, GRID)).transform
    back = resample(moving, found, (GRID, GRID))
    inner = np.s_[16:-16, 16:-16]
    assert np.abs(back - image)[inner].mean() < 0.25 * np.abs(moving - image)[inner].mean()
    assert np.abs(back - image)[inner].mean() < 0.015  # the phantom's noise is interpolated twice


def test_images_of_nothing_in_common_are_a_problem() -> None:
    rng = np.random.default_rng(0)
    found = register(*rng.normal(size=(2, SIDE, SIDE)), (GRID, GRID))
    assert "correlation" in str(found.problem(GRID))


@pytest.mark.parametrize("constant", [(True, False), (False, True), (True, True)])
def test_an_image_of_nothing_is_a_problem(constant: tuple[bool, bool]) -> None:
    images = [np.zeros((SIDE, SIDE)) if empty else drawn("brain", 0) for empty in constant]
    found = register(*images, (GRID, GRID))
    assert found.after == 0 and found.problem(GRID) == "correlation below 0.5"


def test_a_brain_on_its_side_is_a_problem() -> None:
    """A rotation beyond what visits differ by is found to be one, or its image does not fit."""
    image = drawn("brain", 0)
    found = register(image, moved(image, AffineTransform(rotation=np.deg2rad(40))), (GRID, GRID))
    assert found.problem(GRID)
