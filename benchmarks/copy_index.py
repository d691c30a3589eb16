"""The index of the copy search beside the search without it: copies found, equal results, time.

    OMP_NUM_THREADS=1 python benchmarks/copy_index.py [brain] [chest] [N] [COPIES]

The default is both kinds, 10000 and 16.

N phantoms are the training images. COPIES of them are planted in each disguise, and 100 images of
others are searched for, too. Seconds are those of the processor for an image, on one thread.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from latentdrift.data.phantom import phantom
from latentdrift.evaluate.images import registration
from latentdrift.evaluate.images.fine_structure import Structure, structure
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.evaluate.images.registration import Overlaid, nearest
from latentdrift.evaluate.privacy.copy_perturbations import DISGUISES, disguise
from latentdrift.evaluate.statistics.bootstrap import rng

SEEDS = {"train": 931, "held-out": 932, "others": 933}
OTHERS = 100
PLANTED = 1  # seed of the choice and of the disguises


def drawn(kind: str, patients: int, seed: int) -> Pictures:
    """Phantoms of patients, one visit each, drawn when they are read."""
    spec = phantom.kind_of(kind)
    rows = phantom.cohort_table(kind, patients, 1, seed)

    def read(place: int) -> np.ndarray:
        row = rows[place]
        grey = spec.render(row.subject, row.attributes, visit=row.visit).clip(0, 1)
        return np.repeat(grey[..., None], 3, -1).astype(np.float32)

    names = [str(place) for place in range(patients)]
    return Pictures(read, read(0).shape[:2], names, names)


@dataclass(frozen=True)
class Search:
    """Training images and held-out ones, and a search among them."""

    known: Structure
    usual: Structure

    def timed(self, images: np.ndarray, shortlist: int) -> tuple[Overlaid, float]:
        """Nearest training images, and processor seconds for an image.

        Args:
            images: [N, H, W, 3] in [0, 1].
            shortlist: Number of training images up to which there is no index.
        """
        before = registration.SHORTLIST
        registration.SHORTLIST = shortlist
        began = time.process_time()
        found = nearest(images, self.known, common=(self.known, self.usual))
        registration.SHORTLIST = before
        return found, (time.process_time() - began) / len(images)


def line(name: str, search: Search, images: np.ndarray, truth: np.ndarray) -> str:
    """A row of the table."""
    full, full_seconds = search.timed(images, len(search.known))
    indexed, seconds = search.timed(images, registration.SHORTLIST)
    hits, indexed_hits = full.index == truth, indexed.index == truth
    same = full.index == indexed.index
    apart = np.abs(full.value - indexed.value)[same].max(initial=0.0)
    cells = [
        name,
        f"{hits.sum()} of {len(hits)}",
        str(indexed_hits.sum()),
        str((hits & ~indexed_hits).sum()),
        f"{same.mean():.0%}",
        f"{apart:.0e}",
        f"{full_seconds:.3f}",
        f"{seconds:.3f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """One table for each kind of phantom."""
    torch.set_num_threads(1)
    kinds = [word for word in sys.argv[1:] if word in phantom.KINDS] or list(phantom.KINDS)
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    n, copies = (*numbers, *(10_000, 16)[len(numbers) :])
    for kind in kinds:
        train = drawn(kind, n, SEEDS["train"])
        search = Search(structure(train), structure(drawn(kind, 100, SEEDS["held-out"])))
        sys.stdout.write(
            f"\n| {kind}, {n:,} training images | found in full | with the index | lost | "
            "same nearest | difference there | s in full | s with the index |\n"
            f"|{'---|' * 8}\n"
        )
        picked = rng(PLANTED, "pick").choice(n, copies, replace=False)
        for name in DISGUISES:
            planted = disguise(name, train[picked], rng(PLANTED, name))
            sys.stdout.write(line(name, search, planted, picked))
            sys.stdout.flush()
        others = drawn(kind, 2 * OTHERS, SEEDS["others"])[:OTHERS]
        sys.stdout.write(line("nobody's copy", search, others, np.full(OTHERS, -1)))


if __name__ == "__main__":
    main()
