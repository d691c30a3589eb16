"""How many copies of training images the search finds, by disguise, and how many honest images it
flags.

python benchmarks/copies.py [brain] [chest] [COHORT ...]      phantoms (default: both), or cohort folders of your own
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.phantom import phantom
from latentdrift.evaluate.features.nearest_neighbours import same_patient
from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.fine_structure import structure
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.registration import nearest
from latentdrift.evaluate.privacy.copy_detection import CopyThresholds
from latentdrift.evaluate.privacy.copy_perturbations import DISGUISES, disguise
from latentdrift.evaluate.statistics.bootstrap import proportion_interval, rng

COPIES = 50  # of each disguise
SIZE = 256  # pixels at most
AUTOENCODER = "through the pocket's autoencoder"


def drawn(kind: str, patients: int, seed: int) -> EvaluationImages:
    """Phantoms of patients, one visit each."""
    spec = phantom.kind_of(kind)
    rows = phantom.cohort_table(kind, patients, 1, seed)
    grey = np.stack([spec.render(row.subject, row.attributes, visit=row.visit) for row in rows])
    return EvaluationImages(
        np.repeat(grey.clip(0, 1)[..., None], 3, -1), [f"{seed}-{row.patient}" for row in rows]
    )


def images(name: str) -> tuple[EvaluationImages, EvaluationImages, EvaluationImages]:
    """Training images, held-out ones that set the threshold, and further patients."""
    if name in phantom.KINDS:
        return (
            drawn(name, 150, 31),
            drawn(name, 100, 32),
            drawn(name, 200, 33),
        )  # seeds that no setting was chosen on
    cohort = Cohort.load(name)
    size = min(SIZE, image_sets.native_size(Path(name)))
    train, held_out, others = (
        image_sets.from_cohort(cohort, split, size) for split in ("train", "test", "validation")
    )
    return train, held_out, others


def decoded(pictures: np.ndarray) -> np.ndarray:
    """As a latent diffusion model that has learned them by heart would draw them."""
    from latentdrift.model.base import Base

    base = Base.load("pocket", device="cpu", precision="fp32")
    with torch.no_grad():
        parts = [
            base.decode(base.moments(2 * resize(x[None], base.resolution) - 1)[0]) for x in pictures
        ]
    return ((torch.cat(parts) + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def share(hits: int, n: int) -> str:
    """Per cent with its interval."""
    low, high = proportion_interval(hits, n)
    return f"{100 * hits / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def column(name: str) -> dict[str, Any]:
    """A column of the table: row -> cell."""
    train, held_out, others = images(name)
    known = structure(train.images)
    usual = structure(held_out.images)
    people = (known, usual)
    strangers = nearest(held_out.images, known, same_patient(held_out, train), people)
    thresholds = CopyThresholds.of(strangers)
    found = thresholds.similarity(strangers)
    limit = thresholds.threshold
    more = thresholds.similarity(nearest(others.images, known, same_patient(others, train), people))
    cells = {
        "training / held-out / further images": f"{len(train)} / {len(held_out)} / {len(others)}",
        "threshold, and of finer structure": f"{limit:.3f}, {thresholds.fine:.3f}",
    }
    cells["nearest stranger, median and highest"] = f"{np.median(found):.2f}, {found.max():.2f}"
    cells["held-out flagged"] = share(int((found > limit).sum()), len(found))
    cells["further patients flagged"] = share(int((more > limit).sum()), len(more))
    pick = rng(0, "copies").choice(len(train), min(COPIES, len(train)), replace=False)
    for row in [*DISGUISES, AUTOENCODER]:
        taken = train.images[pick]
        made = decoded(taken) if row == AUTOENCODER else disguise(row, taken, rng(0, row))
        values = thresholds.similarity(nearest(made, known, None, people))
        cells[f"found: {row}"] = (
            f"{share(int((values > limit).sum()), len(values))}, lowest {values.min():.3f}"
        )
    return cells


def main() -> None:
    """One table."""
    names = sys.argv[1:] or list(phantom.KINDS)
    columns = [column(name) for name in names]
    sys.stdout.write(
        f"| | {' | '.join(Path(name).name for name in names)} |\n|{'---|' * (len(names) + 1)}\n"
    )
    for row in columns[0]:
        sys.stdout.write(f"| {row} | {' | '.join(cells[row] for cells in columns)} |\n")


if __name__ == "__main__":
    main()
