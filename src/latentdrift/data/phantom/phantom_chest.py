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

# Border profiles: height y in mm (up, 0 in the image's middle) against distance from the midline
# in mm. The heart's are shares of its largest extent to either side.
LUNG_Y = np.array([150, 143, 132, 112, 80, 40, 0, -40, -80, -110, -140.0])
LUNG_WALL = np.array([38, 54, 68, 86, 103, 116, 123, 128, 130, 130, 128.0])
MEDIASTINUM_Y = np.array([175, 120, 95, 70, 45, 20, -20, -140.0])
MEDIASTINUM = np.array([26, 24, 25, 27, 28, 26, 22, 20.0])
HEART_Y = np.array([48, 35, 20, 0, -25, -50, -68, -84, -98, -112.0])
HEART_LEFT = np.array([0.0, 0.30, 0.44, 0.60, 0.82, 0.96, 1.0, 0.94, 0.75, 0.2])
HEART_RIGHT = np.array([0.0, 0.35, 0.60, 0.84, 1.0, 0.98, 0.90, 0.76, 0.6, 0.2])
BODY_Y = np.array([180, 165, 150, 132, 112, 85, 40, -20, -80, -180.0])
BODY = np.array([52, 54, 66, 105, 152, 176, 176, 166, 162, 166.0])


@dataclass(frozen=True)
class ChestAttributes:
    """Attributes that change a chest."""

    age: float
    """Years, 18 to 110."""
    sex: Literal["M", "F"]
    findings: tuple[str, ...] = ()
    """Names in FINDINGS."""

    def __post_init__(self) -> None:
        """Check the attributes.

        Raises:
            OptionError: A finding or sex is unknown, or the age is out of range.
        """
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
    """Smooth border through a table, at every y.

    Args:
        y: Heights, mm.
        heights: Heights of the table, from top to bottom, mm.
        values: Values of the table.
    """
    curve = PchipInterpolator(heights[::-1], values[::-1])
    result: np.ndarray = curve(np.clip(y, heights[-1], heights[0])).astype(np.float32)
    return result


def join(a: np.ndarray, b: np.ndarray, soft: float) -> np.ndarray:
    """Smooth minimum of two signed distances in mm; their corner is rounded by `soft` mm."""
    h = np.clip(0.5 + 0.5 * (b - a) / soft, 0.0, 1.0)
    result: np.ndarray = b + (a - b) * h - soft * h * (1.0 - h)
    return result


@dataclass(frozen=True)
class Thorax:
    """Coordinates in the patient's frame and the rib cage, on a pixel grid."""

    x: np.ndarray
    """[S, S] mm from the midline, the patient's left positive."""
    y: np.ndarray
    """[S, S] mm, up."""
    width: float
    """Width of the thorax against the mean."""
    wall: np.ndarray
    """[S, S] mm, half width of the rib cage."""

    @property
    def across(self) -> np.ndarray:
        """Distance from the midline in mm, [S, S]."""
        result: np.ndarray = np.abs(self.x)
        return result

    @property
    def is_left(self) -> np.ndarray:
        """Whether a pixel lies on the patient's left, bool [S, S]."""
        return self.x > 0


@dataclass(frozen=True)
class Bones:
    """Shadows of bones, [S, S] each, 0 to about 1."""

    posterior_ribs: np.ndarray
    anterior_ribs: np.ndarray
    clavicles: np.ndarray


@dataclass(frozen=True)
class Nodule:
    """Place and radius of a nodule in mm."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Disease:
    """How each finding looks in this subject, should it be present."""

    normal_ratio: float
    """Cardiothoracic ratio without cardiomegaly."""
    enlarged_ratio: float
    """Cardiothoracic ratio with cardiomegaly."""
    effusion_side: float
    """1 on the patient's left (the image's right), -1 on the patient's right."""
    effusion_level: float
    """Height of the effusion at the chest wall, mm."""
    nodule: Nodule


@dataclass(frozen=True)
class Anatomy:
    """Body of a subject at birth, on a pixel grid; distances in mm, positive inside."""

    thorax: Thorax
    lung: np.ndarray
    """[S, S] signed distance to both lungs, before heart and mediastinum are laid over them."""
    body: np.ndarray
    """[S, S] share of the pixel inside the body."""
    bones: Bones
    vessels: np.ndarray
    """[S, S] shadow of the vessels."""
    disease: Disease


def tube(distance: np.ndarray, half: float | np.ndarray) -> np.ndarray:
    """Shadow of a hollow bone, with bright rims and paler marrow.

    Args:
        distance: Distance from the bone's axis, mm.
        half: Half width of the bone, mm.
    """
    outer = np.sqrt(np.clip(1.0 - (distance / half) ** 2, 0.0, 1.0))
    marrow = np.sqrt(np.clip(1.0 - (distance / (0.72 * half)) ** 2, 0.0, 1.0))
    return outer - 0.5 * marrow


@lru_cache(maxsize=64)
def anatomy(subject: int, sex: str, size: int) -> Anatomy:
    """Anatomy of a subject. It is cached, because visits and counterfactuals share it.

    Args:
        subject: Seed of the anatomy.
        sex: "M" or "F".
        size: Pixels on a side.
    """
    rng = generator(subject, "chest", "anatomy")
    thorax = draw_thorax(rng, sex, size)
    # the order of these calls is the order of the random numbers
    lung = draw_lungs(rng, thorax)
    bones = draw_bones(rng, thorax, size)
    vessels = draw_vessels(rng, thorax, size)
    disease = draw_disease(rng, thorax.width)
    body = ramp(thorax.width * profile(thorax.y, BODY_Y, BODY) - thorax.across, 6.0)
    return Anatomy(thorax, lung, body, bones, vessels, disease)


def draw_thorax(rng: np.random.Generator, sex: str, size: int) -> Thorax:
    """Draw the pose and size of a subject: a small rotation and shift, height and width near the
    mean.

    Args:
        rng: Generator of the subject.
        sex: "M" or "F".
        size: Pixels on a side.
    """
    grid_x, grid_y = grid(size, VIEW)
    angle = np.deg2rad(rng.normal(0.0, 1.2))
    shift_x, shift_y = rng.normal(0.0, 4.0, 2)  # mm
    cos = np.cos(angle)
    sin = np.sin(angle)
    x = cos * (grid_x - shift_x) + sin * (grid_y - shift_y)
    y = (-sin * (grid_x - shift_x) + cos * (grid_y - shift_y)) / rng.normal(1.0, 0.03)
    width = rng.normal(1.0, 0.04) * (1.03 if sex == "M" else 0.94)
    return Thorax(x, y, width, width * profile(y, LUNG_Y, LUNG_WALL))


def draw_lungs(rng: np.random.Generator, thorax: Thorax) -> np.ndarray:
    """Draw the signed distance in mm to both lungs, [S, S], positive inside.

    Rib cage, midline, diaphragm and apex bound them. The right dome of the diaphragm is higher.

    Args:
        rng: Generator of the subject.
        thorax: Its thorax.
    """
    across = thorax.across
    left_dome = rng.normal(-88.0, 5.0)
    right_dome = rng.normal(-76.0, 5.0)
    dome = np.where(thorax.is_left, left_dome, right_dome)
    centre = np.where(thorax.is_left, 66.0, 62.0) * thorax.width  # mm from the midline
    fall = rng.normal(34.0, 4.0)  # mm from the dome to the costophrenic angle
    apart = (across - centre) / (66.0 * thorax.width)
    lateral = np.abs(apart) ** 2.2
    medial = 0.35 * apart**2
    above_diaphragm = thorax.y - (dome - fall * np.where(apart > 0, lateral, medial))
    sides = join(0.95 * (thorax.wall - across), across - 10.0, 3.0)
    ends = join(above_diaphragm, 0.9 * (148.0 - thorax.y), 3.0)
    return join(sides, ends, 5.0)


def draw_bones(rng: np.random.Generator, thorax: Thorax, size: int) -> Bones:
    """Draw the shadows of posterior ribs, anterior ribs and clavicles.

    Args:
        rng: Generator of the subject.
        thorax: Its thorax.
        size: Pixels on a side.
    """
    across = thorax.across
    y = thorax.y
    spacing = rng.normal(23.5, 1.0)  # mm from rib to rib
    left_tilt, right_tilt = rng.normal(0.0, 2.0, 2)  # mm
    lift = np.where(thorax.is_left, left_tilt, right_tilt) + 2.0 * field(rng, 3, size)
    u = across / np.maximum(thorax.wall, 30.0)  # 0 at the midline, 1 at the wall
    cage = ramp(thorax.wall + 5.0 - across, 6.0)

    back = y - 128.0 + lift - 9.0 * np.sin(np.pi * np.minimum(u, 1.2)) + 42.0 * u**2.6
    back = back / spacing
    number = np.clip(np.round(back), -9, 0)
    rib = tube((back - number) * spacing, 6.2)
    posterior = rib * cage * ramp(across - 14.0, 8.0) * (0.55 + 0.75 * u**3)

    front = y - 128.0 + lift + 33.0 + 78.0 * np.maximum(1.0 - u, 0.0) ** 1.1
    front = front / (1.12 * spacing)
    number = np.clip(np.round(front), -7, 0)
    cartilage = 0.40 + 0.10 * rng.random()  # nearer to the midline, ribs cast no shadow
    rib = tube((front - number) * 1.12 * spacing, 7.0)
    anterior = rib * cage * ramp(u - cartilage, 0.15)

    bow = 118.0 - 6.0 * np.sin((across - 15.0) / 22.0) + 0.14 * across + lift
    clavicle = tube((y - bow) * 0.95, 7.5 - 0.012 * across)
    clavicle = clavicle * ramp(across - 16.0, 8.0) * ramp(140.0 - across, 20.0)
    return Bones(posterior, anterior, clavicle)


def draw_vessels(rng: np.random.Generator, thorax: Thorax, size: int) -> np.ndarray:
    """Draw the shadow of the vessels, [S, S]: rays and streaks that fade with distance from each
    hilum.

    Args:
        rng: Generator of the subject.
        thorax: Its thorax.
        size: Pixels on a side.
    """
    hilum_x = np.where(thorax.is_left, 34.0, -34.0)
    hilum_y = np.where(thorax.is_left, 38.0, 30.0)
    distance = np.hypot(thorax.x - hilum_x, thorax.y - hilum_y) + 1.0
    streaks = field(rng, 46, size) * field(rng, 20, size)
    turn = np.arctan2(thorax.y - hilum_y, np.abs(thorax.x) - 34.0)
    rays = sum(
        np.abs(np.sin(k * turn + rng.uniform(0, 6.3) + 0.02 * distance)) ** 14
        for k in (3.5, 5.0, 7.5)
    )
    tree = (0.45 * rays + 0.5 * np.maximum(streaks, 0.0)) * np.exp(-distance / 42.0)
    hilum = 1.1 * np.exp(-((distance / 17.0) ** 2))
    result: np.ndarray = tree + hilum
    return result


def draw_disease(rng: np.random.Generator, width: float) -> Disease:
    """Draw the appearance of each finding in a subject.

    Args:
        rng: Generator of the subject.
        width: Width of the thorax relative to the mean.
    """
    nodule = Nodule(
        x=rng.choice((-1.0, 1.0)) * rng.uniform(62.0, 88.0) * width,
        y=rng.uniform(5.0, 92.0),
        radius=rng.uniform(9.0, 15.0),
    )
    return Disease(
        normal_ratio=float(np.clip(rng.normal(0.44, 0.02), 0.39, 0.475)),
        enlarged_ratio=rng.uniform(0.56, 0.66),
        effusion_side=float(rng.choice((-1.0, 1.0))),
        effusion_level=rng.uniform(62.0, 105.0),
        nodule=nodule,
    )


def senescence(age: float) -> float:
    """Share of the changes of old age: 0 up to 45 years, 1 at 85."""
    return max(age - 45.0, 0.0) / 40.0


def structures(subject: int, attributes: ChestAttributes, size: int) -> dict[str, np.ndarray]:
    """Share of each overlapping structure along a pixel's ray.

    Args:
        subject: Number of the subject.
        attributes: Age, sex and findings.
        size: Pixels on a side.

    Returns:
        lung, heart, mediastinum, effusion and nodule, [S, S] in [0, 1].
    """
    born = anatomy(subject, attributes.sex, size)
    edge = max(VIEW / size, 2.5)  # mm
    lung = ramp(born.lung, edge)
    middle = mediastinum(born.thorax, senescence(attributes.age))
    shares = {
        "lung": lung,
        "heart": ramp(heart(born, "cardiomegaly" in attributes.findings), 1.5 * edge),
        "mediastinum": ramp(middle, 2.0 * edge),
        "effusion": np.zeros_like(born.thorax.x),
        "nodule": np.zeros_like(born.thorax.x),
    }
    if "effusion" in attributes.findings:
        shares["effusion"] = effusion(born) * lung
    if "nodule" in attributes.findings:
        nodule = born.disease.nodule
        distance = np.hypot(born.thorax.x - nodule.x, born.thorax.y - nodule.y)
        shares["nodule"] = ramp(nodule.radius - distance, edge) * lung
    return shares


def heart(born: Anatomy, is_enlarged: bool) -> np.ndarray:
    """Signed distance in mm to the heart, [S, S], positive inside.

    About two thirds of the heart lie on the patient's left.

    Args:
        born: Anatomy of the subject.
        is_enlarged: Whether the subject has an enlarged heart.
    """
    x = born.thorax.x
    y = born.thorax.y
    diameter = 2.0 * born.thorax.width * LUNG_WALL.max()  # mm, of the thorax
    ratio = born.disease.enlarged_ratio if is_enlarged else born.disease.normal_ratio
    width = diameter * ratio
    left = 0.66 * width * profile(y, HEART_Y, HEART_LEFT)
    right = 0.34 * width * profile(y, HEART_Y, HEART_RIGHT)
    border = np.where(x > 0, left, right)
    return join(0.85 * (border - np.abs(x)), np.minimum(46.0 - y, y + 118.0), 6.0)


def mediastinum(thorax: Thorax, old: float) -> np.ndarray:
    """Signed distance in mm to the mediastinum with the aortic knob, [S, S], positive inside.

    Args:
        thorax: The thorax.
        old: Share of the changes of old age, from `senescence`; it unfolds the aorta.
    """
    middle = thorax.width * profile(thorax.y, MEDIASTINUM_Y, MEDIASTINUM) - np.abs(thorax.x)
    knob = 15.0 + 5.0 * old - np.hypot(thorax.x - 23.0 - 5.0 * old, thorax.y - 74.0)
    result: np.ndarray = np.maximum(middle, knob)
    return result


def effusion(born: Anatomy) -> np.ndarray:
    """Share of pleural fluid [S, S] on one side, with a meniscus that climbs at the chest wall."""
    thorax = born.thorax
    u = np.clip(np.abs(thorax.x) / thorax.wall, 0.0, 1.0)
    meniscus = born.disease.effusion_level * (0.62 + 0.38 * u**5)  # mm above the floor
    below = ramp(meniscus - (thorax.y - fluid_floor(born)), 12.0)
    result: np.ndarray = below * ramp(born.disease.effusion_side * thorax.x - 12.0, 8.0)
    return result


def fluid_floor(born: Anatomy) -> float:
    """Height in mm of the costophrenic angle, the lowest point of the lung on the effusion's
    side."""
    on_side = born.disease.effusion_side * born.thorax.x > 0
    return float(np.where((born.lung > 0) & on_side, born.thorax.y, np.inf).min())


def thickness(subject: int, attributes: ChestAttributes, size: int) -> np.ndarray:
    """Matter along each pixel's ray, [S, S]; 1 is about the middle of the body.

    Args:
        subject: Number of the subject.
        attributes: Age, sex and findings.
        size: Pixels on a side.
    """
    born = anatomy(subject, attributes.sex, size)
    part = structures(subject, attributes, size)
    x = born.thorax.x
    y = born.thorax.y
    old = senescence(attributes.age)
    calcium = 1.0 - 0.35 * old
    depth = np.sqrt(np.clip(born.lung / 34.0, 0.0, 1.0))  # air is deepest in the lung's middle
    solid = np.maximum(part["heart"], part["mediastinum"])

    belly = 0.25 * ramp(-y - 60.0, 120.0)
    thick = born.body * (1.25 - 0.25 * np.clip(np.abs(x) / 180.0, 0, 1) ** 2 + belly)
    thick = thick - 0.95 * depth * part["lung"] * (1.0 - 0.72 * solid)
    thick += 0.22 * part["heart"] * part["lung"] + 0.10 * part["mediastinum"]
    bones = (
        0.32 * born.bones.posterior_ribs
        + 0.14 * born.bones.anterior_ribs
        + 0.36 * born.bones.clavicles
    )
    thick += bones * calcium * born.body
    thick += (0.16 + 0.06 * old) * born.vessels * part["lung"]
    thick += spine(x, y, calcium)
    stomach = np.hypot((x - 62.0) / 24.0, (y + 124.0) / 13.0)
    thick -= 0.16 * ramp(1.0 - stomach, 1.0)
    thick -= 0.26 * ramp(7.5 - np.abs(x - 2.0), 5.0) * ramp(y - 42.0, 20.0)  # trachea
    if attributes.sex == "F":
        for side in (-1.0, 1.0):
            thick += breast(x, y, side)
    thick += 0.85 * depth * part["effusion"] * (1.0 - 0.72 * solid)
    thick += 0.36 * part["nodule"]
    result: np.ndarray = thick
    return result


def spine(x: np.ndarray, y: np.ndarray, calcium: float) -> np.ndarray:
    """Shadow of the vertebrae, each 24 mm high, [S, S].

    Args:
        x: Distance from the midline in mm, [S, S].
        y: Height in mm, [S, S].
        calcium: Calcium as a share of that of a young spine.
    """
    discs = np.sin(y / 3.9)
    across = np.sqrt(np.clip(1.0 - (x / 19.0) ** 2, 0.0, 1.0))
    return 0.11 * calcium * across * (1.0 + 0.25 * np.clip(2.0 * discs, -1.0, 1.0))


def breast(x: np.ndarray, y: np.ndarray, side: float) -> np.ndarray:
    """Shadow of a breast, [S, S].

    Args:
        x: Distance from the midline in mm, [S, S].
        y: Height in mm, [S, S].
        side: 1 for the patient's left, -1 for the right.
    """
    away = np.hypot((x - side * 78.0) / 52.0, (y + 62.0) / 46.0)
    dome = np.sqrt(np.clip(1.0 - 0.8 * away**2, 0.0, 1.0))
    result: np.ndarray = 0.26 * ramp(1.0 - away, 0.12) * dome * ramp(20.0 - y, 110.0)
    return result


def render(
    subject: int,
    attributes: ChestAttributes,
    *,
    visit: int = 0,
    size: int = 128,
    noise: float = 0.012,
) -> np.ndarray:
    """Radiograph of a subject at a visit.

    Args:
        subject: Seed of the anatomy.
        attributes: Age, sex and findings.
        visit: Seed of the exposure.
        size: Pixels on a side.
        noise: Standard deviation of the noise, as a share of the intensity range.

    Returns:
        [size, size] float32 in [0, 1].
    """
    thick = thickness(subject, attributes, size)
    rng = generator(subject, "chest", "visit", visit)
    exposure = rng.normal(0.0, 0.02)
    contrast = rng.normal(1.0, 0.04)
    clean = 1.0 / (1.0 + np.exp(-3.4 * contrast * (thick - 0.78 + exposure)))  # the tone curve
    dark = 1.0 / (1.0 + np.exp(3.4 * 0.78))
    return scan((clean - dark) / (1.0 - dark), rng, noise=noise, bias=0.02, blur=0.5 * size / 128)


def labels(subject: int, attributes: ChestAttributes, size: int) -> np.ndarray:
    """Number in `TISSUES` of the top structure in each pixel.

    Findings lie over the heart, the heart over the mediastinum, the mediastinum over the lungs.

    Args:
        subject: Number of the subject.
        attributes: Age, sex and findings.
        size: Pixels on a side.

    Returns:
        [size, size] uint8.
    """
    part = structures(subject, attributes, size)
    out = (anatomy(subject, attributes.sex, size).body > 0.5).astype(np.uint8)
    for name in ("lung", "mediastinum", "heart", "effusion", "nodule"):
        out[part[name] > 0.5] = TISSUES[name]
    return out


def columns_across(mask: np.ndarray) -> float:
    """Width from the leftmost to the rightmost column of a mask, in pixels."""
    columns = np.flatnonzero(mask.any(0))
    return float(columns[-1] - columns[0] + 1)


def truth(subject: int, attributes: ChestAttributes) -> dict[str, float]:
    """Measurements at 1 mm, without scanner effects.

    Args:
        subject: Number of the subject.
        attributes: Age, sex and findings.

    Returns:
        `cardiothoracic_ratio`, `effusion_height` in mm and `nodule_area` in mm^2.
    """
    part = structures(subject, attributes, int(VIEW))
    thorax = (part["lung"] > 0.5) | (part["heart"] > 0.5)
    return {
        "cardiothoracic_ratio": columns_across(part["heart"] > 0.5) / columns_across(thorax),
        "effusion_height": float((part["effusion"] > 0.5).sum(0).max()),
        "nodule_area": float(part["nodule"].sum()),
    }
