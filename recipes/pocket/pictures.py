"""The captioned world that the pocket base is made of: photographs that scikit-image and
scikit-learn carry, procedural pictures, and the phantoms. No patient image.

`picture(index, seed)` is deterministic: the same index and seed give the same picture and caption
on every machine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from latentdrift.data.phantom import phantom

SIZE = 128  # pixels on a side
Picture = tuple[np.ndarray, str]  # [128, 128, 3] float32 in [0, 1], caption

COLOURS = {
    "red": (0.85, 0.12, 0.12),
    "green": (0.13, 0.65, 0.20),
    "blue": (0.14, 0.26, 0.85),
    "yellow": (0.95, 0.85, 0.15),
    "orange": (0.96, 0.55, 0.10),
    "purple": (0.52, 0.18, 0.65),
    "pink": (0.96, 0.60, 0.74),
    "brown": (0.45, 0.28, 0.14),
    "black": (0.02, 0.02, 0.02),
    "white": (0.98, 0.98, 0.98),
    "grey": (0.5, 0.5, 0.5),
    "cyan": (0.15, 0.80, 0.85),
}

# name in skimage.data (or scikit-learn's sample images) -> what it shows. Pictures of patients or
# tissue are left out.
PHOTOGRAPHS = {
    "astronaut": "an astronaut",
    "brick": "a brick wall",
    "camera": "a man with a camera",
    "cat": "a cat",
    "coffee": "a cup of coffee",
    "coins": "old coins",
    "grass": "grass",
    "gravel": "gravel",
    "hubble_deep_field": "galaxies in deep space",
    "moon": "the surface of the moon",
    "page": "a printed page",
    "rocket": "a rocket",
    "text": "handwritten text",
    "motorcycle": "a motorcycle",
    "china.jpg": "a chinese temple",
    "flower.jpg": "a flower",
}


@functools.cache
def photograph(name: str) -> np.ndarray:
    """[H, W, 3] float32 in [0, 1]."""
    from skimage import color, data, util

    if name.endswith(".jpg"):
        from sklearn.datasets import load_sample_image

        raw = load_sample_image(name)
    else:
        raw = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, name)()
    grey = raw.ndim == 2
    return util.img_as_float32(color.gray2rgb(raw) if grey else raw[..., :3])


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    from skimage.transform import resize

    return resize(image, (height, width), order=1, anti_aliasing=True).astype(np.float32)


@functools.cache
def _pyramid(name: str) -> list[np.ndarray]:
    """The photograph at sizes whose short side is 128, 181, 256, 362 pixels (as far as it goes)."""
    image = photograph(name)
    short = min(image.shape[:2])
    sides = [s for s in (128, 181, 256, 362) if s <= short] or [128]
    return [
        _resize(image, round(image.shape[0] * s / short), round(image.shape[1] * s / short))
        for s in sides
    ]


def photo(rng: np.random.Generator) -> Picture:
    name = str(rng.choice(list(PHOTOGRAPHS)))
    levels = _pyramid(name)
    image = levels[rng.integers(len(levels))]
    top = rng.integers(image.shape[0] - SIZE + 1)
    left = rng.integers(image.shape[1] - SIZE + 1)
    crop = image[top : top + SIZE, left : left + SIZE]
    gain = rng.uniform(0.8, 1.15)
    gamma = np.exp(rng.normal(0, 0.2))
    crop = np.clip(crop * gain, 0, 1) ** gamma
    words = rng.choice(["a photo of {}", "a photograph of {}", "{}", "a picture of {}"])
    if rng.random() < 0.3:
        return np.repeat(crop.mean(-1, keepdims=True), 3, -1), "a black and white " + str(
            rng.choice(["photo of {}", "photograph of {}"])
        ).format(PHOTOGRAPHS[name])
    return crop, str(words).format(PHOTOGRAPHS[name])


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return y, x


def _soft(distance: np.ndarray) -> np.ndarray:
    """Coverage of a pixel by a region with signed distance in pixels (negative inside): an
    antialiased edge."""
    return np.clip(0.5 - distance, 0, 1)[..., None]


def _polygon(y: np.ndarray, x: np.ndarray, sides: int, radius: float, turn: float) -> np.ndarray:
    angle = np.arctan2(y, x) - turn
    sector = 2 * np.pi / sides
    return np.hypot(y, x) * np.cos((angle % sector) - sector / 2) - radius * np.cos(sector / 2)


SHAPES: dict[str, Callable[..., np.ndarray]] = {
    "circle": lambda y, x, r, turn: np.hypot(y, x) - r,
    "ring": lambda y, x, r, turn: np.abs(np.hypot(y, x) - 0.8 * r) - 0.2 * r,
    "triangle": lambda y, x, r, turn: _polygon(y, x, 3, r * 1.2, turn),
    "square": lambda y, x, r, turn: _polygon(y, x, 4, r * 1.2, turn),
    "hexagon": lambda y, x, r, turn: _polygon(y, x, 6, r * 1.1, turn),
    "cross": lambda y, x, r, turn: np.minimum(
        np.maximum(np.abs(y) - r / 3, np.abs(x) - r), np.maximum(np.abs(x) - r / 3, np.abs(y) - r)
    ),
    "star": lambda y, x, r, turn: (
        np.hypot(y, x) - r * (0.72 + 0.32 * np.cos(5 * (np.arctan2(y, x) - turn)))
    ),
}
NUMBERS = {1: "a", 2: "two", 3: "three"}


def _noise(rng: np.random.Generator, slope: float = 1.0, channels: int = 1) -> np.ndarray:
    """Fractal noise in [0, 1], amplitude 1/f^slope, [128, 128, channels]."""
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    frequency[0, 0] = np.inf
    shape = (channels, SIZE, SIZE // 2 + 1)
    spectrum = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / frequency**slope
    field = np.fft.irfft2(spectrum, s=(SIZE, SIZE)).transpose(1, 2, 0)
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / (high - low), 0, 1).astype(np.float32)


def _blend(a: tuple, b: tuple, weight: np.ndarray) -> np.ndarray:
    return (np.asarray(a) * (1 - weight) + np.asarray(b) * weight).astype(np.float32)


def shapes(rng: np.random.Generator) -> Picture:
    paint, ground = rng.choice(list(COLOURS), 2, replace=False)
    shape = str(rng.choice(list(SHAPES)))
    number = int(rng.choice([1, 1, 1, 2, 3]))
    y, x = _grid()
    image = np.broadcast_to(np.asarray(COLOURS[ground], np.float32), (SIZE, SIZE, 3)).copy()
    if rng.random() < 0.3:
        image = np.clip(image + 0.25 * (_noise(rng) - 0.5), 0, 1)
    big = number == 1 and rng.random() < 0.5
    radius = rng.uniform(34, 52) if big else rng.uniform(11, 20)
    spots: list[tuple[float, float]] = []
    while len(spots) < number:
        spot = tuple(rng.uniform(radius + 4, SIZE - radius - 4, 2))
        if all(np.hypot(spot[0] - s[0], spot[1] - s[1]) > 2.3 * radius for s in spots):
            spots.append(spot)
    for cy, cx in spots:
        cover = _soft(SHAPES[shape](y - cy, x - cx, radius, rng.uniform(0, 2 * np.pi)))
        image = image * (1 - cover) + np.asarray(COLOURS[paint], np.float32) * cover
    size = "big " if big else ("small " if number == 1 else "")
    noun = shape if number == 1 else {"cross": "crosse"}.get(shape, shape) + "s"
    return image, f"{NUMBERS[number]} {size}{paint} {noun} on a {ground} background"


def texture(rng: np.random.Generator) -> Picture:
    a, b = rng.choice(list(COLOURS), 2, replace=False)
    y, x = _grid()
    kind = str(
        rng.choice(["stripes", "checkerboard", "dots", "clouds", "cells", "waves", "gradient"])
    )
    turn = rng.uniform(0, np.pi)
    period = rng.uniform(8, 40)
    u = np.cos(turn) * x + np.sin(turn) * y
    v = np.cos(turn) * y - np.sin(turn) * x
    u = u + rng.uniform(0, period)
    v = v + rng.uniform(0, period)
    if kind == "stripes":
        weight = np.clip(np.sin(2 * np.pi * u / period) * period / 6 + 0.5, 0, 1)
    elif kind == "checkerboard":
        weight = np.clip(
            np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period) * period / 4 + 0.5, 0, 1
        )
    elif kind == "dots":
        distance = np.hypot(u % period - period / 2, v % period - period / 2) - period * 0.3
        weight = np.clip(0.5 - distance, 0, 1)
    elif kind == "clouds":
        weight = _noise(rng, 1.8)[..., 0]
    elif kind == "cells":
        points = rng.uniform(0, SIZE, (int(rng.integers(8, 40)), 2))
        mask = np.ones((SIZE, SIZE), bool)
        mask[points[:, 0].astype(int), points[:, 1].astype(int)] = False
        distance = ndimage.distance_transform_edt(mask)
        weight = np.clip(distance / np.percentile(distance, 98), 0, 1)
    elif kind == "waves":
        weight = 0.5 + 0.5 * np.sin(
            2 * np.pi * (u + 6 * np.sin(2 * np.pi * v / (2 * period))) / period
        )
    else:
        weight = (u - u.min()) / (u.max() - u.min())
    image = _blend(COLOURS[a], COLOURS[b], weight[..., None])
    join = "from {} to {}" if kind == "gradient" else "in {} and {}"
    return (
        image,
        f"{'a ' if kind in ('checkerboard', 'gradient') else ''}{kind} {join.format(a, b)}",
    )


def landscape(rng: np.random.Generator) -> Picture:
    y, x = _grid()
    time = str(rng.choice(["by day", "at night", "at sunset"]))
    top, low = {
        "by day": ((0.3, 0.55, 0.9), (0.8, 0.9, 1)),
        "at night": ((0.0, 0.0, 0.06), (0.06, 0.08, 0.2)),
        "at sunset": ((0.35, 0.2, 0.45), (0.98, 0.6, 0.25)),
    }[time]
    image = _blend(top, low, (y / SIZE)[..., None])
    disc = _soft(np.hypot(y - rng.uniform(15, 45), x - rng.uniform(20, 108)) - rng.uniform(6, 12))
    sun = {"by day": (1, 0.95, 0.5), "at night": (0.9, 0.9, 0.85), "at sunset": (1, 0.45, 0.15)}[
        time
    ]
    image = image * (1 - disc) + np.asarray(sun, np.float32) * disc
    kind = str(rng.choice(["mountains", "hills", "the sea"]))
    light = {"by day": 1.0, "at night": 0.25, "at sunset": 0.6}[time]
    for depth in range(1 if kind == "the sea" else 3):
        line = np.cumsum(rng.normal(size=SIZE) * (2.2 if kind == "mountains" else 0.5))
        line = (
            ndimage.gaussian_filter1d(line, 1 if kind == "mountains" else 8)
            if kind != "the sea"
            else np.zeros(SIZE)
        )
        horizon = 60 + 20 * depth + (line - line.mean())
        tint = {
            "mountains": (0.45, 0.42, 0.42),
            "hills": (0.2, 0.5, 0.2),
            "the sea": (0.05, 0.3, 0.5),
        }[kind]
        cover = _soft(horizon[None] - y)
        ground = (
            np.asarray(tint, np.float32) * light * (1 - 0.2 * depth) * (0.85 + 0.3 * _noise(rng))
        )
        image = image * (1 - cover) + ground * cover
    return np.clip(image, 0, 1), f"a landscape with {kind} {time}"


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.float32) / 16, digits.target


def digit(rng: np.random.Generator) -> Picture:
    images, targets = _digits()
    i = int(rng.integers(len(images)))
    side = int(rng.integers(72, 112))
    big = np.clip(ndimage.zoom(np.pad(images[i], 1), side / 10, order=3), 0, 1)
    canvas = np.zeros((SIZE, SIZE), np.float32)
    top, left = rng.integers(SIZE - big.shape[0] + 1, size=2)
    canvas[top : top + big.shape[0], left : left + big.shape[1]] = np.clip(1.6 * big - 0.3, 0, 1)
    ink, paper = rng.choice(list(COLOURS), 2, replace=False)
    return _blend(
        COLOURS[paper], COLOURS[ink], canvas[..., None]
    ), f"the handwritten digit {targets[i]} in {ink} on {paper}"


SEX = {"M": ("male", "man"), "F": ("female", "woman")}


def _grey(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gain = rng.uniform(0.85, 1.1)
    gamma = np.exp(rng.normal(0, 0.1))
    return np.repeat((np.clip(image * gain, 0, 1) ** gamma)[..., None], 3, -1).astype(np.float32)


def brain(rng: np.random.Generator) -> Picture:
    age = float(np.clip(rng.normal(70, 13), 20, 98).round())
    sex = str(rng.choice(["M", "F"]))
    diagnosis = str(rng.choice(["no dementia", "dementia"]))
    subject = int(rng.integers(2**31))
    visit = int(rng.integers(2**31))
    image = phantom.brain(
        subject, phantom.BrainAttributes(age, sex, diagnosis), visit=visit, size=SIZE
    )  # type: ignore[arg-type]
    person = str(
        rng.choice([f"{age:.0f} year old {SEX[sex][0]}", f"{age:.0f} year old {SEX[sex][1]}"])
    )
    words = [f"an axial brain MRI of a {person} with {diagnosis}"] * 3 + [
        f"a brain MRI of a {person} with {diagnosis}"
    ] * 2
    words += [
        "a brain MRI",
        "an axial brain MRI",
        f"a brain MRI with {diagnosis}",
        f"an axial brain MRI of a {person}",
    ]
    return _grey(image, rng), str(rng.choice(words))


def chest(rng: np.random.Generator) -> Picture:
    age = float(np.clip(rng.normal(55, 17), 18, 95).round())
    sex = str(rng.choice(["M", "F"]))
    findings = tuple(f for f in phantom.FINDINGS if rng.random() < 0.35)
    subject = int(rng.integers(2**31))
    visit = int(rng.integers(2**31))
    image = phantom.chest(
        subject, phantom.ChestAttributes(age, sex, findings), visit=visit, size=SIZE
    )  # type: ignore[arg-type]
    person = f"{age:.0f} year old {SEX[sex][0]}"
    named = " and ".join(filter(None, [", ".join(findings[:-1]), *findings[-1:]])) or "no finding"
    words = [f"a chest X-ray of a {person} with {named}"] * 3 + [
        f"a PA chest X-ray of a {person} with {named}"
    ] * 2
    words += [
        "a chest X-ray",
        f"a chest X-ray with {named}",
        f"a chest X-ray of a {person}",
        f"a frontal chest radiograph with {named}",
    ]
    return _grey(image, rng), str(rng.choice(words))


# kind -> (share of the pictures, maker)
KINDS: dict[str, tuple[float, Callable[[np.random.Generator], Picture]]] = {
    "brain": (0.22, brain),
    "chest": (0.18, chest),
    "photo": (0.12, photo),
    "shapes": (0.20, shapes),
    "texture": (0.12, texture),
    "landscape": (0.05, landscape),
    "digit": (0.11, digit),
}


def picture(index: int, seed: int = 0, kind: str | None = None) -> tuple[np.ndarray, str, str]:
    """Picture number `index`: pixels [128, 128, 3] in [0, 1], caption, kind."""
    rng = np.random.default_rng([seed, index])
    chosen: Any = rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()])
    kind = kind or str(chosen)
    image, caption = KINDS[kind][1](rng)
    return np.ascontiguousarray(image, dtype=np.float32), caption, kind
