"""Any picture to the square a model wants, and back. Padding and resizing only: nothing is ever
flipped or turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow

from latentdrift.errors import InputError


@dataclass(frozen=True)
class Fit:
    """Pad a [height, width] picture to a square, centred, then resize it to [resolution,
    resolution].

    `aspect` is mm per row / mm per column: with it the square is one in mm, so that voxels which
    are not square keep the patient's proportions. An odd row or column of padding goes to the
    bottom and the right.
    """

    height: int
    width: int
    resolution: int
    aspect: float = 1.0

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns after padding and before resizing."""
        side = max(self.height * self.aspect, float(self.width))  # in columns' spacing
        return max(self.height, round(side / self.aspect)), max(self.width, round(side))

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the padded picture where the original begins."""
        rows, columns = self.padded
        return (rows - self.height) // 2, (columns - self.width) // 2

    def apply(self, array: np.ndarray, fill: float = -1.0) -> np.ndarray:
        """[H, W] or [H, W, 3] -> float32 [R, R] or [R, R, 3]; `fill` is the background's value."""
        self._check(array, (self.height, self.width))
        top, left = self.corner
        square = np.full((*self.padded, *array.shape[2:]), fill, dtype=np.float32)
        square[top : top + self.height, left : left + self.width] = array
        return resize(square, (self.resolution, self.resolution))

    def invert(self, array: np.ndarray) -> np.ndarray:
        """[R, R] or [R, R, 3] -> float32 [H, W] or [H, W, 3]: resized back, padding removed."""
        self._check(array, (self.resolution, self.resolution))
        top, left = self.corner
        return resize(array, self.padded)[top : top + self.height, left : left + self.width]

    @staticmethod
    def _check(array: np.ndarray, expected: tuple[int, int]) -> None:
        if array.shape[:2] != expected or array.ndim not in (2, 3):
            raise InputError(
                f"a picture of shape {array.shape} came where {expected[0]} x {expected[1]} pixels "
                "were expected"
            )


def resize(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Lanczos in float32, widened when shrinking so that it does not alias; overshoot is clipped to
    the input's own range."""
    values = np.asarray(array, dtype=np.float32)
    if values.shape[:2] == tuple(shape):
        return values.copy()
    planes = values[..., None] if values.ndim == 2 else values
    size = (shape[1], shape[0])
    resized = [
        np.asarray(
            Pillow.fromarray(np.ascontiguousarray(plane)).resize(size, Pillow.Resampling.LANCZOS)
        )
        for plane in np.moveaxis(planes, -1, 0)
    ]
    out = np.clip(np.stack(resized, axis=-1), values.min(), values.max())
    result: np.ndarray = out[..., 0] if values.ndim == 2 else out
    return result
