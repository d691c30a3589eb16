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
        """Rows and columns after padding, before resizing."""
        side = max(self.height * self.aspect, float(self.width))  # in columns' spacing
        return max(self.height, round(side / self.aspect)), max(self.width, round(side))

    @property
    def corner(self) -> tuple[int, int]:
        """Row and column of the padded picture at which the original begins."""
        rows, columns = self.padded
        return (rows - self.height) // 2, (columns - self.width) // 2

    def apply(self, array: np.ndarray, fill: float = -1.0) -> np.ndarray:
        """Pad and resize a picture to the square.

        Args:
            array: [H, W] or [H, W, 3], with H and W of this fit.
            fill: Value of the padding.

        Returns:
            float32 [R, R] or [R, R, 3].

        Raises:
            InputError: An array of another size.
        """
        self._check(array, (self.height, self.width))
        top, left = self.corner
        square = np.full((*self.padded, *array.shape[2:]), fill, dtype=np.float32)
        square[top : top + self.height, left : left + self.width] = array
        return resize(square, (self.resolution, self.resolution))

    def invert(self, array: np.ndarray) -> np.ndarray:
        """Resize a square back to the picture's size, and remove the padding.

        Args:
            array: [R, R] or [R, R, 3].

        Returns:
            float32 [H, W] or [H, W, 3].

        Raises:
            InputError: An array of another size.
        """
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
    """Resize with a Lanczos filter in float32.

    The filter widens when it shrinks the array, so it does not alias. Overshoot is clipped to the
    input's range.

    Args:
        array: [H, W] or [H, W, channels].
        shape: Rows and columns of the result.
    """
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
