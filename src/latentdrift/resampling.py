"""Bootstrap resampling as one argument: how many resamples, and from which seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdrift.seeds import derive


@dataclass(frozen=True)
class Resampling:
    """Number and seed of the bootstrap resamples behind an interval.

    Attributes:
        n: Number of resamples.
        seed: Seed of the resamples, and of the subsets, halves and shuffles of the same score.
    """

    n: int = 200
    seed: int = 0

    def rng(self, *path: int | str) -> np.random.Generator:
        """Numpy generator for a named place under the seed.

        Args:
            path: Names that distinguish places.
        """
        return np.random.default_rng(derive(self.seed, *path))
