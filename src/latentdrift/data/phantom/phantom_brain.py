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

from latentdrift.data.phantom.phantom_cortex import VIEW, Anatomy, anatomy
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
"""Numbers of the label map."""
SIGNAL = {
    "fluid": 0.20,
    "cortex": 0.56,
    "white matter": 0.86,
    "deep grey": 0.68,
    "ventricle": 0.17,
    "lesion": 0.64,
}
"""T1-like intensity of each tissue, as a share of the intensity range."""


@dataclass(frozen=True)
class BrainAttributes:
    """Attributes that change a brain."""

    age: float
    """Years, 18 to 110."""
    sex: Literal["M", "F"]
    diagnosis: str = "no dementia"
    """A name in DIAGNOSES."""

    def __post_init__(self) -> None:
        """Check the attributes.

        Raises:
            OptionError: A diagnosis or sex is unknown, or the age is out of range.
        """
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

    It is 0.0050 a year in old age (the fall of nWBV in OASIS-2, Marcus et al. 2010), slower before
    60, and faster with dementia.

    Args:
        age: Years.
        diagnosis: A name in DIAGNOSES.
    """
    late = 4.0 * np.logaddexp(0.0, (age - 58.0) / 4.0)  # years beyond 58, with a soft start
    extra = 0.030 + 0.0022 * late if diagnosis == "dementia" else 0.0
    result: float = 0.0012 * (age - 20.0) + 0.0041 * late + extra
    return result


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
"""Lateral ventricle of width factor 1: y of a level, distance of its medial wall from the midline,
and width, in mm."""
HORN_SLOPE = np.gradient(HORNS[:, 1], HORNS[:, 0])
VENTRICLE_AREA = 2.0 * float(np.trapezoid(HORNS[:, 2], HORNS[:, 0]))
"""Area of both ventricles at width factor 1, mm^2."""
LESIONS = 20
"""Number of white matter lesions of a subject, most of which start in old age."""


@dataclass(frozen=True)
class Ellipse:
    """A tilted ellipse on each side of the midline."""

    x: float
    """Distance of the centre from the midline, mm."""
    y: float
    """Centre, mm to the front."""
    a: float
    """Half axis across, mm."""
    b: float
    """Half axis along, mm."""
    tilt: float
    """Degrees by which the front end leans outwards."""

    def distance(self, x: np.ndarray, y: np.ndarray, grown: float = 0.0) -> np.ndarray:
        """Signed distance in mm (about), positive inside.

        Args:
            x: Distance in mm from the midline.
            y: Distance in mm to the front.
            grown: Length by which both half axes are longer, mm.
        """
        cos = np.cos(np.deg2rad(self.tilt))
        sin = np.sin(np.deg2rad(self.tilt))
        dx = np.abs(x) - self.x
        dy = y - self.y
        a = self.a + grown
        b = self.b + grown
        result: np.ndarray = (
            1.0 - np.hypot((cos * dx - sin * dy) / a, (sin * dx + cos * dy) / b)
        ) * np.sqrt(a * b)
        return result


NUCLEI = {
    "caudate": Ellipse(13.5, 20.0, 5.0, 12.5, 10.0),
    "putamen": Ellipse(27.5, 5.0, 4.5, 16.0, 6.0),
    "thalamus": Ellipse(12.5, -8.0, 8.0, 11.5, -16.0),
}
"""Deep grey matter."""
HIPPOCAMPUS = Ellipse(8.0, -28.0, 3.6, 6.0, -30.0)
"""Tail of the hippocampus, under the splenium."""


def lesions(subject: int, attributes: BrainAttributes, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance in mm to the white matter lesions, positive inside.

    Each lesion has a place, an onset and a pace of its own. Dementia lets them start 4 years
    earlier.

    Args:
        subject: Seed of the anatomy.
        attributes: Age and diagnosis.
        x: Distance in mm from the midline.
        y: Distance in mm to the front.
    """
    rng = generator(subject, "brain", "lesions")
    onset = rng.uniform(52.0, 120.0, LESIONS)  # years of age
    pace = rng.uniform(0.05, 0.12, LESIONS)  # mm of radius a year
    centre_x = rng.choice((-1.0, 1.0), LESIONS) * rng.uniform(17.0, 32.0, LESIONS)
    centre_y = rng.uniform(-42.0, 46.0, LESIONS)
    stretch = rng.uniform(1.0, 2.2, LESIONS)  # along the ventricle
    years = attributes.age + (4.0 if attributes.diagnosis == "dementia" else 0.0) - onset
    inside = np.full_like(x, -99.0)
    for index in np.flatnonzero(years > 0):
        radius = min(0.4 + pace[index] * years[index], 4.0)
        away = np.hypot(x - centre_x[index], (y - centre_y[index]) / stretch[index])
        np.maximum(inside, radius - away, out=inside)
    return inside


def ventricles(x: np.ndarray, y: np.ndarray, factor: float, left: float) -> np.ndarray:
    """Signed distance in mm (about) to the ventricles, positive inside.

    Args:
        x: Distance in mm from the midline, the patient's left positive.
        y: Distance in mm to the front.
        factor: Width of the ventricles against that of HORNS.
        left: Width of the left ventricle against the mean of both.
    """
    level = y / (1.0 + 0.05 * (factor - 1.0))  # the horns also grow longer
    medial = np.interp(level, HORNS[:, 0], HORNS[:, 1])
    slope = np.interp(level, HORNS[:, 0], HORN_SLOPE)
    width = np.interp(level, HORNS[:, 0], HORNS[:, 2], left=-30.0, right=-30.0)
    width = width * factor * np.where(x > 0, left, 2.0 - left)
    to_medial_wall = np.abs(x) - medial
    to_lateral_wall = medial + width - np.abs(x)
    result: np.ndarray = np.minimum(to_medial_wall, to_lateral_wall) / np.hypot(1.0, slope)
    return result


class Shares(dict[str, np.ndarray]):
    """Share of each tissue in each pixel, {name: [S, S]}. The shares of a pixel add up to 1."""

    def lay(self, name: str, share: np.ndarray) -> None:
        """Put a tissue over the others, whose shares are reduced.

        Args:
            name: Name of the tissue.
            share: Its share of each pixel, [S, S] in [0, 1].
        """
        for other in self:
            self[other] = self[other] * (1.0 - share)
        self[name] = self.get(name, 0.0) + share


@dataclass(frozen=True)
class Ageing:
    """Changes of a brain since the age of 20."""

    ventricle_factor: float
    """Width of the ventricles against that of HORNS."""
    left_ventricle: float
    """Width of the left ventricle against the mean of both."""
    sulcus_growth: float
    """Length in mm by which the half width of a sulcus of share 1 has grown."""
    cortex_thickness: float
    """mm."""
    hippocampus_growth: float
    """Length in mm by which the hippocampus has grown on every side; negative."""

    @classmethod
    def of(cls, subject: int, attributes: BrainAttributes, born: Anatomy) -> Ageing:
        """Ageing of a subject since the age of 20.

        A third of the lost area goes to the ventricles, the rest to the sulci.

        Args:
            subject: Number of the subject.
            attributes: Age, sex and diagnosis.
            born: Anatomy at birth.
        """
        rng = generator(subject, "brain", "ageing")
        pace = rng.normal(1.0, 0.06)
        at_birth = np.exp(rng.normal(0.0, 0.25))
        left = rng.normal(1.06, 0.05)
        years = attributes.age - 20.0
        is_ill = attributes.diagnosis == "dementia"
        lost = atrophy(attributes.age, attributes.diagnosis) * pace * born.area  # mm^2
        return cls(
            ventricle_factor=0.45 * at_birth + 0.35 * lost / (VENTRICLE_AREA * born.scale**2),
            left_ventricle=left,
            sulcus_growth=0.65 * lost / born.opened,
            cortex_thickness=2.9 - 0.006 * years - (0.25 if is_ill else 0.0),
            hippocampus_growth=-0.2 - 0.007 * years - (0.9 if is_ill else 0.0),
        )


def tissues(subject: int, attributes: BrainAttributes, size: int) -> Shares:
    """Tissues of a subject at an age.

    Args:
        subject: Seed of the anatomy.
        attributes: Age, sex and diagnosis.
        size: Pixels on a side.
    """
    born = anatomy(subject, attributes.sex, size)
    ageing = Ageing.of(subject, attributes, born)
    x = born.x
    y = born.y
    edge = max(VIEW / size, 0.8)  # mm

    half = born.width + ageing.sulcus_growth * born.share  # mm
    fluid = ramp(half - born.pial, edge)
    cortex = ramp(half + ageing.cortex_thickness - born.pial, edge) - fluid
    shares = Shares({"fluid": fluid, "cortex": cortex, "white matter": 1.0 - fluid - cortex})
    nuclei = np.max([nucleus.distance(x, y) for nucleus in NUCLEI.values()], 0)
    nuclei = nuclei + 0.5 * born.wobble
    shares.lay("deep grey", ramp(nuclei, 1.5 * edge) * shares["white matter"])
    spots = lesions(subject, attributes, x, y) + 0.7 * born.wobble
    shares.lay("lesion", ramp(spots, 2.5) * shares["white matter"])
    shares.lay("fluid", ramp(HIPPOCAMPUS.distance(x, y), edge))
    hippocampus = HIPPOCAMPUS.distance(x, y, ageing.hippocampus_growth)
    shares.lay("cortex", ramp(hippocampus, edge))
    horns = ventricles(x, y, ageing.ventricle_factor, ageing.left_ventricle) * born.scale
    shares.lay("ventricle", ramp(horns + 0.3 * born.wobble, edge))
    shares.lay("background", 1.0 - ramp(born.inside, edge))
    return shares


def render(
    subject: int,
    attributes: BrainAttributes,
    *,
    visit: int = 0,
    size: int = 128,
    noise: float = 0.025,
) -> np.ndarray:
    """Axial slice of a subject as scanned at a visit.

    Args:
        subject: Seed of the anatomy.
        attributes: Age, sex and diagnosis.
        visit: Seed of the scanner.
        size: Pixels on a side.
        noise: Standard deviation of the noise, as a share of the intensity range.

    Returns:
        [size, size] float32 in [0, 1].
    """
    shares = tissues(subject, attributes, size)
    born = anatomy(subject, attributes.sex, size)
    rng = generator(subject, "brain", "visit", visit)
    level = rng.uniform(0.0, 0.06)
    gain = rng.normal(1.0, 0.03)
    brain = shares["white matter"] + shares["cortex"] + shares["deep grey"]
    clean = level * shares["background"] + 0.02 * born.texture * brain
    for name, signal in SIGNAL.items():
        clean += gain * signal * shares[name]
    return scan(clean, rng, noise=noise, bias=0.04, blur=0.45 * size / 128)


def truth(subject: int, attributes: BrainAttributes) -> dict[str, float]:
    """Measurements on the tissue maps at 1 mm, without scanner effects.

    Args:
        subject: Number of the subject.
        attributes: Age, sex and diagnosis.

    Returns:
        `brain_fraction`, `ventricle_fraction` and `lesion_fraction` of the intracranial area.
    """
    shares = tissues(subject, attributes, int(VIEW))
    area = {name: float(share.sum()) for name, share in shares.items()}
    head = sum(area.values()) - area["background"]
    return {
        "brain_fraction": 1.0 - (area["fluid"] + area["ventricle"]) / head,
        "ventricle_fraction": area["ventricle"] / head,
        "lesion_fraction": area["lesion"] / head,
    }


def labels(subject: int, attributes: BrainAttributes, size: int) -> np.ndarray:
    """Number in `TISSUES` of the tissue with the largest share in each pixel.

    Args:
        subject: Number of the subject.
        attributes: Age, sex and diagnosis.
        size: Pixels on a side.

    Returns:
        [size, size] uint8.
    """
    shares = tissues(subject, attributes, size)
    result: np.ndarray = np.stack([shares[name] for name in TISSUES]).argmax(0).astype(np.uint8)
    return result
