"""The brain phantom: an axial T1-weighted slice at the level of the lateral ventricles,
skull-stripped.

The pial surface is a cloud of points: the outline of the brain, the fissures, and sulci that grow
inwards from both until they meet one another. Everything within half a sulcus of the cloud is
fluid, the next 2 to 3 mm are cortex, the rest is white matter with nuclei and ventricles in it.
Ageing and dementia widen sulci and ventricles and thin the cortex; they move nothing else, so two
renderings of one subject are an exact counterfactual.

Shown as a radiologist sees it: the front of the head is up, the patient's left is on the image's
right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentdrift.data.phantom.phantom_cortex import VIEW, anatomy
from latentdrift.data.phantom.phantom_scanner import generator, ramp, scan
from latentdrift.errors import OptionError, unknown

DIAGNOSES = ("no dementia", "dementia")
TISSUES = {
    "background": 0,
    "fluid": 1,
    "cortex": 2,
    "white matter": 3,
    "deep grey": 4,
    "ventricle": 5,
    "lesion": 6,
}
SIGNAL = {
    "fluid": 0.20,
    "cortex": 0.56,
    "white matter": 0.86,
    "deep grey": 0.68,
    "ventricle": 0.17,
    "lesion": 0.64,
}  # T1-like


@dataclass(frozen=True)
class BrainAttributes:
    age: float  # years
    sex: Literal["M", "F"]
    diagnosis: str = "no dementia"

    def __post_init__(self) -> None:
        if self.diagnosis not in DIAGNOSES:
            raise unknown("diagnosis", self.diagnosis, DIAGNOSES)
        if self.sex not in ("M", "F"):
            raise unknown("sex", self.sex, ("M", "F"))
        if not 18 <= self.age <= 110:
            raise OptionError(
                f"age {self.age:g} is outside the brain phantom's range; allowed: 18 to 110 years"
            )


def atrophy(age: float, diagnosis: str) -> float:
    """Share of the intracranial area that brain has lost to fluid since the age of 20.

    0.0050 a year in old age (the fall of nWBV in OASIS-2, Marcus et al. 2010), slower before 60,
    faster with dementia.
    """
    late = 4.0 * np.logaddexp(0.0, (age - 58.0) / 4.0)  # years beyond 58, with a soft start
    extra = 0.030 + 0.0022 * late if diagnosis == "dementia" else 0.0
    return 0.0012 * (age - 20.0) + 0.0041 * late + extra


# Lateral ventricle of width factor 1: y of a level, distance of its medial wall from the midline,
# and width, in mm.
HORNS = np.array(
    [
        (-51, 26.5, 0),
        (-50, 26, 3),
        (-47, 24, 6),
        (-40, 19.5, 9),
        (-33, 14.5, 10.5),
        (-26, 9, 10),
        (-19, 4.5, 7.5),
        (-10, 1.4, 5),
        (0, 0.9, 5),
        (10, 0.8, 7),
        (20, 0.9, 9.5),
        (28, 2.2, 10),
        (34, 5, 8),
        (38, 8, 5.5),
        (40, 9.5, 3),
        (41, 10.5, 0),
    ],
    float,
)
# Deep grey matter of both sides: centre |x| and y, half axes (mm), tilt in degrees (front end
# outwards).
NUCLEI = {
    "caudate": (13.5, 20.0, 5.0, 12.5, 10.0),
    "putamen": (27.5, 5.0, 4.5, 16.0, 6.0),
    "thalamus": (12.5, -8.0, 8.0, 11.5, -16.0),
}
SLOPE = np.gradient(HORNS[:, 1], HORNS[:, 0])
FULL = 2.0 * float(
    np.trapezoid(HORNS[:, 2], HORNS[:, 0])
)  # mm^2 of both ventricles at width factor 1
HIPPOCAMPUS = (8.0, -28.0, 3.6, 6.0, -30.0)  # its tail, under the splenium


def ellipse(
    x: np.ndarray, y: np.ndarray, shape: tuple[float, ...], grown: float = 0.0
) -> np.ndarray:
    """Signed distance in mm (about) to a tilted ellipse on both sides of the midline, `grown` mm
    larger; positive inside."""
    cx, cy, a, b, tilt = shape
    c = np.cos(np.deg2rad(tilt))
    s = np.sin(np.deg2rad(tilt))
    dx = np.abs(x) - cx
    dy = y - cy
    a = a + grown
    b = b + grown
    return (1.0 - np.hypot((c * dx - s * dy) / a, (s * dx + c * dy) / b)) * np.sqrt(a * b)


def lesions(subject: int, attributes: BrainAttributes, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance in mm to the white matter lesions, positive inside; each has its place, its
    onset and its pace."""
    rng = generator(subject, "brain", "lesions")
    count = 20
    onset = rng.uniform(52.0, 120.0, count)
    pace = rng.uniform(0.05, 0.12, count)  # years; mm of radius a year
    cx = rng.choice((-1.0, 1.0), count) * rng.uniform(17.0, 32.0, count)
    cy = rng.uniform(-42.0, 46.0, count)
    long = rng.uniform(1.0, 2.2, count)  # lesions stretch along the ventricle
    years = attributes.age + (4.0 if attributes.diagnosis == "dementia" else 0.0) - onset
    inside = np.full_like(x, -99.0)
    for index in np.flatnonzero(years > 0):
        radius = min(0.4 + pace[index] * years[index], 4.0)
        np.maximum(
            inside, radius - np.hypot(x - cx[index], (y - cy[index]) / long[index]), out=inside
        )
    return inside


def ventricles(x: np.ndarray, y: np.ndarray, factor: float, left: float) -> np.ndarray:
    """Signed distance in mm (about) to the ventricles, `factor` times the width of `HORNS`, the
    left one times `left`."""
    level = y / (1.0 + 0.05 * (factor - 1.0))  # the horns also grow longer
    medial = np.interp(level, HORNS[:, 0], HORNS[:, 1])
    slope = np.interp(level, HORNS[:, 0], SLOPE)
    width = np.interp(level, HORNS[:, 0], HORNS[:, 2], left=-30.0, right=-30.0)
    width = width * factor * np.where(x > 0, left, 2.0 - left)
    return np.minimum(np.abs(x) - medial, medial + width - np.abs(x)) / np.hypot(1.0, slope)


class Shares(dict[str, np.ndarray]):
    """Share of each tissue in each pixel, {name: [S, S]}; the shares of a pixel add up to 1."""

    def lay(self, name: str, share: np.ndarray) -> None:
        """Lay `share` of a tissue over what is there."""
        for other in self:
            self[other] = self[other] * (1.0 - share)
        self[name] = self.get(name, 0.0) + share


def tissues(subject: int, attributes: BrainAttributes, size: int) -> Shares:
    """The tissues of a subject at an age, on a grid of `size` pixels."""
    born = anatomy(subject, attributes.sex, size)
    rng = generator(subject, "brain", "ageing")
    pace = rng.normal(1.0, 0.06)
    at_birth = np.exp(rng.normal(0.0, 0.25))
    left = rng.normal(1.06, 0.05)
    years = attributes.age - 20.0
    ill = attributes.diagnosis == "dementia"
    lost = (
        atrophy(attributes.age, attributes.diagnosis) * pace * born.area
    )  # mm^2, a third to ventricles, the rest to sulci
    factor = 0.45 * at_birth + 0.35 * lost / (FULL * born.scale**2)
    half = born.width + 0.65 * lost / born.opened * born.share  # mm
    thickness = 2.9 - 0.006 * years - (0.25 if ill else 0.0)  # mm
    hippocampus = (
        -0.2 - 0.007 * years - (0.9 if ill else 0.0)
    )  # mm that it has shrunk by on every side

    edge = max(VIEW / size, 0.8)
    fluid = ramp(half - born.pial, edge)
    cortex = ramp(half + thickness - born.pial, edge) - fluid
    out = Shares({"fluid": fluid, "cortex": cortex, "white matter": 1.0 - fluid - cortex})
    x = born.x
    y = born.y
    nuclei = np.max([ellipse(x, y, shape) for shape in NUCLEI.values()], 0) + 0.5 * born.wobble
    out.lay("deep grey", ramp(nuclei, 1.5 * edge) * out["white matter"])
    out.lay(
        "lesion",
        ramp(lesions(subject, attributes, x, y) + 0.7 * born.wobble, 2.5) * out["white matter"],
    )
    out.lay("fluid", ramp(ellipse(x, y, HIPPOCAMPUS), edge))
    out.lay("cortex", ramp(ellipse(x, y, HIPPOCAMPUS, hippocampus), edge))
    out.lay(
        "ventricle", ramp(ventricles(x, y, factor, left) * born.scale + 0.3 * born.wobble, edge)
    )
    out.lay("background", 1.0 - ramp(born.inside, edge))
    return out


def render(
    subject: int,
    attributes: BrainAttributes,
    *,
    visit: int = 0,
    size: int = 128,
    noise: float = 0.025,
) -> np.ndarray:
    """The slice [size, size] in [0, 1] as scanned at a visit; `noise` is a standard deviation on
    that scale."""
    shares = tissues(subject, attributes, size)
    born = anatomy(subject, attributes.sex, size)
    rng = generator(subject, "brain", "visit", visit)
    level = rng.uniform(0.0, 0.06)
    gain = rng.normal(1.0, 0.03)
    clean = level * shares["background"] + 0.02 * born.texture * (
        shares["white matter"] + shares["cortex"] + shares["deep grey"]
    )
    for name, signal in SIGNAL.items():
        clean += gain * signal * shares[name]
    return scan(clean, rng, noise=noise, bias=0.04, blur=0.45 * size / 128)


def truth(subject: int, attributes: BrainAttributes) -> dict[str, float]:
    """Shares of the intracranial area, measured on the tissue maps at 1 mm: brain, ventricles,
    lesions."""
    shares = tissues(subject, attributes, int(VIEW))
    area = {name: float(share.sum()) for name, share in shares.items()}
    head = sum(area.values()) - area["background"]
    return {
        "brain_fraction": 1.0 - (area["fluid"] + area["ventricle"]) / head,
        "ventricle_fraction": area["ventricle"] / head,
        "lesion_fraction": area["lesion"] / head,
    }


def labels(subject: int, attributes: BrainAttributes, size: int) -> np.ndarray:
    """The tissue with the largest share in each pixel, by number in `TISSUES`, [size, size]
    uint8."""
    shares = tissues(subject, attributes, size)
    return np.stack([shares[name] for name in TISSUES]).argmax(0).astype(np.uint8)
