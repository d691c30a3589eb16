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

VIEW = 192.0
"""Width of the picture, mm."""
STEP = 1.5
"""Length that a sulcus grows by at a time, mm. A step leaves two points."""
OUTLINE_ROOTS = 44
"""Number of sulci that start from the outline, about 11 mm apart."""
MAX_FORKS = 36
"""Number of branches that leave the walls of sulci."""
REACH = 9.0
"""Distance from the pial surface up to which it is known, mm. Sulcus and cortex end before that."""
CORE = np.array([35.0, 53.0])
"""Half axes of the middle of the brain, which sulci do not enter, mm."""

Points = np.ndarray
"""[N, 2] in mm."""


@dataclass(frozen=True)
class Sulci:
    """Points of sulci."""

    points: Points
    owner: np.ndarray
    """[N] number of the sulcus that each point belongs to."""
    depth: np.ndarray
    """[N] distance from the root of the sulcus, mm."""


@dataclass(frozen=True)
class Sprouts:
    """Starts of sulci that grow at the same time."""

    roots: Points
    headings: Points
    """Unit vectors."""
    owner: np.ndarray
    """[N] number of the sulcus."""
    lengths: np.ndarray
    """[N] mm."""


@dataclass(frozen=True)
class Obstacles:
    """Points that growing sulci keep away from."""

    points: Points
    owner: np.ndarray
    """[N] number of the line that each point belongs to; a sulcus may come near its own."""


def draw_outline(rng: np.random.Generator, sex: str) -> tuple[Points, float]:
    """Draw the outline of the brain.

    Args:
        rng: Generator of the subject.
        sex: "M" or "F".

    Returns:
        The outline [N, 2] in mm, clockwise from the front, and the scale of the head.
    """
    scale = rng.normal(1.0, 0.02) * (1.03 if sex == "M" else 0.97)
    half_axes = scale * np.array([66.0, 84.0]) * rng.normal(1.0, 0.02, 2)
    half_width, half_length = half_axes  # mm
    t = np.linspace(0.0, 2.0 * np.pi, 660, endpoint=False)
    sin = np.sin(t)
    cos = np.cos(t)
    wave = 1.0 + sum(
        rng.normal(0.0, 0.008) * np.cos(k * t + rng.uniform(0.0, 6.3)) for k in (2, 3, 4, 5)
    )
    square = 1.0 + 0.045 * np.sin(2.0 * t) ** 2  # between an ellipse and a rectangle
    widest_behind = 1.0 - 0.11 * cos - 0.04 * np.cos(2.0 * t)
    x = half_width * sin * square * wave * widest_behind
    torque = 1.5 * sin * np.abs(cos)  # the right front and the left back protrude
    y = half_length * cos * wave - torque
    return np.stack([x, y], 1), scale


def draw_fissures(rng: np.random.Generator, edge: Points, scale: float) -> list[Points]:
    """Draw the fissures of the brain.

    Args:
        rng: Generator of the subject.
        edge: Outline [N, 2] in mm.
        scale: Scale of the head.

    Returns:
        The interhemispheric fissure in front of and behind the corpus callosum, then the Sylvian
        fissure of each side.
    """
    front = (edge[:, 1].max(), 42.0 * scale)
    back = (edge[:, 1].min(), -46.0 * scale)
    fissures = []
    for start, stop in (front, back):
        y = np.linspace(start, stop, 60)
        x = 0.8 * np.sin(y / 9.0 + rng.uniform(0.0, 6.3))
        fissures.append(np.stack([x, y], 1))
    fissures += [_draw_sylvian_fissure(rng, edge, scale, side) for side in (-1.0, 1.0)]
    return fissures


def _draw_sylvian_fissure(
    rng: np.random.Generator, edge: Points, scale: float, side: float
) -> Points:
    """Sylvian fissure of a side: in from the outline, then forwards and backwards along the
    insula."""
    u = np.linspace(0.0, 1.0, 40)
    v = np.linspace(-1.0, 1.0, 56)
    level = rng.normal(6.0, 3.0)
    half = edge[edge[:, 0] * side > 0]
    wall = abs(half[np.argmin(np.abs(half[:, 1] - level)), 0])
    stem_x = side * (wall + (43.0 * scale - wall) * u)
    stem_y = level + 6.0 * u - 3.0 * np.sin(3.0 * u)
    insula_x = side * (43.0 - 5.0 * v**2) * scale
    insula_y = stem_y[-1] + 17.0 * scale * v
    return np.concatenate([np.stack([stem_x, stem_y], 1), np.stack([insula_x, insula_y], 1)])


def plant(rng: np.random.Generator, edge: Points, fissures: list[Points]) -> tuple[Points, Points]:
    """Place the roots of sulci on the outline and on the walls between the hemispheres.

    Args:
        rng: Generator of the subject.
        edge: Outline [N, 2] in mm.
        fissures: From `draw_fissures`.

    Returns:
        The roots [N, 2] in mm, and the directions of growth as unit vectors [N, 2].
    """
    spread = np.arange(OUTLINE_ROOTS) + rng.uniform(-0.2, 0.2, OUTLINE_ROOTS)
    picks = (spread / OUTLINE_ROOTS * len(edge)).astype(int) % len(edge)
    along = np.roll(edge, -3, 0) - np.roll(edge, 3, 0)
    inward = np.stack([along[:, 1], -along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
    roots = edge[picks]
    headings = inward[picks] + rng.normal(0.0, 0.2, (OUTLINE_ROOTS, 2))
    to_fissures = np.linalg.norm(roots[:, None] - np.concatenate(fissures)[None], axis=-1).min(1)
    is_free = to_fissures > 5.0  # mm
    medial = []
    for line in fissures[:2]:
        for side in (-1.0, 1.0):
            for index in range(int(rng.integers(8, 14)), 56, 14):
                medial.append((*line[index], side, rng.normal(0.0, 0.3)))
    walls = np.array(medial)
    roots = np.concatenate([roots[is_free], walls[:, :2]])
    headings = np.concatenate([headings[is_free], walls[:, 2:]])
    return roots, headings / np.linalg.norm(headings, axis=1, keepdims=True)


def grow(
    rng: np.random.Generator, sprouts: Sprouts, obstacles: Obstacles, core: np.ndarray, gap: float
) -> Sulci:
    """Grow sulci, all at the same time.

    Tips keep roughly to their heading, meander, and are pushed away from what they come near.

    Args:
        rng: Source of the meandering.
        sprouts: Roots, headings and lengths.
        obstacles: Points to keep away from. Those of grown sulci are added.
        core: Half axes of an ellipse that no tip enters, mm.
        gap: Distance from a point of another owner at which a tip stops, mm.
    """
    tips = sprouts.roots.astype(np.float32)
    ways = sprouts.headings.astype(np.float32)
    growing = np.arange(len(tips))
    bend = rng.normal(0.0, 0.06, len(tips))
    cloud = obstacles.points.astype(np.float32)
    owner = obstacles.owner
    depth = [np.zeros(len(cloud))]
    for index in range(1, int(sprouts.lengths.max() / STEP) + 1):
        bend = 0.85 * bend + rng.normal(0.0, 0.05, len(tips))
        tip = tips[growing]
        is_own = sprouts.owner[growing][:, None] == owner
        squared = _squared_distances(tip, cloud, is_own)
        turn = bend[growing, None]
        way = _turn(ways[growing], turn, _push(tip, cloud, squared), sprouts.headings[growing])
        is_crowded = (squared.min(1) < gap**2) & (index > 5)  # a sulcus is at least 7 mm deep
        is_long_enough = sprouts.lengths[growing] < index * STEP
        is_outside_core = ((tip / core) ** 2).sum(1) > 1.0
        goes_on = ~is_long_enough & is_outside_core & ~is_crowded
        growing = growing[goes_on]
        tip = tip[goes_on]
        way = way[goes_on]
        if not len(growing):
            break
        cloud = np.concatenate([cloud, tip + 0.5 * STEP * way, tip + STEP * way], dtype=np.float32)
        owner = np.concatenate([owner, sprouts.owner[growing], sprouts.owner[growing]])
        depth += [np.full(len(growing), (index - share) * STEP) for share in (0.5, 0.0)]
        tips[growing] = tip + STEP * way
        ways[growing] = way
    old = len(obstacles.points)
    return Sulci(cloud[old:], owner[old:], np.concatenate(depth)[old:])


def _squared_distances(tips: Points, cloud: Points, is_own: np.ndarray) -> np.ndarray:
    """Squared distances [tips, points] in mm^2, at least 4. Points of a tip's own sulcus are far
    away."""
    squared = (tips**2).sum(1)[:, None] + (cloud**2).sum(1) - 2.0 * tips @ cloud.T
    result: np.ndarray = np.maximum(squared, 4.0) + np.float32(1e6) * is_own
    return result


def _push(tips: Points, cloud: Points, squared: np.ndarray) -> Points:
    """Push away from near points, by 6 / distance^2 each; together at most 0.15."""
    weight = 6.0 / (squared * np.sqrt(squared))
    push = tips * weight.sum(1, keepdims=True) - weight @ cloud
    push *= 0.15 / np.maximum(np.linalg.norm(push, axis=1, keepdims=True), 0.15)
    result: Points = push
    return result


def _turn(ways: Points, turns: np.ndarray, pushes: Points, headings: Points) -> Points:
    """New directions as unit vectors: the old ones, bent to the left, pushed, and drawn back to the
    heading."""
    to_the_left = np.stack([-ways[:, 1], ways[:, 0]], 1)
    ways = ways + to_the_left * turns + pushes + 0.08 * headings
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    return ways


@dataclass(frozen=True)
class Pia:
    """The pial surface. Its first `len(edge)` points are the outline."""

    points: Points
    width: np.ndarray
    """[N] half width of the sulcus at birth, mm."""
    share: np.ndarray
    """[N] part in later widening, about 1."""
    edge: Points
    scale: float
    """Scale of the head."""


def fold(subject: int, sex: str) -> Pia:
    """Pial surface of a subject at birth.

    Args:
        subject: Number of the subject.
        sex: "M" or "F".
    """
    rng = generator(subject, "brain", "anatomy")
    edge, scale = draw_outline(rng, sex)
    fissures = draw_fissures(rng, edge, scale)
    fissure_owner = [np.full(len(line), -2 - index) for index, line in enumerate(fissures)]
    lines = Obstacles(np.concatenate(fissures), np.concatenate(fissure_owner))
    main, count = _grow_main_sulci(rng, edge, fissures, lines, scale)
    twigs = _grow_branches(rng, edge, lines, main, scale)

    own = np.exp(rng.normal(0.0, 0.25, count))
    outline_share = np.full(len(edge), 0.7)
    fissure_share = np.full(len(lines.points), 1.3)
    sulcus_share = own[main.owner]
    branch_share = 0.8 * own[twigs.owner]
    share = np.concatenate([outline_share, fissure_share, sulcus_share, branch_share])
    deep = np.full(len(edge) + len(lines.points), 9.0)
    depth = np.concatenate([deep, main.depth, np.full(len(twigs.points), 9.0)])
    width = 0.55 * share + 1.5 * np.exp(-depth / 3.0)  # sulci open towards the skull
    points = np.concatenate([edge, lines.points, main.points, twigs.points])
    return Pia(points, width, share, edge, scale)


def _grow_main_sulci(
    rng: np.random.Generator,
    edge: Points,
    fissures: list[Points],
    lines: Obstacles,
    scale: float,
) -> tuple[Sulci, int]:
    """Deep and shallow sulci in turn, from the outline and the fissures; and their number."""
    roots, headings = plant(rng, edge, fissures)
    count = len(roots)
    is_deep = (np.arange(count) % 2 == 0) | (rng.random(count) < 0.3)
    deep = rng.uniform(18.0, 30.0, count)  # mm
    shallow = rng.uniform(8.0, 15.0, count)  # mm
    sprouts = Sprouts(roots, headings, np.arange(count), np.where(is_deep, deep, shallow))
    return grow(rng, sprouts, lines, scale * CORE, gap=4.8), count


def _grow_branches(
    rng: np.random.Generator, edge: Points, lines: Obstacles, main: Sulci, scale: float
) -> Sulci:
    """Branches, which leave the walls of sulci where these are deep enough."""
    forks = rng.permutation(np.flatnonzero(main.depth > 6.0))[:MAX_FORKS]
    headings = rng.normal(0.0, 1.0, (len(forks), 2))
    headings /= np.linalg.norm(headings, axis=1, keepdims=True)
    lengths = rng.uniform(5.0, 9.0, len(forks))  # mm
    sprouts = Sprouts(main.points[forks], headings, main.owner[forks], lengths)
    points = np.concatenate([edge, lines.points, main.points])
    owner = np.concatenate([np.full(len(edge), -1), lines.owner, main.owner])
    return grow(rng, sprouts, Obstacles(points, owner), scale * CORE, gap=5.0)


@dataclass(frozen=True)
class Anatomy:
    """Brain of a subject at birth, on a grid [S, S]; distances in mm."""

    x: np.ndarray
    """[S, S] in units of a head of scale 1, the patient's left positive."""
    y: np.ndarray
    """[S, S] in units of a head of scale 1, the front positive."""
    scale: float
    inside: np.ndarray
    """[S, S] distance to the outline, positive inside."""
    pial: np.ndarray
    """[S, S] distance to the nearest point of the pial surface, at most REACH."""
    width: np.ndarray
    """[S, S] half width of the nearest sulcus at birth."""
    share: np.ndarray
    """[S, S] part of the nearest sulcus in later widening."""
    area: float
    """Intracranial area, mm^2."""
    opened: float
    """Area of new fluid in mm^2 for each mm that half widths grow by."""
    texture: np.ndarray
    """[S, S] random field of standard deviation about 1."""
    wobble: np.ndarray
    """[S, S] random field of standard deviation 1, for edges of deep structures."""


@lru_cache(maxsize=64)
def anatomy(subject: int, sex: str, size: int) -> Anatomy:
    """Anatomy of a subject. It is cached, because visits and counterfactuals share it.

    Args:
        subject: Seed of the anatomy.
        sex: "M" or "F".
        size: Pixels on a side.
    """
    pia = fold(subject, sex)
    rng = generator(subject, "brain", "pose")
    x, y = _pose(rng, size)
    inside = _distance_inside(pia.edge, x, y)
    pial, nearest = _nearest_on_pia(pia.points, x, y, inside > -3.0)
    outline = len(pia.edge)
    lengths = pia.share[:outline].sum() + 2.0 * pia.share[outline:].sum()
    texture = 0.6 * field(rng, 12, size) + 0.5 * field(rng, 40, size)
    return Anatomy(
        x=x / pia.scale,
        y=y / pia.scale,
        scale=pia.scale,
        inside=inside,
        pial=pial,
        width=pia.width.astype(np.float32)[nearest],
        share=pia.share.astype(np.float32)[nearest],
        area=_area(pia.edge),
        opened=0.5 * STEP * float(lengths),  # the outline opens to one side, a sulcus to both
        texture=texture,
        wobble=field(rng, 14, size),
    )


def _pose(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the pixels in the head's frame, which is turned and shifted a little; mm."""
    angle = np.deg2rad(rng.normal(0.0, 2.0))
    shift_x, shift_y = rng.normal(0.0, 1.5, 2)  # mm
    grid_x, grid_y = grid(size, VIEW)
    cos = np.cos(angle)
    sin = np.sin(angle)
    x = cos * (grid_x - shift_x) + sin * (grid_y - shift_y)
    y = -sin * (grid_x - shift_x) + cos * (grid_y - shift_y)
    return x, y


def _distance_inside(edge: Points, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance in mm to the outline along a ray from the middle, positive inside."""
    bearing = np.arctan2(edge[:, 0], edge[:, 1])
    radii = np.hypot(*edge.T)
    radius = np.interp(np.arctan2(x, y), bearing, radii, period=2.0 * np.pi)
    result: np.ndarray = (radius - np.hypot(x, y)).astype(np.float32)
    return result


def _nearest_on_pia(
    points: Points, x: np.ndarray, y: np.ndarray, is_head: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance in mm of each pixel of the head to the pial surface, at most REACH, and the number
    of the nearest point."""
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    pixels = np.stack([x[is_head], y[is_head]], 1)
    distance, number = tree.query(pixels, distance_upper_bound=REACH)
    pial = np.full(x.shape, REACH, np.float32)
    pial[is_head] = distance
    nearest = np.zeros(x.shape, int)
    nearest[is_head] = np.minimum(number, len(points) - 1)
    return np.minimum(pial, REACH), nearest


def _area(edge: Points) -> float:
    """Area inside an outline, by the shoelace formula, mm^2."""
    after = np.roll(edge, -1, 0)
    return 0.5 * abs(float((edge[:, 0] * after[:, 1] - after[:, 0] * edge[:, 1]).sum()))
