"""Ruined controls: real images made unreal, so that a judge of realism is tried before it is
trusted.

Every row of CONTROLS destroys anatomy and keeps much of the texture and of the grey levels. A judge
that cannot tell these images from real ones of the same number has nothing to say about synthetic
images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from latentdrift.errors import InputError
from latentdrift.evaluate.statistics.bootstrap import groups

Ruin = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""An image [H, W, C] in [0, 1], one of another patient, and a generator -> the ruined image."""


@dataclass(frozen=True)
class Control:
    """A row of CONTROLS."""

    title: str
    """Change of the real images, as in "real images <title>"."""
    ruin: Ruin


def _shuffled(side: int) -> Ruin:
    """Cut the image into side × side patches and put them back in random order."""

    def ruin(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        height, width = (length // side for length in image.shape[:2])
        inner = image[: side * height, : side * width]
        patches = inner.reshape(side, height, side, width, -1).swapaxes(1, 2)
        shuffled = patches.reshape(side * side, height, width, -1)[
            generator.permutation(side * side)
        ]
        made = image.copy()
        whole = shuffled.reshape(side, side, height, width, -1).swapaxes(1, 2)
        made[: side * height, : side * width] = whole.reshape(inner.shape)
        return made

    return ruin


def _scrambled(cycles: float) -> Ruin:
    """Give all waves above so many cycles per image random phases; keep their amplitudes and the
    histogram.

    The image is mirrored at its edges first, so that no cross of edges appears.
    """

    def ruin(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        grey = np.pad(image.mean(-1), ((0, height), (0, width)), mode="symmetric")
        noise = np.fft.rfft2(generator.standard_normal(grey.shape))
        down = np.fft.fftfreq(2 * height)[:, None] * height
        across = np.fft.rfftfreq(2 * width)[None] * width
        waves = np.fft.rfft2(grey)
        random = np.abs(waves) * noise / np.maximum(np.abs(noise), 1e-12)
        mixed = np.where(np.hypot(down, across) > cycles, random, waves)
        scrambled = np.fft.irfft2(mixed, grey.shape)[:height, :width]
        return _with_histogram(scrambled, image)

    return ruin


def _with_histogram(grey: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The grey image [H, W] with the grey levels of another: [H, W, C]."""
    levels = np.empty(grey.size)
    levels[np.argsort(grey, axis=None)] = np.sort(image.mean(-1), axis=None)
    return np.repeat(levels.reshape(grey.shape)[..., None], image.shape[-1], -1)


def _torn(share: float) -> Ruin:
    """Displace every point by a smooth random field of at most `share` of the side, as wide as it
    is high."""

    def ruin(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        shape = image.shape[:2]
        width = share * max(shape)
        noise = generator.standard_normal((2, *shape))
        field = np.stack([ndimage.gaussian_filter(part, width, mode="reflect") for part in noise])
        field *= width / np.maximum(np.abs(field).max((1, 2), keepdims=True), 1e-12)
        places = np.indices(shape) + field
        channels = np.moveaxis(image, -1, 0)
        moved = [
            ndimage.map_coordinates(channel, places, order=3, mode="nearest")
            for channel in channels
        ]
        return np.stack(moved, -1)

    return ruin


def _halves_swapped(
    image: np.ndarray, other: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Let the left and the right half change places, without mirroring either."""
    return np.roll(image, image.shape[1] // 2, axis=1)


def _averaged(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Average two patients."""
    result: np.ndarray = (image + other) / 2
    return result


def _joined(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Join the left half of one patient to the right half of another."""
    joined = image.copy()
    middle = image.shape[1] // 2
    joined[:, middle:] = other[:, middle:]
    return joined


def _stacked(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Join the upper half of one patient to the lower half of another."""
    stacked = image.copy()
    middle = image.shape[0] // 2
    stacked[middle:] = other[middle:]
    return stacked


def _checkered(side: int) -> Ruin:
    """Lay two patients in a checkerboard of side × side squares."""

    def ruin(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        rows, columns = (np.arange(length) * side // length for length in image.shape[:2])
        own = (rows[:, None] + columns[None]) % 2 == 0
        return np.where(own[..., None], image, other)

    return ruin


def _compressed(side: int) -> Ruin:
    """Keep side × side values of the image, as an autoencoder with too small a code does."""

    def ruin(image: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]

        def channel(x: np.ndarray) -> np.ndarray:
            code = Image.fromarray(x.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
            return np.asarray(code.resize((width, height), Image.Resampling.BICUBIC))

        return np.stack([channel(x) for x in np.moveaxis(image, -1, 0)], -1)

    return ruin


CONTROLS: dict[str, Control] = {
    "patches-4": Control("whose patches of a 4 × 4 grid were shuffled", _shuffled(4)),
    "patches-8": Control("whose patches of an 8 × 8 grid were shuffled", _shuffled(8)),
    "phase-4": Control("whose waves above 4 cycles per image were scrambled", _scrambled(4)),
    "phase-8": Control("whose waves above 8 cycles per image were scrambled", _scrambled(8)),
    "torn-6": Control("torn elastically by up to 6 % of the side", _torn(0.06)),
    "torn-10": Control("torn elastically by up to 10 % of the side", _torn(0.10)),
    "halves": Control("whose left and right halves changed places", _halves_swapped),
    "average": Control("averaged with another patient", _averaged),
    "joined": Control("whose right half is another patient's", _joined),
    "stacked": Control("whose lower half is another patient's", _stacked),
    "checkered": Control("in an 8 × 8 checkerboard with another patient", _checkered(8)),
    "compressed": Control("compressed to 16 × 16 values", _compressed(16)),
}


def ruined(
    name: str, images: np.ndarray, patients: list[str] | None, generator: np.random.Generator
) -> np.ndarray:
    """Ruin real images.

    Args:
        name: A row of CONTROLS.
        images: Float [N, H, W, 3] in [0, 1], of at least two patients.
        patients: The patient of each image; None where every image is its own patient.
        generator: Generator of patches, phases, fields and partners.

    Returns:
        Float32 [N, H, W, 3] in [0, 1].

    Raises:
        InputError: Fewer than two patients.
    """
    units = groups(len(images), patients)
    if units.max() == 0:
        raise InputError(
            "controls mix images of two patients, and all images are of one; take more patients"
        )
    grey = np.array_equal(images[..., :1].repeat(3, -1), images)
    channels = np.asarray(images[..., : 1 if grey else 3], dtype=np.float64)
    result = np.empty(images.shape, dtype=np.float32)
    for place, image in enumerate(channels):
        partner = generator.choice(np.flatnonzero(units != units[place]))
        result[place] = np.clip(CONTROLS[name].ruin(image, channels[partner], generator), 0, 1)
    return result
