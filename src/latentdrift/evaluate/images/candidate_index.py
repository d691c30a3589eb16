"""Index of training images: for a query, the few that are worth an exact registration.

Each image becomes a short descriptor: its coarse structure along the directions that tell images
apart best, for the change that a small move makes (linear discriminants: Fisher 1936; Rao 1948).
The descriptors of the query's views are compared with those of all training images by matrix
products, a block at a time: views of sparse moves with every image, and views of all moves with a
shortlist.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from latentdrift.evaluate.images.disk_array import blocks
from latentdrift.evaluate.images.fine_structure import Structure
from latentdrift.evaluate.images.moves import (
    ANGLES,
    SCALES,
    SHIFTS,
    coarse_moves,
    coarse_views,
    in_frame,
    read,
    unit,
    views_of,
)

# Training images whose descriptors are compared at all moves, and images that are returned.
SHORTLIST = 512
CANDIDATES = 96

# Length of a descriptor, of its part that is compared with every image, and weight of a change in
# any direction, in mean changes by a small move.
DIMENSIONS = 96
FIRST = 48
RIDGE = 0.1

# Images that are moved, to learn how moves change them.
SAMPLE = 512

# Descriptors at a time, whose products fit into a processor's cache.
COLUMNS = 1024


@dataclass(frozen=True)
class Candidates:
    """Training images that may be the nearest of a query, the best first.

    Attributes:
        similarity: Similarity of the best coarse move, -2 where the pair does not count [K].
        index: Place among the training images [K].
        number: Number of the coarse move; from M on, of the mirrored query [K].
    """

    similarity: Tensor
    index: Tensor
    number: Tensor


@dataclass(frozen=True)
class CandidateIndex:
    """Descriptors of T training images, 576 bytes each.

    Attributes:
        train: Structure of the training images.
        common: Common part of the images on the coarsest side [1, 1, side, side].
        basis: Directions of a descriptor [D, DIMENSIONS].
        descriptors: Unit vectors [T, DIMENSIONS].
        first: Unit vectors along the best directions alone [T, FIRST].
    """

    train: Structure
    common: Tensor
    basis: Tensor
    descriptors: Tensor
    first: Tensor

    @classmethod
    def of(cls, train: Structure, common: Tensor) -> CandidateIndex:
        """Describe training images.

        Args:
            train: Structure of T training images.
            common: Common part of the images on the coarsest side [1, 1, side, side].
        """
        basis = _discriminants(train, common)
        described = torch.cat([rows @ basis for rows in _unit_rows(train, common)])
        return cls(train, common, basis, unit(described), unit(described[:, :FIRST]))

    def candidates(self, query: Tensor, forbidden: np.ndarray | None) -> Candidates:
        """Find the training images that come nearest by coarse moves.

        Args:
            query: Structure of the query on the coarsest side [1, side, side].
            forbidden: Training images that do not count, bool [T]; None: all count.
        """
        views = self._views(query)
        described = views @ self.basis
        excluded = torch.zeros(len(self.train), dtype=torch.bool)
        if forbidden is not None:
            excluded = torch.from_numpy(forbidden)
        sparse = unit(described[_sparse_numbers(), :FIRST])
        near = torch.cat([(sparse @ part.T).amax(0) for part in self.first.split(COLUMNS)])
        shortlist = near.masked_fill(excluded, -2.0).topk(SHORTLIST).indices
        nearer = (unit(described) @ self.descriptors[shortlist].T).amax(0)
        best = nearer.masked_fill(excluded[shortlist], -2.0).topk(CANDIDATES).indices
        return self._compared(views, shortlist[best], excluded)

    def _views(self, query: Tensor) -> Tensor:
        """Views of a query after each coarse move, and of the mirrored query, unit vectors [2M,
        D]."""
        moves = coarse_views()
        common = in_frame(self.common)
        both = (query, query.flip(-1))
        images = [image.expand(len(moves), -1, -1, -1) for image in both]
        return torch.cat([unit((read(x, moves.positions) - common) * moves.inside) for x in images])

    def _compared(self, views: Tensor, index: Tensor, excluded: Tensor) -> Candidates:
        """Similarity of the best coarse move of each candidate.

        Args:
            views: Views of the query [2M, D].
            index: Places of K candidates.
            excluded: Training images that do not count [T].
        """
        train = in_frame(self.train.sides[0][index] - self.common)
        lengths = (coarse_views().inside @ (train**2).T).sqrt().clamp(min=1e-6)
        similarity, number = (views @ train.T / lengths.repeat(2, 1)).max(0)
        similarity = similarity.masked_fill(excluded[index], -2.0)
        order = similarity.argsort(descending=True, stable=True)
        return Candidates(similarity[order], index[order], number[order])


def _unit_rows(train: Structure, common: Tensor) -> Iterator[Tensor]:
    """Coarse structure without the common part, unit vectors, a block [n, D] at a time."""
    for block in blocks(len(train), COLUMNS):
        yield unit(in_frame(train.sides[0][block] - common))


def _discriminants(train: Structure, common: Tensor) -> Tensor:
    """Directions in which images differ most, for their change by a small move, the best first
    [D, DIMENSIONS].

    They solve the generalised eigenproblem of the scatter of the images and the scatter of the
    changes, to which RIDGE adds a change in any direction.

    Args:
        train: Structure of the training images.
        common: Common part of the images on the coarsest side [1, 1, side, side].
    """
    from scipy.linalg import eigh

    products = [(rows.T @ rows).double() for rows in _unit_rows(train, common)]
    between = torch.stack(products).sum(0) / len(train)
    changes = _changes(train, common).double()
    within = changes.T @ changes / len(changes)
    size = len(within)
    ridge = RIDGE * float(within.trace()) / size + 1e-9
    last = (size - DIMENSIONS, size - 1)
    _, directions = eigh(between, within + ridge * torch.eye(size), subset_by_index=last)
    return torch.from_numpy(directions[:, ::-1].copy()).float()


def _changes(train: Structure, common: Tensor) -> Tensor:
    """Changes of SAMPLE training images by random moves up to half a step of the sparse moves
    [n, D]."""
    chosen = torch.linspace(0, len(train) - 1, min(SAMPLE, len(train))).long()
    images = train.sides[0][chosen]
    shift = SHIFTS[1] - SHIFTS[0]
    scale = math.log(SCALES[1] / SCALES[0])
    angle = math.radians(ANGLES[1] - ANGLES[0]) / 2
    reach = torch.tensor([shift, shift, scale, angle])
    random = torch.rand(len(images), 4, generator=torch.Generator().manual_seed(0))
    views = views_of((2 * random - 1) * reach, images.shape[-1])
    moved = unit((read(images, views.positions) - in_frame(common)) * views.inside)
    return moved - unit(in_frame(images - common))


@cache
def _sparse_numbers() -> Tensor:
    """Numbers of the coarse moves with every other shift and scale, and of the mirrored ones."""
    numbers = torch.arange(len(coarse_moves()))
    grid = numbers.reshape(len(SHIFTS), len(SHIFTS), len(SCALES), len(ANGLES))
    sparse = grid[::2, ::2, ::2].flatten()
    return torch.cat([sparse, sparse + len(numbers)])
