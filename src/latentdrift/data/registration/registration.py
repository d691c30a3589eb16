"""Registration of an image onto another of the same anatomy: the transform that maximises their
normalised correlation.

Residuals are differences of two images of mean 0 and norm 1, so half their squared sum is 1 minus
the correlation, and a least-squares solver maximises it (Evangelidis and Psarakis 2008, eq. 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import least_squares

from latentdrift.data.registration.transforms import KINDS, Grid, Transform

LEVELS = ((8.0, 6.0), (4.0, 3.0), (2.0, 2.0))
"""Size of a pixel and standard deviation of the blur, in 1/256 of the image's longer side, from
coarse to fine. On brains of 1 mm the last one places a known transform within 0.02 px."""
FIELD = 256.0
MAX_EVALUATIONS = 30
"""Evaluations of the residuals at a level, at most; 5 to 10 are usual."""

MAX_ROTATION = 30.0
"""Degrees. A patient's visits in one view do not differ by more; what is beyond is a mistake."""
MAX_SCALE = 1.25
"""Factor, or its inverse."""
MAX_SHIFT = 0.25
"""Share of the image's longer side."""
MIN_CORRELATION = 0.5
"""Correlation after registration below which two images do not show the same."""


@dataclass(frozen=True)
class Registration:
    """How a moving image lies on a fixed one."""

    transform: Transform
    before: float
    """Normalised correlation without a transform, -1 to 1, at the finest level."""
    after: float
    """Normalised correlation under the transform."""

    def problem(self, fixed: Grid) -> str | None:
        """Reason not to trust the registration, one of few; None: there is none.

        Args:
            fixed: Pixels of the fixed image.
        """
        transform = self.transform
        if self.after < MIN_CORRELATION:
            return f"correlation below {MIN_CORRELATION}"
        if self.after < self.before:
            return "correlation falls"
        if abs(transform.rotation) > MAX_ROTATION:
            return f"rotation beyond {MAX_ROTATION:.0f} degrees"
        if not 1 / MAX_SCALE <= transform.scale <= MAX_SCALE:
            return f"scale beyond {MAX_SCALE} or its inverse"
        if max(map(abs, transform.shift)) > MAX_SHIFT * fixed.field:
            return f"shift beyond {MAX_SHIFT:.0%} of the image"
        return None


def register(
    fixed: np.ndarray,
    moving: np.ndarray,
    grids: tuple[Grid, Grid],
    kind: str = "similarity",
) -> Registration:
    """Find the transform under which a moving image resembles a fixed one most.

    Args:
        fixed: Grey image [H, W].
        moving: Grey image [H', W'] of the same anatomy.
        grids: Pixels of both.
        kind: Row of KINDS.
    """
    family = KINDS[kind]
    field = grids[0].field
    # a step of 1 in any parameter moves the border of the image by about 1 mm
    steps = np.array([1.0, 1.0, *[2 / field] * (family.parameters - 2)])

    def at(parameters: np.ndarray) -> Transform:
        return family.make(parameters * steps)

    found = start = np.zeros(family.parameters)
    for pixel, blur in LEVELS:
        level = _Level.of((fixed, moving), grids, pixel * field / FIELD, blur * field / FIELD)
        found = level.fit(at, found)
    return Registration(at(found), level.correlation(at(start)), level.correlation(at(found)))


def resample(
    moving: np.ndarray, transform: Transform, grids: tuple[Grid, Grid], order: int = 3
) -> np.ndarray:
    """A moving image on the pixels of the fixed one; beyond its border its last values.

    Args:
        moving: [H', W'] or [H', W', C].
        transform: Leads from the fixed image to the moving one.
        grids: Pixels of the fixed and of the moving image.
        order: Of the spline: 3 for intensities, 0 for labels.

    Returns:
        float64 [H, W] or [H, W, C].
    """
    fixed, own = grids
    indices = own.indices(transform.of(fixed.points()))
    channels = moving[..., None] if moving.ndim == 2 else moving
    planes = [
        ndimage.map_coordinates(plane.astype(np.float64), indices, order=order, mode="nearest")
        for plane in np.moveaxis(channels, -1, 0)
    ]
    result: np.ndarray = np.stack(planes, axis=-1)
    return result[..., 0] if moving.ndim == 2 else result


@dataclass(frozen=True, eq=False)
class _Level:
    """Both images at one resolution."""

    fixed: np.ndarray
    moving: np.ndarray
    points: np.ndarray
    """Of the fixed image, in mm, [2, H, W]."""
    grid: Grid
    """Pixels of the moving image."""

    @classmethod
    def of(
        cls,
        images: tuple[np.ndarray, np.ndarray],
        grids: tuple[Grid, Grid],
        pixel: float,
        blur: float,
    ) -> _Level:
        (fixed, fixed_grid), (moving, grid) = (
            _coarse(image, own, pixel, blur) for image, own in zip(images, grids, strict=True)
        )
        return cls(fixed, moving, fixed_grid.points(), grid)

    def normalised(self, transform: Transform) -> tuple[np.ndarray, np.ndarray]:
        """Both images under a transform, of mean 0 and norm 1 where both show something."""
        indices = self.grid.indices(transform.of(self.points))
        weights = _inside(indices, self.grid.shape)
        moved = ndimage.map_coordinates(self.moving, indices, order=1, mode="nearest")
        return _normalised(self.fixed, weights), _normalised(moved, weights)

    def residuals(self, transform: Transform) -> np.ndarray:
        """Differences of the normalised images."""
        fixed, moved = self.normalised(transform)
        difference: np.ndarray = moved - fixed
        return difference.ravel()

    def fit(self, at: Callable[[np.ndarray], Transform], start: np.ndarray) -> np.ndarray:
        """Parameters of the transform with the least residuals, from a start."""
        fitted = least_squares(
            lambda parameters: self.residuals(at(parameters)),
            start,
            xtol=1e-4,
            ftol=1e-6,
            max_nfev=MAX_EVALUATIONS,
        )
        return np.asarray(fitted.x)

    def correlation(self, transform: Transform) -> float:
        """Normalised correlation of both; 0 where one is constant."""
        fixed, moved = self.normalised(transform)
        return float((fixed * moved).sum())


def _coarse(image: np.ndarray, grid: Grid, pixel: float, blur: float) -> tuple[np.ndarray, Grid]:
    """A blurred image on pixels of about another size in mm."""
    smooth = ndimage.gaussian_filter(
        image.astype(np.float64), [blur / mm for mm in grid.spacing], mode="nearest"
    )
    sides = [n * mm for n, mm in zip(grid.shape, grid.spacing, strict=True)]
    rows, columns = (max(8, round(side / pixel)) for side in sides)
    coarse = Grid((rows, columns), (sides[0] / rows, sides[1] / columns))
    indices = grid.indices(coarse.points())
    return ndimage.map_coordinates(smooth, indices, order=1, mode="nearest"), coarse


def _inside(indices: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """1 inside of an image, 0 beyond its border by a pixel, and a line between, [H, W]."""
    weights = np.ones(indices.shape[1:])
    for axis, n in enumerate(shape):
        weights *= np.clip(indices[axis] + 1, 0, 1) * np.clip(n - indices[axis], 0, 1)
    return weights


def _normalised(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """An image of weighted mean 0 and norm 1; zeros where it is constant."""
    mean = (image * weights).sum() / max(weights.sum(), 1e-12)
    centred: np.ndarray = (image - mean) * np.sqrt(weights)
    return centred / max(float(np.linalg.norm(centred)), 1e-12)
