"""The folded surface of the brain phantom: an outline, the fissures, and sulci that grow inwards
until they meet one another.

The pial surface is a cloud of points about 0.75 mm apart. Everything within half a sulcus of the
cloud is fluid, the next 2 to 3 mm are cortex; so the points, the half width of the sulcus at each
and its share in later widening are all that the rest needs. Coordinates are mm in the head's frame,
x to the patient's left (the image's right), y to the front.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from latentdrift.data.phantom.phantom_scanner import field, generator, grid

VIEW = 192.0  # mm across the picture
STEP = 1.5  # mm that a sulcus grows at a time; it leaves two points
ROOTS = 44  # sulci that start from the outline, about 11 mm apart
# mm, how far from the pial surface its distance is known; sulcus and cortex end before that
REACH = 9.0
CORE = np.array([35.0, 53.0])  # mm, half axes of the middle of the brain, which sulci do not enter

Points = np.ndarray  # [N, 2] in mm


@dataclass(frozen=True)
class Sulci:
    """Points of sulci, the sulcus that each belongs to, and its distance from that sulcus's root in
    mm."""

    points: Points
    owner: np.ndarray  # [N]
    depth: np.ndarray  # [N]


def draw_outline(rng: np.random.Generator, sex: str) -> tuple[Points, float]:
    """The brain's outline [N, 2], clockwise from the front, and the scale of the head."""
    scale = rng.normal(1.0, 0.02) * (1.03 if sex == "M" else 0.97)
    a, b = (
        scale * np.array([66.0, 84.0]) * rng.normal(1.0, 0.02, 2)
    )  # half width and half length, mm
    t = np.linspace(0.0, 2.0 * np.pi, 660, endpoint=False)
    wave = 1.0 + sum(
        rng.normal(0.0, 0.008) * np.cos(k * t + rng.uniform(0.0, 6.3)) for k in (2, 3, 4, 5)
    )
    square = 1.0 + 0.045 * np.sin(2.0 * t) ** 2  # between an ellipse and a rectangle
    x = (
        a * np.sin(t) * square * wave * (1.0 - 0.11 * np.cos(t) - 0.04 * np.cos(2.0 * t))
    )  # widest behind the middle
    y = b * np.cos(t) * wave - 1.5 * np.sin(t) * np.abs(
        np.cos(t)
    )  # torque: the right front and the left back protrude
    return np.stack([x, y], 1), scale


def draw_fissures(rng: np.random.Generator, edge: Points, scale: float) -> list[Points]:
    """Between the hemispheres in front of and behind the corpus callosum, then the Sylvian fissure
    of either side."""
    out = []
    for start, stop in ((edge[:, 1].max(), 42.0 * scale), (edge[:, 1].min(), -46.0 * scale)):
        y = np.linspace(start, stop, 60)
        out.append(np.stack([0.8 * np.sin(y / 9.0 + rng.uniform(0.0, 6.3)), y], 1))
    u = np.linspace(0.0, 1.0, 40)
    v = np.linspace(-1.0, 1.0, 56)
    for side in (-1.0, 1.0):  # in from the side, then forwards and backwards along the insula
        level = rng.normal(6.0, 3.0)
        half = edge[edge[:, 0] * side > 0]
        wall = abs(half[np.argmin(np.abs(half[:, 1] - level)), 0])
        stem = np.stack(
            [side * (wall + (43.0 * scale - wall) * u), level + 6.0 * u - 3.0 * np.sin(3.0 * u)], 1
        )
        insula = np.stack([side * (43.0 - 5.0 * v**2) * scale, stem[-1, 1] + 17.0 * scale * v], 1)
        out.append(np.concatenate([stem, insula]))
    return out


def plant(rng: np.random.Generator, edge: Points, fissures: list[Points]) -> tuple[Points, Points]:
    """Roots of sulci and the directions they set out in: from the outline, and from the walls
    between the hemispheres."""
    picks = ((np.arange(ROOTS) + rng.uniform(-0.2, 0.2, ROOTS)) / ROOTS * len(edge)).astype(
        int
    ) % len(edge)
    along = np.roll(edge, -3, 0) - np.roll(edge, 3, 0)
    inward = np.stack([along[:, 1], -along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
    roots = edge[picks]
    ways = inward[picks] + rng.normal(0.0, 0.2, (ROOTS, 2))
    free = np.linalg.norm(roots[:, None] - np.concatenate(fissures)[None], axis=-1).min(1) > 5.0
    medial = np.array(
        [
            (*line[index], side, rng.normal(0.0, 0.3))
            for line in fissures[:2]
            for side in (-1.0, 1.0)
            for index in range(int(rng.integers(8, 14)), 56, 14)
        ]
    )
    roots = np.concatenate([roots[free], medial[:, :2]])
    ways = np.concatenate([ways[free], medial[:, 2:]])
    return roots, ways / np.linalg.norm(ways, axis=1, keepdims=True)


def grow(
    rng: np.random.Generator,
    roots: Points,
    headings: Points,
    names: np.ndarray,
    lengths: np.ndarray,
    others: Points,
    owners: np.ndarray,
    core: np.ndarray,
    gap: float,
) -> Sulci:
    """Grow all sulci at once; a tip stops at its length (mm), at the core, or `gap` mm before a
    point of another owner.

    Tips keep roughly to their heading, meander, and are pushed away from what they come near.
    """
    tips = roots.astype(np.float32)
    ways = headings.astype(np.float32)
    alive = np.arange(len(roots))
    bend = rng.normal(0.0, 0.06, len(roots))
    cloud = others.astype(np.float32)
    owner = owners
    depth = [np.zeros(len(others))]
    for index in range(1, int(lengths.max() / STEP) + 1):
        bend = 0.85 * bend + rng.normal(0.0, 0.05, len(roots))
        tip = tips[alive]
        way = ways[alive]
        squared = (
            (tip**2).sum(1)[:, None] + (cloud**2).sum(1) - 2.0 * tip @ cloud.T
        )  # mm^2, tip to point
        squared = np.maximum(squared, 4.0) + np.float32(1e6) * (names[alive][:, None] == owner)
        weight = 6.0 / (squared * np.sqrt(squared))
        push = tip * weight.sum(1, keepdims=True) - weight @ cloud
        push *= 0.15 / np.maximum(np.linalg.norm(push, axis=1, keepdims=True), 0.15)
        way = (
            way
            + np.stack([-way[:, 1], way[:, 0]], 1) * bend[alive, None]
            + push
            + 0.08 * headings[alive]
        )
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        crowded = (squared.min(1) < gap**2) & (index > 5)  # a sulcus is at least 7 mm deep
        on = (lengths[alive] >= index * STEP) & (((tip / core) ** 2).sum(1) > 1.0) & ~crowded
        alive = alive[on]
        tip = tip[on]
        way = way[on]
        if not len(alive):
            break
        cloud = np.concatenate([cloud, tip + 0.5 * STEP * way, tip + STEP * way], dtype=np.float32)
        owner = np.concatenate([owner, names[alive], names[alive]])
        depth += [np.full(len(alive), (index - share) * STEP) for share in (0.5, 0.0)]
        tips[alive], ways[alive] = tip + STEP * way, way
    old = len(others)
    return Sulci(cloud[old:], owner[old:], np.concatenate(depth)[old:])


@dataclass(frozen=True)
class Pia:
    """The pial surface: the first `len(edge)` points are the outline."""

    points: Points
    width: np.ndarray  # [N] half width of the sulcus at birth, mm
    share: np.ndarray  # [N] part in later widening, about 1
    edge: Points
    scale: float  # of the head


def fold(subject: int, sex: str) -> Pia:
    """The pial surface that a subject is born with."""
    rng = generator(subject, "brain", "anatomy")
    edge, scale = draw_outline(rng, sex)
    fissures = draw_fissures(rng, edge, scale)
    lines = np.concatenate(fissures)
    line_owner = np.concatenate(
        [np.full(len(line), -2 - index) for index, line in enumerate(fissures)]
    )
    roots, ways = plant(rng, edge, fissures)
    count = len(roots)
    deep = (np.arange(count) % 2 == 0) | (rng.random(count) < 0.3)
    lengths = np.where(deep, rng.uniform(18.0, 30.0, count), rng.uniform(8.0, 15.0, count))
    main = grow(rng, roots, ways, np.arange(count), lengths, lines, line_owner, scale * CORE, 4.8)

    forks = rng.permutation(np.flatnonzero(main.depth > 6.0))[
        :36
    ]  # branches leave the walls of sulci that are deep enough
    turns = rng.normal(0.0, 1.0, (len(forks), 2))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    known = np.concatenate([edge, lines, main.points])
    known_owner = np.concatenate([np.full(len(edge), -1), line_owner, main.owner])
    lengths = rng.uniform(5.0, 9.0, len(forks))
    twigs = grow(
        rng,
        main.points[forks],
        turns,
        main.owner[forks],
        lengths,
        known,
        known_owner,
        scale * CORE,
        5.0,
    )

    own = np.exp(rng.normal(0.0, 0.25, count))
    share = np.concatenate(
        [np.full(len(edge), 0.7), np.full(len(lines), 1.3), own[main.owner], 0.8 * own[twigs.owner]]
    )
    depth = np.concatenate(
        [np.full(len(edge) + len(lines), 9.0), main.depth, np.full(len(twigs.points), 9.0)]
    )
    width = 0.55 * share + 1.5 * np.exp(-depth / 3.0)  # sulci open towards the skull
    return Pia(np.concatenate([edge, lines, main.points, twigs.points]), width, share, edge, scale)


@dataclass(frozen=True)
class Anatomy:
    """What a subject is born with, on a grid [S, S]; distances in mm."""

    x: np.ndarray  # in units of a head of scale 1, patient's left positive
    y: np.ndarray  # front positive
    scale: float
    inside: np.ndarray  # to the outline, positive inside
    pial: np.ndarray  # to the nearest point of the pial surface, at most REACH
    width: np.ndarray  # half width of the nearest sulcus at birth
    share: np.ndarray  # its share in later widening
    area: float  # intracranial, mm^2
    opened: float  # mm^2 of new fluid for each mm that half widths grow by
    texture: np.ndarray  # standard deviation about 1
    wobble: np.ndarray  # standard deviation 1, for edges of deep structures


@lru_cache(maxsize=64)
def anatomy(subject: int, sex: str, size: int) -> Anatomy:
    """The subject's anatomy on a grid of `size` pixels; cached, because visits and counterfactuals
    share it."""
    pia = fold(subject, sex)
    edge, outline = pia.edge, len(pia.edge)
    rng = generator(subject, "brain", "pose")
    angle, (dx, dy) = np.deg2rad(rng.normal(0.0, 2.0)), rng.normal(0.0, 1.5, 2)
    gx, gy = grid(size, VIEW)
    x = np.cos(angle) * (gx - dx) + np.sin(angle) * (gy - dy)
    y = -np.sin(angle) * (gx - dx) + np.cos(angle) * (gy - dy)

    bearing = np.arctan2(edge[:, 0], edge[:, 1])
    radius = np.interp(np.arctan2(x, y), bearing, np.hypot(*edge.T), period=2.0 * np.pi)
    inside = (radius - np.hypot(x, y)).astype(np.float32)
    head = inside > -3.0
    pial = np.full(x.shape, REACH, np.float32)
    nearest = np.zeros(x.shape, int)
    tree = cKDTree(pia.points, balanced_tree=False, compact_nodes=False)
    pial[head], found = tree.query(np.stack([x[head], y[head]], 1), distance_upper_bound=REACH)
    nearest[head] = np.minimum(found, len(pia.points) - 1)

    turned = np.roll(edge, -1, 0)
    area = 0.5 * abs(
        float((edge[:, 0] * turned[:, 1] - turned[:, 0] * edge[:, 1]).sum())
    )  # the shoelace formula
    opened = (
        0.5 * STEP * float(pia.share[:outline].sum() + 2.0 * pia.share[outline:].sum())
    )  # the outline opens to one side
    width, share = (values.astype(np.float32)[nearest] for values in (pia.width, pia.share))
    texture = 0.6 * field(rng, 12, size) + 0.5 * field(rng, 40, size)
    return Anatomy(
        x / pia.scale,
        y / pia.scale,
        pia.scale,
        inside,
        np.minimum(pial, REACH),
        width,
        share,
        area,
        opened,
        texture,
        field(rng, 14, size),
    )
