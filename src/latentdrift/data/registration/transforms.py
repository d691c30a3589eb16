"""Transforms of the plane, and the kinds that a registration can estimate.

A transform leads from a point of the fixed image to the point of the moving image that shows the
same anatomy. Points are in mm, (row, column), about the centre of their image; without a known
spacing a pixel counts as 1 mm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Spacing = tuple[float, float]
"""mm from row to row and from column to column."""


@dataclass(frozen=True)
class Grid:
    """Pixels of an image: how many, and how far apart."""

    shape: tuple[int, int]
    spacing: Spacing

    @property
    def field(self) -> float:
        """Longer side in mm."""
        return max(n * mm for n, mm in zip(self.shape, self.spacing, strict=True))

    def points(self) -> np.ndarray:
        """Centres of all pixels in mm, [2, H, W]."""
        axes = [
            (np.arange(n) - (n - 1) / 2) * mm
            for n, mm in zip(self.shape, self.spacing, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"))

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Row and column, in pixels, of points in mm, [2, ...]."""
        return np.stack(
            [
                values / mm + (n - 1) / 2
                for values, mm, n in zip(points, self.spacing, self.shape, strict=True)
            ]
        )


@dataclass(frozen=True)
class Transform:
    """Affine map of the plane: matrix · point + shift."""

    matrix: tuple[tuple[float, float], tuple[float, float]]
    shift: tuple[float, float]
    """mm along the rows' and the columns' axis."""

    def of(self, points: np.ndarray) -> np.ndarray:
        """Transformed points, [2, H, W] in mm."""
        moved: np.ndarray = np.tensordot(np.array(self.matrix), points, 1)
        moved += np.array(self.shift)[:, None, None]
        return moved

    @property
    def rotation(self) -> float:
        """Degrees from the row's axis towards the column's (polar decomposition)."""
        ((a, b), (c, d)) = self.matrix
        return float(np.degrees(np.arctan2(c - b, a + d)))

    @property
    def scale(self) -> float:
        """Square root of the factor by which areas grow."""
        return float(np.sqrt(abs(np.linalg.det(np.array(self.matrix)))))


def rigid(parameters: np.ndarray) -> Transform:
    """Rotation and shift.

    Args:
        parameters: [3]: shift in mm (row, column), rotation in radians.
    """
    return similarity(np.append(parameters, 0.0))


def similarity(parameters: np.ndarray) -> Transform:
    """Rotation, shift and scale.

    Args:
        parameters: [4]: shift in mm (row, column), rotation in radians, logarithm of the scale.
    """
    row, column, angle, log_scale = map(float, parameters)
    c, s = np.exp(log_scale) * np.cos(angle), np.exp(log_scale) * np.sin(angle)
    return Transform(((c, -s), (s, c)), (row, column))


def affine(parameters: np.ndarray) -> Transform:
    """Any linear map, and a shift.

    Args:
        parameters: [6]: shift in mm (row, column), matrix minus the identity by rows.
    """
    row, column, a, b, c, d = map(float, parameters)
    return Transform(((1 + a, b), (c, 1 + d)), (row, column))


@dataclass(frozen=True)
class TransformKind:
    """A family of transforms; all parameters 0 are the identity."""

    make: Callable[[np.ndarray], Transform]
    parameters: int
    """Number of parameters; the first two are the shift in mm, the others have no unit."""


KINDS: dict[str, TransformKind] = {
    "rigid": TransformKind(rigid, 3),
    "similarity": TransformKind(similarity, 4),
    "affine": TransformKind(affine, 6),
}


def to_text(transform: Transform) -> str:
    """Six numbers, as a cell of a table: the matrix by rows, then the shift in mm."""
    numbers = (*transform.matrix[0], *transform.matrix[1], *transform.shift)
    return " ".join(f"{number:.6g}" for number in numbers)


def from_text(text: str) -> Transform:
    """Transform of a cell.

    Raises:
        ValueError: The cell does not hold six numbers.
    """
    a, b, c, d, row, column = _numbers(text.split())
    return Transform(((a, b), (c, d)), (row, column))


def _numbers(words: Sequence[str]) -> list[float]:
    return [float(word) for word in words]
