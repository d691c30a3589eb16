"""Copies in disguise: what becomes of a picture that is stored, shown and handed on, so that the
search for copies can be tried.

Each row of DISGUISES makes one kind of altered copy. A copy stays a copy under all of them: nobody
would call a mirrored or re-encoded scan another patient's.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from latentdrift.data.cohort.cohort import background

Disguise = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""A grey picture [H, W] in [0, 1] and what decides by chance -> the altered picture of the same
size, in [0, 1]."""


def _moved(picture: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The picture read at `centre + matrix (place - centre) + shift`, in pixels; what lies outside
    is background."""
    height, width = picture.shape
    centre = np.array([width - 1, height - 1]) / 2
    offset = (
        centre + shift - matrix @ centre + 0.5 * (1 - matrix.sum(1))
    )  # Pillow counts from corners, and reads pixel centres
    a, b, c, d = matrix.ravel()
    return np.asarray(
        Image.fromarray(picture.astype(np.float32)).transform(
            (width, height),
            Image.Transform.AFFINE,
            (a, b, offset[0], c, d, offset[1]),
            resample=Image.Resampling.BICUBIC,
            fillcolor=float(background(picture)),
        )
    )


def _turned(degrees: float) -> Disguise:
    def turn(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        angle = np.deg2rad(degrees) * generator.choice([-1, 1])
        return _moved(
            picture,
            np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]),
            np.zeros(2),
        )

    return turn


def _shifted(share: float) -> Disguise:
    def shift(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        angle = generator.uniform(0, 2 * np.pi)
        return _moved(
            picture,
            np.eye(2),
            share * max(picture.shape) * np.array([np.cos(angle), np.sin(angle)]),
        )

    return shift


def _cropped(share: float) -> Disguise:
    def crop(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        height, width = picture.shape
        left, top = generator.uniform(0, share, 2) * (width, height)
        box = (left, top, left + (1 - share) * width, top + (1 - share) * height)
        return np.asarray(
            Image.fromarray(picture.astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC, box=box
            )
        )

    return crop


def _encoded(quality: int) -> Disguise:
    def encode(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(
            buffer, "JPEG", quality=quality
        )
        return np.asarray(Image.open(buffer)) / 255

    return encode


def _toned(gain: float, offset: float) -> Disguise:
    return lambda picture, generator: gain * picture + offset


def _noised(sd: float) -> Disguise:
    return lambda picture, generator: picture + generator.normal(0, sd, picture.shape)


def _all(*disguises: Disguise) -> Disguise:
    def apply(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        for disguise in disguises:
            picture = np.clip(disguise(picture, generator), 0, 1)
        return picture

    return apply


def _mirrored(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return picture[:, ::-1]


DISGUISES: dict[str, Disguise] = {
    "none": lambda picture, generator: picture,
    "mirrored": _mirrored,
    "cropped by 4 %": _cropped(0.04),
    "cropped by 8 %": _cropped(0.08),
    "cropped by 12 %": _cropped(0.12),
    "JPEG quality 90": _encoded(90),
    "JPEG quality 50": _encoded(50),
    "noise of 0.02": _noised(0.02),
    "noise of 0.05": _noised(0.05),
    "brighter": _toned(0.8, 0.2),
    "darker": _toned(0.8, 0.0),
    "more contrast": _toned(1.25, -0.125),
    "gamma 0.7": lambda picture, generator: picture**0.7,
    "gamma 1.4": lambda picture, generator: picture**1.4,
    "shifted by 3 %": _shifted(0.03),
    "shifted by 6 %": _shifted(0.06),
    "turned by 2 degrees": _turned(2.0),
    "turned by 5 degrees": _turned(5.0),
    "mirrored, cropped by 8 %, noise of 0.02": _all(_mirrored, _cropped(0.08), _noised(0.02)),
    "turned by 3 degrees, JPEG quality 70": _all(_turned(3.0), _encoded(70)),
}


def disguise(name: str, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Alter images as storage and display do.

    Args:
        name: Row of DISGUISES.
        images: [N, H, W, 3] in [0, 1].
        generator: Generator of the alterations.

    Returns:
        float32 [N, H, W, 3] in [0, 1], grey.
    """
    altered = [np.clip(DISGUISES[name](picture, generator), 0, 1) for picture in images.mean(-1)]
    return np.repeat(np.stack(altered)[..., None], 3, -1).astype(np.float32)
