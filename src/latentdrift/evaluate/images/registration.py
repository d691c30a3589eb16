"""Register one image to another, and measure how similar their fine structure is.

One image is moved over the other: mirrored or not, shifted, scaled and turned. The part of the
structure that all real images have in common is removed. First all training images are compared in
coarse steps. Then the few best are registered exactly (Lucas and Kanade 1981). The correlation that
is left is 1 for a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentdrift.evaluate.images.candidate_index import CANDIDATES, SHORTLIST, CandidateIndex
from latentdrift.evaluate.images.disk_array import Pairs, blocks, mean
from latentdrift.evaluate.images.fine_structure import BLOCK, SIDES, Structure, structure_of
from latentdrift.evaluate.images.lazy_images import Pictures, batches
from latentdrift.evaluate.images.moves import (
    Views,
    coarse_moves,
    coarse_views,
    in_frame,
    read,
    unit,
    views_of,
)
from latentdrift.evaluate.images.search_workers import THIS_PROCESS, SearchWorkers

# Queries below which this process searches: workers need seconds to start.
MIN_SHARED = 256

# Weight of "nothing in common", in images: a handful of training images has no common part.
SHRINK = 10


@dataclass(frozen=True)
class Stage:
    """A stage of the exact search.

    Attributes:
        level: Index into SIDES.
        count: Training images that are registered to a query.
        steps: Gauss-Newton steps.
        stride: Every how many pixels are compared. From 2 on the stage only ranks: the next one
            starts where this one did.
    """

    level: int
    count: int
    steps: int
    stride: int = 1


STAGES = (
    Stage(0, 64, 1),
    Stage(1, 48, 1),
    Stage(1, 8, 3),
    Stage(2, 4, 2),
)
# The same for candidates of the index, which ranks better than the coarse search of all images.
INDEXED_STAGES = (
    Stage(0, CANDIDATES, 1),
    Stage(1, CANDIDATES, 1, stride=2),
    Stage(1, 8, 1),
    Stage(1, 4, 3),
    Stage(2, 2, 2),
)

# No view is moved further: shift down, right (shares of the frame), log scale, angle (rad).
FARTHEST = (0.12, 0.12, 0.22, 0.16)

# Training images at a time in the coarse search, and pixels of the pairs that are registered at a
# time: their arrays fit into a processor's cache.
COLUMNS = 1024
PIXELS = 2**17


@dataclass(frozen=True)
class Nearest:
    """The nearest training image of each of N images.

    Attributes:
        index: Its place among the training images [N].
        value: Similarity or distance [N].
    """

    index: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Overlaid(Nearest):
    """The nearest training image by structure; `value` is the similarity.

    Attributes:
        mirrored: Whether the training image fits when the query is mirrored [N].
        fine: Similarity of structure that is twice as fine [N].
    """

    mirrored: np.ndarray
    fine: np.ndarray


def nearest(
    query: np.ndarray | Pictures,
    train: Structure,
    forbidden: Pairs | None = None,
    common: Sequence[Structure] = (),
    workers: SearchWorkers = THIS_PROCESS,
) -> Overlaid:
    """Find the training image whose structure fits best when it is registered to the query.

    Args:
        query: N images [N, H, W, 3] in [0, 1].
        train: Structure of T training images, from `structure`.
        forbidden: Pairs that do not count, e.g. two visits of one patient.
        common: Sets of images whose common part is removed; default: `train`.
        workers: Workers that share the queries. `train` was computed with the same ones.

    Returns:
        The nearest training images. The value is -1 where all pairs are forbidden.
    """
    sets = common or [train]
    n = sum(map(len, sets))
    weight = n / (n + SHRINK)
    common_parts = []
    for level in range(len(SIDES)):
        common_parts.append(mean([images.sides[level] for images in sets]) * weight)
    search = _Search(_Reference.of(train, common_parts), forbidden)
    items = zip(blocks(len(query), BLOCK), batches(query, BLOCK), strict=True)
    parts = workers.run(_search, search, items, is_large=len(query) >= MIN_SHARED)
    return Overlaid(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class _Reference:
    """Training images to search.

    Attributes:
        train: Structure of the training images.
        common: Common part of the images [1, 1, side, side] for each of SIDES.
        index: Index of the training images; None where they are so few that each is compared.
    """

    train: Structure
    common: list[Tensor]
    index: CandidateIndex | None = None

    @classmethod
    def of(cls, train: Structure, common: list[Tensor]) -> _Reference:
        """Prepare training images for a search; see the attributes."""
        index = CandidateIndex.of(train, common[0]) if len(train) > SHORTLIST else None
        return cls(train, common, index)

    def best(
        self, query: tuple[Tensor, ...], rows: slice, forbidden: Pairs | None
    ) -> tuple[np.ndarray, ...]:
        """Find the fields of `Overlaid` for each query.

        Each stage keeps the best candidates of the stage before and fits them on a finer copy.

        Args:
            query: Structure of the queries on each of SIDES, and their grain.
            rows: Places of the queries.
            forbidden: Pairs that do not count.
        """
        *copies, grain = query
        similarity, index, number = self._candidates(copies[0], rows, forbidden)
        all_moves = coarse_moves()
        moves = all_moves[number % len(all_moves)]
        mirrored = number >= len(all_moves)
        allowed = similarity >= -1
        coarse = similarity
        for stage in STAGES if self.index is None else INDEXED_STAGES:
            order = similarity.topk(min(stage.count, similarity.shape[1]), dim=1).indices
            index = index.gather(1, order)
            mirrored = mirrored.gather(1, order)
            allowed = allowed.gather(1, order)
            coarse = coarse.gather(1, order)
            moves = moves.gather(1, order[..., None].expand(-1, -1, 4))
            similarity, fitted = self._fit(copies[stage.level], index, moves, mirrored, stage)
            moves = fitted if stage.stride == 1 else moves
            similarity = self._without_grain(similarity, grain, index, stage.level)
            similarity = similarity.masked_fill(~allowed, -2.0)
            is_finest = stage.level == len(SIDES) - 1
            coarse = coarse if is_finest else similarity
        best = (coarse + similarity).argmax(1, keepdim=True)
        index, mirrored, coarse, similarity = (
            x.gather(1, best)[:, 0] for x in (index, mirrored, coarse, similarity)
        )
        return (
            index.numpy(),
            coarse.numpy().astype(np.float64).clip(-1),
            mirrored.numpy(),
            similarity.numpy().astype(np.float64).clip(-1),
        )

    def _without_grain(self, value: Tensor, grain: Tensor, index: Tensor, level: int) -> Tensor:
        """Correct similarities for a query with more grain than the training image (Spearman 1904).

        Less grain is not corrected: held-out patients, who set the threshold, have the grain of
        training images.

        Args:
            value: Similarities [N, K].
            grain: Grain of the queries [N, len(SIDES)].
            index: Candidates of each query among the training images [N, K].
            level: Place of the side in SIDES.
        """
        ours = grain[:, [level]]
        theirs = self.train.grain[index.flatten()][:, level].reshape(index.shape)
        signal_ratio = ((1 - ours) / (1 - theirs)).clamp(max=1)
        return (value / signal_ratio.sqrt()).clamp(-1, 1)

    def _candidates(
        self, query: Tensor, rows: slice, forbidden: Pairs | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Find the training images that come nearest by coarse moves.

        Args:
            query: Structure of N queries on the coarsest side [N, 1, side, side].
            rows: Places of the queries.
            forbidden: Pairs that do not count.

        Returns:
            Similarities, indices of training images, and numbers of moves, each [N, K]. Numbers
            from M on are moves of the mirrored query.
        """
        if self.index is not None:
            return self._indexed_candidates(self.index, query, rows, forbidden)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for columns in blocks(len(self.train), COLUMNS):
            score, number = self._coarse(query, columns)
            if forbidden is not None:
                score = score.masked_fill(torch.from_numpy(forbidden(rows, columns)), -2.0)
            index = torch.arange(columns.start, columns.stop).expand(len(score), -1)
            parts.append((score, index, number))
            score, index, number = (torch.cat(part, 1) for part in zip(*parts, strict=True))
            order = score.sort(dim=1, descending=True, stable=True).indices[:, : STAGES[0].count]
            parts = [(score.gather(1, order), index.gather(1, order), number.gather(1, order))]
        return parts[0]

    def _indexed_candidates(
        self, index: CandidateIndex, query: Tensor, rows: slice, forbidden: Pairs | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Find the same in an index; see `_candidates`."""
        everything = slice(0, len(self.train))
        found = []
        for place, image in enumerate(query, rows.start):
            excluded = forbidden and forbidden(slice(place, place + 1), everything)[0]
            found.append(index.candidates(image, excluded))
        return (
            torch.stack([candidates.similarity for candidates in found]),
            torch.stack([candidates.index for candidates in found]),
            torch.stack([candidates.number for candidates in found]),
        )

    def _coarse(self, query: Tensor, columns: slice) -> tuple[Tensor, Tensor]:
        """Try all coarse moves for every pair.

        Args:
            query: Structure of N queries on the coarsest side [N, 1, side, side].
            columns: Places of T training images.

        Returns:
            Similarity of the best move, and its number, each [N, T]. Numbers from M on are moves of
            the mirrored query.
        """
        views = coarse_views()
        train = in_frame(self.train.sides[0][columns] - self.common[0])
        common = in_frame(self.common[0])
        lengths = (train**2 @ views.inside.T).sqrt().clamp(min=1e-6)
        best = torch.full((len(query), len(train)), -2.0)
        best_number = torch.zeros(best.shape, dtype=torch.int64)
        for is_mirrored in (False, True):
            images = query.flip(-1) if is_mirrored else query
            for number in range(len(views)):
                positions = views.positions[number].expand(len(images), -1, -1)
                moved = (read(images, positions) - common) * views.inside[number]
                score = unit(moved) @ train.T / lengths[:, number]
                best_number[score > best] = number + is_mirrored * len(views)
                best = torch.maximum(best, score)
        return best, best_number

    def _fit(
        self, query: Tensor, index: Tensor, moves: Tensor, mirrored: Tensor, stage: Stage
    ) -> tuple[Tensor, Tensor]:
        """Register candidates to their queries.

        Args:
            query: Structure of N queries [N, 1, side, side].
            index: Places of K candidates of each query among the training images [N, K].
            moves: Initial moves [N, K, 4].
            mirrored: Whether the query is mirrored [N, K].
            stage: Level, steps and stride.

        Returns:
            Similarities [N, K] and moves [N, K, 4] after registration.
        """
        n, k = index.shape
        common = self.common[stage.level]
        candidates, candidate_of = index.flatten().unique(return_inverse=True)
        train = self.train.sides[stage.level][candidates] - common
        both_ways = torch.stack([query, query.flip(-1)], 1)
        query_of = torch.arange(n).repeat_interleave(k)
        way_of = mirrored.flatten().long()
        start = moves.reshape(-1, 4)
        parts = []
        for pairs in blocks(n * k, PIXELS // (SIDES[stage.level] // stage.stride) ** 2):
            queries = in_frame(both_ways[query_of[pairs], way_of[pairs]], stage.stride)
            overlay = _Overlay(queries, train[candidate_of[pairs]], common, stage.stride)
            parts.append(overlay.fit(start[pairs], stage.steps))
        value, fitted = (torch.cat(part) for part in zip(*parts, strict=True))
        return value.reshape(n, k), fitted.reshape(n, k, 4)


@dataclass(frozen=True)
class _Search:
    """A search that workers share.

    Attributes:
        reference: Training images, with their index.
        forbidden: Pairs that do not count.
    """

    reference: _Reference
    forbidden: Pairs | None


def _search(search: _Search, item: tuple[slice, np.ndarray | Pictures]) -> tuple[np.ndarray, ...]:
    """Find the fields of `Overlaid` for a block of queries, from their places and images."""
    rows, images = item
    return search.reference.best(structure_of(images[:]), rows, search.forbidden)


@dataclass(frozen=True)
class _Overlay:
    """Pairs of a query and a training image that moves.

    Attributes:
        query: Queries inside the frame [P, D].
        images: Training images without the common part [P, 1, side, side].
        common: The common part [1, 1, side, side].
        stride: Every how many pixels of the frame are compared.
    """

    query: Tensor
    images: Tensor
    common: Tensor
    stride: int = 1

    def fit(self, moves: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Improve moves by damped Gauss-Newton steps (Levenberg 1944).

        Args:
            moves: Initial moves [P, 4].
            steps: Number of steps. A step that lowers the similarity is not taken.

        Returns:
            Similarities [P], and moves [P, 4].
        """
        farthest = torch.tensor(FARTHEST)
        damping = torch.full((len(moves), 1, 1), 1e-2)
        current = self.look(moves)
        for _ in range(steps):
            gram, pull = _normal_equations(current.query, self._slopes(current, moves))
            diagonal = torch.diag_embed(torch.diagonal(gram, dim1=1, dim2=2))
            gram = gram + damping * diagonal + 1e-6 * torch.eye(4)
            trial = (moves + torch.linalg.solve(gram, pull)).clamp(-farthest, farthest)
            new = self.look(trial)
            is_better = new.similarity > current.similarity
            moves = torch.where(is_better[:, None], trial, moves)
            current = current.replaced(new, is_better)
            damping = torch.where(is_better[:, None, None], damping / 4, damping * 8)
        return current.similarity, moves

    def look(self, moves: Tensor) -> _Look:
        """Compare queries with the views of moves [P, 4]."""
        views = views_of(moves, self.images.shape[-1], self.stride)
        common = read(self.common.expand(len(moves), -1, -1, -1), views.positions)
        query = unit((self.query - common) * views.inside)
        view = read(self.images, views.positions)
        compared = view * views.inside
        similarity = (query * unit(compared)).sum(1)
        return _Look(similarity, query, view, views)

    def _slopes(self, look: _Look, moves: Tensor) -> Tensor:
        """Views, and their derivatives with respect to each move [P, 5, D].

        The positions that a view reads move by (0, 2), (2, 0), v = grid - t, and v rotated.
        """
        step = 0.5 / self.images.shape[-1]  # a quarter of a pixel
        positions = look.views.positions
        right, down = (
            (read(self.images, positions + step * axis[:, None]) - look.view) / step
            for axis in torch.eye(2)
        )
        x, y = (positions - 2 * moves[:, [1, 0], None]).unbind(1)
        slopes = [look.view, 2 * down, 2 * right, x * right + y * down, x * down - y * right]
        return torch.stack(slopes, 1) * look.views.inside[:, None]


@dataclass(frozen=True)
class _Look:
    """Queries beside views of training images.

    Attributes:
        similarity: Similarity of each pair [P].
        query: Queries without the common part, unit vectors [P, D].
        view: Views of the training images without the common part [P, D].
        views: Positions that the views read.
    """

    similarity: Tensor
    query: Tensor
    view: Tensor
    views: Views

    def replaced(self, new: _Look, is_replaced: Tensor) -> _Look:
        """These pairs, and those of `new` where `is_replaced` [P]."""
        rows = is_replaced[:, None]
        views = Views(
            torch.where(rows[..., None], new.views.positions, self.views.positions),
            torch.where(rows, new.views.inside, self.views.inside),
        )
        return _Look(
            torch.where(is_replaced, new.similarity, self.similarity),
            torch.where(rows, new.query, self.query),
            torch.where(rows, new.view, self.view),
            views,
        )


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
    across = products[:, 2:, 2:] - along[:, :, None] * along[:, None]
    cosine = products[:, 0, 1:2] / length
    return across / length[..., None] ** 2, (products[:, 0, 2:] - along * cosine) / length
