"""The chest phantom: a frontal (posterior-anterior) radiograph.

The picture adds up what a ray meets: soft tissue, less the air of the lungs, plus bones, heart and
findings; a tone curve then makes thick white and thin dark. A finding adds one structure and moves
nothing else, so that two renderings of one subject are an exact counterfactual.

Shown as a radiologist sees it: the patient faces the reader, the patient's left (and the heart's
apex) is on the image's right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

from latentdrift.data.phantom.phantom_scanner import field, generator, grid, ramp, scan
from latentdrift.errors import OptionError, unknown

VIEW = 360.0  # mm across the picture
FINDINGS = ("effusion", "cardiomegaly", "nodule")
TISSUES = {
    "air": 0,
    "soft tissue": 1,
    "lung": 2,
    "mediastinum": 3,
    "heart": 4,
    "effusion": 5,
    "nodule": 6,
}

# Border profiles: height y in mm (up, 0 in the image's middle) against distance from the midline in
# mm.
LUNG_Y = np.array([150, 143, 132, 112, 80, 40, 0, -40, -80, -110, -140.0])
LUNG_WALL = np.array([38, 54, 68, 86, 103, 116, 123, 128, 130, 130, 128.0])
MEDIASTINUM_Y = np.array([175, 120, 95, 70, 45, 20, -20, -140.0])
MEDIASTINUM = np.array([26, 24, 25, 27, 28, 26, 22, 20.0])
HEART_Y = np.array([48, 35, 20, 0, -25, -50, -68, -84, -98, -112.0])
HEART_LEFT = np.array(
    [0.0, 0.30, 0.44, 0.60, 0.82, 0.96, 1.0, 0.94, 0.75, 0.2]
)  # of the largest extent to the left
HEART_RIGHT = np.array([0.0, 0.35, 0.60, 0.84, 1.0, 0.98, 0.90, 0.76, 0.6, 0.2])
BODY_Y = np.array([180, 165, 150, 132, 112, 85, 40, -20, -80, -180.0])
BODY = np.array([52, 54, 66, 105, 152, 176, 176, 166, 162, 166.0])


@dataclass(frozen=True)
class ChestAttributes:
    age: float  # years
    sex: Literal["M", "F"]
    findings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for finding in self.findings:
            if finding not in FINDINGS:
                raise unknown("finding", finding, FINDINGS)
        if self.sex not in ("M", "F"):
            raise unknown("sex", self.sex, ("M", "F"))
        if not 18 <= self.age <= 110:
            raise OptionError(
                f"age {self.age:g} is outside the chest phantom's range; allowed: 18 to 110 years"
            )


def profile(y: np.ndarray, heights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A smooth border through a table that runs from top to bottom, at every y."""
    curve = PchipInterpolator(heights[::-1], values[::-1])
    return curve(np.clip(y, heights[-1], heights[0])).astype(np.float32)


def join(a: np.ndarray, b: np.ndarray, soft: float) -> np.ndarray:
    """Smooth minimum of two signed distances in mm: the corner where they meet is rounded by `soft`
    mm."""
    h = np.clip(0.5 + 0.5 * (b - a) / soft, 0.0, 1.0)
    return b + (a - b) * h - soft * h * (1.0 - h)


@dataclass(frozen=True)
class Anatomy:
    """What a subject is born with, on a pixel grid; distances in mm, positive inside."""

    x: np.ndarray
    y: np.ndarray
    wide: float  # width of the thorax against the mean
    lung: np.ndarray  # [S, S] both lungs, before heart and mediastinum are laid over
    base: np.ndarray  # [S, S] height above the diaphragm
    wall: np.ndarray  # [S, S] half width of the rib cage
    body: np.ndarray
    posterior: np.ndarray  # [S, S] shadow of the back ribs, 0 to about 1
    anterior: np.ndarray
    clavicle: np.ndarray
    vessels: np.ndarray
    ratio: float  # cardiothoracic ratio without cardiomegaly
    enlarged: float  # and with it
    side: float  # of effusion: 1 patient's left (image's right), -1 patient's right
    level: float  # height of the effusion at the chest wall, mm
    nodule: tuple[float, float, float]  # x, y, radius


def tube(distance: np.ndarray, half: float) -> np.ndarray:
    """Shadow of a hollow bone at `distance` mm from its axis: bright rims, paler marrow."""
    outer = np.sqrt(np.clip(1.0 - (distance / half) ** 2, 0.0, 1.0))
    marrow = np.sqrt(np.clip(1.0 - (distance / (0.72 * half)) ** 2, 0.0, 1.0))
    return outer - 0.5 * marrow


@lru_cache(maxsize=64)
def anatomy(subject: int, sex: str, size: int) -> Anatomy:
    """The subject's anatomy on a grid of `size` pixels; cached, because visits and counterfactuals
    share it."""
    rng = generator(subject, "chest", "anatomy")
    gx, gy = grid(size, VIEW)
    angle, (dx, dy) = np.deg2rad(rng.normal(0.0, 1.2)), rng.normal(0.0, 4.0, 2)
    x = np.cos(angle) * (gx - dx) + np.sin(angle) * (gy - dy)
    y = (-np.sin(angle) * (gx - dx) + np.cos(angle) * (gy - dy)) / rng.normal(1.0, 0.03)
    wide = rng.normal(1.0, 0.04) * (1.03 if sex == "M" else 0.94)
    across = np.abs(x)
    left = x > 0

    wall = wide * profile(y, LUNG_Y, LUNG_WALL)
    dome = np.where(
        left, rng.normal(-88.0, 5.0), rng.normal(-76.0, 5.0)
    )  # the right dome is the higher one
    centre = np.where(left, 66.0, 62.0) * wide
    fall = rng.normal(34.0, 4.0)
    apart = (across - centre) / (66.0 * wide)
    base = y - (dome - fall * np.where(apart > 0, np.abs(apart) ** 2.2, 0.35 * apart**2))
    lung = join(
        join(0.95 * (wall - across), across - 10.0, 3.0), join(base, 0.9 * (148.0 - y), 3.0), 5.0
    )

    spacing = rng.normal(23.5, 1.0)
    tilt = rng.normal(0.0, 2.0, 2)  # mm from rib to rib
    u = across / np.maximum(wall, 30.0)
    side = np.where(left, tilt[0], tilt[1]) + 2.0 * field(rng, 3, size)
    back = (y - 128.0 + side - 9.0 * np.sin(np.pi * np.minimum(u, 1.2)) + 42.0 * u**2.6) / spacing
    number = np.clip(np.round(back), -9, 0)
    cage = ramp(wall + 5.0 - across, 6.0)
    posterior = (
        tube((back - number) * spacing, 6.2)
        * cage
        * ramp(across - 14.0, 8.0)
        * (0.55 + 0.75 * u**3)
    )
    front = (y - 128.0 + side + 33.0 + 78.0 * np.maximum(1.0 - u, 0.0) ** 1.1) / (1.12 * spacing)
    number = np.clip(np.round(front), -7, 0)
    reach = 0.40 + 0.10 * rng.random()
    anterior = tube((front - number) * 1.12 * spacing, 7.0) * cage * ramp(u - reach, 0.15)
    bow = 118.0 - 6.0 * np.sin((across - 15.0) / 22.0) + 0.14 * across + side
    clavicle = (
        tube((y - bow) * 0.95, 7.5 - 0.012 * across)
        * ramp(across - 16.0, 8.0)
        * ramp(140.0 - across, 20.0)
    )

    hx = np.where(left, 34.0, -34.0)
    hy = np.where(left, 38.0, 30.0)
    distance = np.hypot(x - hx, y - hy) + 1.0
    streak = field(rng, 46, size) * field(rng, 20, size)
    turn = np.arctan2(y - hy, np.abs(x) - 34.0)
    rays = sum(
        np.abs(np.sin(k * turn + rng.uniform(0, 6.3) + 0.02 * distance)) ** 14
        for k in (3.5, 5.0, 7.5)
    )
    vessels = (0.45 * rays + 0.5 * np.maximum(streak, 0.0)) * np.exp(
        -distance / 42.0
    ) + 1.1 * np.exp(-((distance / 17.0) ** 2))

    place = (
        rng.choice((-1.0, 1.0)) * rng.uniform(62.0, 88.0) * wide,
        rng.uniform(5.0, 92.0),
        rng.uniform(9.0, 15.0),
    )
    return Anatomy(
        x,
        y,
        wide,
        lung,
        base,
        wall,
        ramp(wide * profile(y, BODY_Y, BODY) - across, 6.0),
        posterior,
        anterior,
        clavicle,
        vessels,
        float(np.clip(rng.normal(0.44, 0.02), 0.39, 0.475)),
        rng.uniform(0.56, 0.66),
        float(rng.choice((-1.0, 1.0))),
        rng.uniform(62.0, 105.0),
        place,
    )


def structures(subject: int, attributes: ChestAttributes, size: int) -> dict[str, np.ndarray]:
    """Share of each overlapping structure along a pixel's ray, {name: [S, S] in 0 to 1}."""
    born = anatomy(subject, attributes.sex, size)
    x = born.x
    y = born.y
    edge = max(VIEW / size, 2.5)
    old = max(attributes.age - 45.0, 0.0) / 40.0

    thorax = 2.0 * born.wide * LUNG_WALL.max()  # mm, inner diameter
    extent = thorax * (born.enlarged if "cardiomegaly" in attributes.findings else born.ratio)
    border = np.where(
        x > 0,
        0.66 * extent * profile(y, HEART_Y, HEART_LEFT),
        0.34 * extent * profile(y, HEART_Y, HEART_RIGHT),
    )
    heart = join(0.85 * (border - np.abs(x)), np.minimum(46.0 - y, y + 118.0), 6.0)
    middle = born.wide * profile(y, MEDIASTINUM_Y, MEDIASTINUM) - np.abs(x)
    knob = (
        15.0 + 5.0 * old - np.hypot(x - 23.0 - 5.0 * old, y - 74.0)
    )  # the aortic arch unfolds with age

    out = {
        "lung": ramp(born.lung, edge),
        "heart": ramp(heart, 1.5 * edge),
        "mediastinum": ramp(np.maximum(middle, knob), 2.0 * edge),
        "effusion": np.zeros_like(x),
        "nodule": np.zeros_like(x),
    }
    if "effusion" in attributes.findings:
        u = np.clip(np.abs(x) / born.wall, 0.0, 1.0)
        meniscus = born.level * (0.62 + 0.38 * u**5)  # fluid climbs at the chest wall
        out["effusion"] = (
            ramp(meniscus - (y - fluid_floor(born)), 12.0)
            * ramp(born.side * x - 12.0, 8.0)
            * out["lung"]
        )
    if "nodule" in attributes.findings:
        cx, cy, radius = born.nodule
        out["nodule"] = ramp(radius - np.hypot(x - cx, y - cy), edge) * out["lung"]
    return out


def fluid_floor(born: Anatomy) -> float:
    """Height of the costophrenic angle, the lowest point of the lung's side, in mm: the foot of an
    effusion."""
    lowest = np.where((born.lung > 0) & (born.side * born.x > 0), born.y, np.inf)
    return float(lowest.min())


def render(
    subject: int,
    attributes: ChestAttributes,
    *,
    visit: int = 0,
    size: int = 128,
    noise: float = 0.012,
) -> np.ndarray:
    """The radiograph [size, size] in [0, 1] as exposed at a visit; `noise` is a standard deviation
    on that scale."""
    born = anatomy(subject, attributes.sex, size)
    part = structures(subject, attributes, size)
    x = born.x
    y = born.y
    old = max(attributes.age - 45.0, 0.0) / 40.0
    calcium = 1.0 - 0.35 * old
    depth = np.sqrt(
        np.clip(born.lung / 34.0, 0.0, 1.0)
    )  # air along the ray, most in the middle of the lung

    solid = np.maximum(part["heart"], part["mediastinum"])
    thick = born.body * (
        1.25 - 0.25 * np.clip(np.abs(x) / 180.0, 0, 1) ** 2 + 0.25 * ramp(-y - 60.0, 120.0)
    )
    thick = thick - 0.95 * depth * part["lung"] * (1.0 - 0.72 * solid)
    thick += 0.22 * part["heart"] * part["lung"] + 0.10 * part["mediastinum"]
    thick += (
        (0.32 * born.posterior + 0.14 * born.anterior + 0.36 * born.clavicle) * calcium * born.body
    )
    thick += (0.16 + 0.06 * old) * born.vessels * part["lung"]
    discs = np.sin(y / 3.9)  # a vertebra every 24 mm
    thick += (
        0.11
        * calcium
        * np.sqrt(np.clip(1.0 - (x / 19.0) ** 2, 0.0, 1.0))
        * (1.0 + 0.25 * np.clip(2.0 * discs, -1.0, 1.0))
    )
    thick -= 0.16 * ramp(
        1.0 - np.hypot((x - 62.0) / 24.0, (y + 124.0) / 13.0), 1.0
    )  # air in the stomach
    thick -= 0.26 * ramp(7.5 - np.abs(x - 2.0), 5.0) * ramp(y - 42.0, 20.0)  # trachea
    if attributes.sex == "F":
        for side in (-1.0, 1.0):
            away = np.hypot((x - side * 78.0) / 52.0, (y + 62.0) / 46.0)
            thick += (
                0.26
                * ramp(1.0 - away, 0.12)
                * np.sqrt(np.clip(1.0 - 0.8 * away**2, 0.0, 1.0))
                * ramp(20.0 - y, 110.0)
            )
    thick += 0.85 * depth * part["effusion"] * (1.0 - 0.72 * solid)
    thick += 0.36 * part["nodule"]

    rng = generator(subject, "chest", "visit", visit)
    exposure = rng.normal(0.0, 0.02)
    contrast = rng.normal(1.0, 0.04)
    clean = 1.0 / (
        1.0 + np.exp(-3.4 * contrast * (thick - 0.78 + exposure))
    )  # the film's tone curve
    dark = 1.0 / (1.0 + np.exp(3.4 * 0.78))
    return scan((clean - dark) / (1.0 - dark), rng, noise=noise, bias=0.02, blur=0.5 * size / 128)


def labels(subject: int, attributes: ChestAttributes, size: int) -> np.ndarray:
    """What lies on top in each pixel, by number in `TISSUES`: findings over heart over mediastinum
    over lung."""
    part = structures(subject, attributes, size)
    out = (anatomy(subject, attributes.sex, size).body > 0.5).astype(np.uint8)
    for name in ("lung", "mediastinum", "heart", "effusion", "nodule"):
        out[part[name] > 0.5] = TISSUES[name]
    return out


def extent(mask: np.ndarray) -> float:
    """Width from the leftmost to the rightmost column of a mask, in pixels."""
    columns = np.flatnonzero(mask.any(0))
    return float(columns[-1] - columns[0] + 1)


def truth(subject: int, attributes: ChestAttributes) -> dict[str, float]:
    """Measured at 1 mm: cardiothoracic ratio, height of the effusion in mm, area of the nodule in
    mm^2."""
    part = structures(subject, attributes, int(VIEW))
    thorax = (part["lung"] > 0.5) | (part["heart"] > 0.5)
    return {
        "cardiothoracic_ratio": extent(part["heart"] > 0.5) / extent(thorax),
        "effusion_height": float((part["effusion"] > 0.5).sum(0).max()),
        "nodule_area": float(part["nodule"].sum()),
    }
