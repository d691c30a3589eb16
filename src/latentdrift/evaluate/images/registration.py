"""Lay one picture over another and see whether the fine structure is the same.

Strangers share an outline and a layout: on aligned scans a plain correlation of 0.97 between two
patients is usual. What makes a picture one patient's is fine structure and where it lies. So a
picture becomes a small grey one, each place is measured against its own surroundings (local
contrast normalisation, Jarrett et al. 2009, section 3.1), which takes off brightness, contrast and
smooth changes of either, and what all real pictures have in common is taken off, too. Then the one
is moved over the other: mirrored or not, shifted, scaled and turned, first in coarse steps against
all training pictures, then exactly for the few best (Lucas and Kanade 1981). The correlation that
is left is 1 for a copy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

from latentdrift.evaluate.images.disk_array import Pairs, Spool, blocks, mean
from latentdrift.evaluate.images.lazy_images import Pictures

SIDES = (32, 64, 128)  # pixels on a side of a picture's copies, coarse to fine
FINE = 1.0
WIDE = 2.5  # pixels: structure between these scales is compared (Gaussian sd)
# of a picture's own mean local contrast: places with much less than this stay dark, and noise there
# with them
FLOOR = 1.0
MARGIN = 0.08  # of a view at its border that does not count: there surroundings are cut off
SHRINK = (
    10  # pictures' worth of doubt about the common part: a handful of training pictures has none
)
ANGLES = (-4.0, 0.0, 4.0)  # degrees, of the coarse search
SCALES = (0.88, 0.92, 0.96, 1.0, 1.05)
SHIFTS = tuple(0.0625 * step / 3 for step in range(-3, 4))  # shares of the frame
STAGES = (
    (0, 64, 1),
    (1, 48, 1),
    (1, 8, 3),
    (2, 4, 2),
)  # place in SIDES, training pictures laid over there, Gauss-Newton steps
FARTHEST = (
    0.12,
    0.12,
    0.22,
    0.16,
)  # shift down, right (shares of the frame), log scale, angle (rad): no view is moved further
GRAIN = 0.5  # of a picture's structure at most: more is not put down to grain
BLOCK = 32
COLUMNS = 1024  # queries and training pictures at a time


@dataclass(frozen=True)
class Structure:
    """The fine structure of N pictures, 84 KB each.

    Attributes:
        sides: [N, 1, side, side] for each of SIDES.
        grain: Which share of the mean square of each is white grain [N, len(SIDES)].
    """

    sides: list[Spool]
    grain: Spool

    def __len__(self) -> int:
        return len(self.grain)


@dataclass(frozen=True)
class Nearest:
    """The nearest training picture of each of N pictures: its index [N], and similarity or distance
    [N]."""

    index: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Overlaid(Nearest):
    """Nearest training image by structure: mirrored or not [N], and the similarity of structure
    that is twice as fine [N]."""

    mirrored: np.ndarray
    fine: np.ndarray


def structure(*pictures: np.ndarray | Pictures) -> Structure:
    """Fine structure of images, without brightness and contrast.

    Args:
        pictures: Sets of images [N, H, W, 3] in [0, 1], which are joined in this order.
    """
    sides = [Spool((1, side, side)) for side in SIDES]
    grain = Spool((len(SIDES),))
    for images in pictures:
        for block in blocks(len(images), BLOCK):
            for spool, values in zip((*sides, grain), _structure(images[block]), strict=True):
                spool.add(values)
    return Structure(sides, grain)


def _structure(images: np.ndarray) -> tuple[Tensor, ...]:
    """Structure on each of SIDES, and the grain."""
    grey = torch.from_numpy(np.asarray(images, dtype=np.float32).mean(-1))
    corners = grey[:, :-1, :-1] - grey[:, :-1, 1:] - grey[:, 1:, :-1] + grey[:, 1:, 1:]
    variance = (
        corners.flatten(1).abs().median(1).values / (2 * 0.6745)
    ) ** 2  # of white grain (Donoho and Johnstone 1994)
    sides = []
    grain = []
    for side in SIDES:
        rows, columns = (_sampler(size, side) for size in grey.shape[1:])
        x = (rows @ grey @ columns.T)[:, None]
        detail = _blur(x, FINE) - _blur(x, WIDE)
        contrast = _blur(detail**2, WIDE).sqrt()
        scale = (contrast + FLOOR * contrast.mean((1, 2, 3), keepdim=True)).clamp(min=1e-6)
        sides.append(detail / scale)
        noise = variance * _gain(*grey.shape[1:], side) * (scale**-2).mean((1, 2, 3))
        grain.append((noise / (sides[-1] ** 2).mean((1, 2, 3)).clamp(min=1e-6)).clamp(max=GRAIN))
    return *sides, torch.stack(grain, 1)


@cache
def _gain(height: int, width: int, side: int) -> float:
    """The variance that white grain of variance 1 has in the `detail` of a picture."""
    seen = []
    for size in (height, width):
        smooth = [
            _blur(_sampler(size, side)[None, None], sd, across=False)[0, 0, side // 2]
            for sd in (FINE, WIDE)
        ]
        seen.append(
            [
                float(a @ b)
                for a, b in ((smooth[0], smooth[0]), (smooth[1], smooth[1]), (smooth[0], smooth[1]))
            ]
        )
    fine, wide, both = (a * b for a, b in zip(*seen, strict=True))
    result: float = fine + wide - 2 * both
    return result


def _sampler(size: int, side: int) -> Tensor:
    """[side, size]: resamples an axis with an antialiased linear filter."""
    scale = size / side
    centres = (np.arange(side)[:, None] + 0.5) * scale
    weights = np.clip(1 - np.abs(np.arange(size) + 0.5 - centres) / max(scale, 1.0), 0.0, None)
    return torch.from_numpy((weights / weights.sum(-1, keepdims=True)).astype(np.float32))


def _blur(x: Tensor, sd: float, across: bool = True) -> Tensor:
    """Pictures [N, 1, H, W], smoothed down and, unless told otherwise, across."""
    reach = math.ceil(3 * sd)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sd) ** 2)
    kernel = kernel / kernel.sum()
    x = conv2d(pad(x, (0, 0, reach, reach), mode="reflect"), kernel.reshape(1, 1, -1, 1))
    return (
        conv2d(pad(x, (reach, reach, 0, 0), mode="reflect"), kernel.reshape(1, 1, 1, -1))
        if across
        else x
    )


def nearest(
    query: np.ndarray | Pictures,
    train: Structure,
    forbidden: Pairs | None = None,
    common: Sequence[Structure] = (),
) -> Overlaid:
    """The training picture whose structure fits best when it is laid over the query.

    Args:
        query: N pictures.
        train: From `structure`, of T pictures.
        forbidden: Pairs that do not count, e.g. two visits of one patient.
        common: Sets of pictures whose common part is taken off; default: `train`.

    Returns:
        Value -1 where nothing may count.
    """
    people = common or [train]
    n = sum(map(len, people))
    shared = [
        mean([x.sides[level] for x in people]) * (n / (n + SHRINK)) for level in range(len(SIDES))
    ]
    reference = _Reference(train, shared)
    parts = [
        reference.best(_structure(query[rows]), rows, forbidden)
        for rows in blocks(len(query), BLOCK)
    ]
    return Overlaid(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class _Reference:
    """The training pictures and what they have in common, [1, 1, side, side] for each of SIDES."""

    train: Structure
    common: list[Tensor]

    def best(
        self, query: tuple[Tensor, ...], rows: slice, forbidden: Pairs | None
    ) -> tuple[np.ndarray, ...]:
        """The fields of `Overlaid` for each query.

        Each stage keeps the best candidates of the stage before and fits them on a finer copy.

        Args:
            query: Structure of the queries on each of SIDES, and their grain.
            rows: Places of the queries.
            forbidden: Pairs that do not count.
        """
        *copies, grain = query
        similarity, index, number = self._candidates(copies[0], rows, forbidden)
        coarse_moves = _moves()
        moves = coarse_moves[number % len(coarse_moves)]
        mirrored = number >= len(coarse_moves)
        allowed = similarity >= -1
        coarse = similarity
        for level, count, steps in STAGES:
            order = similarity.topk(min(count, similarity.shape[1]), dim=1).indices
            index = index.gather(1, order)
            mirrored = mirrored.gather(1, order)
            allowed = allowed.gather(1, order)
            coarse = coarse.gather(1, order)
            moves = moves.gather(1, order[..., None].expand(-1, -1, 4))
            similarity, moves = self._fit(copies[level], index, moves, mirrored, level, steps)
            similarity = self._without_grain(similarity, grain, index, level)
            similarity = similarity.masked_fill(~allowed, -2.0)
            is_finest = level == len(SIDES) - 1
            coarse = coarse if is_finest else similarity
        best = (coarse + similarity).argmax(1, keepdim=True)
        return (
            index.gather(1, best)[:, 0].numpy(),
            coarse.gather(1, best)[:, 0].numpy().astype(np.float64).clip(-1),
            mirrored.gather(1, best)[:, 0].numpy(),
            similarity.gather(1, best)[:, 0].numpy().astype(np.float64).clip(-1),
        )

    def _without_grain(self, value: Tensor, grain: Tensor, index: Tensor, level: int) -> Tensor:
        """Similarities [N, K] as they would be had the query no more grain than the training
        picture (Spearman 1904).

        Never the other way: held-out patients, who set the threshold, have the grain of training
        pictures.
        """
        ours = grain[:, [level]]
        theirs = self.train.grain[index.flatten()][:, level].reshape(index.shape)
        signal_ratio = ((1 - ours) / (1 - theirs)).clamp(max=1)
        return (value / signal_ratio.sqrt()).clamp(-1, 1)

    def _candidates(
        self, query: Tensor, rows: slice, forbidden: Pairs | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The training pictures that come nearest by coarse moves, [N, K]: similarity, index,
        number of the move."""
        best: tuple[Tensor, Tensor, Tensor] | None = None
        for columns in blocks(len(self.train.sides[0]), COLUMNS):
            score, place = self._coarse(query, columns)
            if forbidden is not None:
                score = score.masked_fill(torch.from_numpy(forbidden(rows, columns)), -2.0)
            index = torch.arange(columns.start, columns.stop).expand(len(score), -1)
            if best is not None:
                score, index, place = (
                    torch.cat(both, 1) for both in zip(best, (score, index, place), strict=True)
                )
            order = score.sort(dim=1, descending=True, stable=True).indices[:, : STAGES[0][1]]
            best = score.gather(1, order), index.gather(1, order), place.gather(1, order)
        assert best is not None
        return best

    def _coarse(self, query: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
        """The best of the coarse moves for every pair [N, T]: similarity, number of the move;
        mirrored ones are counted on."""
        grids, inside = _coarse_views()
        known = (self.train.sides[0][columns] - self.common[0]).flatten(1)
        lengths = (known**2 @ inside.flatten(1).T).sqrt().clamp(min=1e-6)
        best = torch.full((len(query), len(known)), -2.0)
        place = torch.zeros(best.shape, dtype=torch.int64)
        for flip in (False, True):
            seen = query.flip(-1) if flip else query
            for number, (grid, counts) in enumerate(
                zip(grids, inside, strict=True), flip * len(grids)
            ):
                moved = _read(seen, grid.expand(len(seen), -1, -1, -1))
                score = (
                    _unit(((moved - self.common[0]) * counts).flatten(1))
                    @ known.T
                    / lengths[:, number % len(grids)]
                )
                place[score > best] = number
                best = torch.maximum(best, score)
        return best, place

    def _fit(
        self, query: Tensor, index: Tensor, moves: Tensor, flipped: Tensor, level: int, steps: int
    ) -> tuple[Tensor, Tensor]:
        """Similarity [N, K] of each query and its candidates, exactly laid over each other, and how
        [N, K, 4]."""
        n, k = index.shape
        size = SIDES[level]
        seen = torch.where(
            flipped.flatten()[:, None, None, None],
            query.flip(-1).repeat_interleave(k, 0),
            query.repeat_interleave(k, 0),
        )
        theirs = self.train.sides[level][index.flatten()]
        both = torch.cat([theirs, self.common[level].expand(len(theirs), -1, -1, -1)], 1)
        at = moves.reshape(-1, 4).clone()
        far = torch.tensor(FARTHEST)

        def look(move: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
            grid, inside = _view(move, size)
            moved = _read(both, grid)
            ours = _unit(((seen - moved[:, 1:]) * inside).flatten(1))
            view = moved[:, 0] - moved[:, 1]
            return (ours * _unit((view * inside[:, 0]).flatten(1))).sum(1), ours, view, grid, inside

        def slopes(view: Tensor, grid: Tensor, move: Tensor) -> list[Tensor]:
            """Derivatives of views with respect to each move: the sampled positions move by (0, 2),
            (2, 0), v = grid - t, and v rotated."""
            aside = 0.5 / size  # a quarter of a pixel
            beside = (_read(both, grid + step) for step in aside * torch.eye(2))
            right, down = ((x[:, 0] - x[:, 1] - view) / aside for x in beside)
            x, y = (grid - 2 * move[:, None, None, [1, 0]]).unbind(-1)
            return [2 * down, 2 * right, x * right + y * down, x * down - y * right]

        value, *there = look(at)
        damping = torch.full((len(at), 1, 1), 1e-2)
        for _ in range(steps):
            ours, view, grid, inside = there
            gram, pull = _normal_equations(
                ours, torch.stack([view, *slopes(view, grid, at)], 1) * inside
            )
            gram = (
                gram
                + damping * torch.diag_embed(torch.diagonal(gram, dim1=1, dim2=2))
                + 1e-6 * torch.eye(4)
            )
            trial = (at + torch.linalg.solve(gram, pull)).clamp(-far, far)
            trial_value, *new = look(trial)
            better = trial_value > value
            at = torch.where(better[:, None], trial, at)
            value = torch.where(better, trial_value, value)
            there = [
                torch.where(better.reshape(-1, *[1] * (x.ndim - 1)), x, y)
                for x, y in zip(new, there, strict=True)
            ]
            damping = torch.where(better[:, None, None], damping / 4, damping * 8)
        return value.reshape(n, k), at.reshape(n, k, 4)


def _normal_equations(ours: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
    """Normal equations of the least squares that bring views nearer to `ours` by moving them: J'J
    [P, M, M] and J'(ours - theirs) [P, M].

    What is compared is u = w / |w|, so J = (dw - u (u . dw)) / |w|, and inner products are all that
    is needed.

    Args:
        ours: Unit vectors [P, D].
        view: Views w, and their slopes dw with respect to M moves [P, 1 + M, size, size].
    """
    rows = torch.cat([ours[:, None], view.flatten(2)], 1)
    products = rows @ rows.transpose(1, 2)
    length = products[:, 1, 1].sqrt().clamp(min=1e-6)[:, None]
    along = products[:, 1, 2:] / length
    gram = (products[:, 2:, 2:] - along[:, :, None] * along[:, None]) / length[..., None] ** 2
    return gram, (products[:, 0, 2:] - along * products[:, 0, 1:2] / length) / length


def _moves() -> Tensor:
    """Moves of the coarse search, [M, 4]: shift down and right (shares of the frame), log scale,
    angle (rad)."""
    scales = [math.log(scale) for scale in SCALES]
    angles = [math.radians(angle) for angle in ANGLES]
    return torch.tensor(list(product(SHIFTS, SHIFTS, scales, angles)))


@cache
def _coarse_views() -> tuple[Tensor, Tensor]:
    """Places that each coarse move, undone, reads [M, 1, side, side, 2], and places that count [M,
    side, side]."""
    grid, inside = _view(_inverse(_moves()), SIDES[0])
    return grid[:, None], inside[:, 0]


def _matrix(moves: Tensor) -> Tensor:
    """[P, 4] -> where each place of the view is read, in the coordinates of `affine_grid`, [P, 2,
    3]."""
    down, right, scale, angle = moves.unbind(1)
    c = scale.exp() * angle.cos()
    s = scale.exp() * angle.sin()
    return torch.stack([torch.stack([c, -s, 2 * right], 1), torch.stack([s, c, 2 * down], 1)], 1)


def _inverse(moves: Tensor) -> Tensor:
    """The moves [P, 4] that undo moves."""
    down, right, scale, angle = moves.unbind(1)
    c = (-scale).exp() * angle.cos()
    s = (-scale).exp() * angle.sin()
    return torch.stack([-(c * down - s * right), -(c * right + s * down), -scale, -angle], 1)


def _view(moves: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Places that the views of moves [P, 4] read [P, size, size, 2], and places that count [P, 1,
    size, size]."""
    grid = affine_grid(_matrix(moves), [len(moves), 1, size, size], align_corners=False)
    margin = round(MARGIN * size)
    frame = torch.zeros(size, size, dtype=torch.bool)
    frame[margin : size - margin, margin : size - margin] = True
    inside = grid.abs().amax(-1) <= 1 - 2 * margin / size
    return grid, (inside & frame)[:, None].float()


def _read(x: Tensor, grid: Tensor) -> Tensor:
    """Pictures [P, C, size, size] at the places of a grid [P, size, size, 2]."""
    return grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _unit(x: Tensor) -> Tensor:
    result: Tensor = x / x.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return result
