"""Scans of phantoms whose second visit lies elsewhere and is darker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.phantom import phantom

SIDE = 96
SHIFT = (3.0, -2.0)
"""Rows and columns by which the second visit's brain lies elsewhere; its gain is GAIN."""
GAIN = 0.8


def moved_scans(folder: Path) -> Path:
    """Two visits of three patients, the second one moved and darker, and one visit of a fourth."""
    row = phantom.kind_of("brain")
    lines = ["patient,file,days,age"]
    for patient in range(4):
        attributes = row.history(np.random.default_rng(patient), 1)[0].attributes
        image = np.asarray(row.render(patient, attributes, visit=1, size=SIDE), dtype=float)
        moved = GAIN * ndimage.shift(image, SHIFT, order=3, mode="nearest")
        for visit, picture in enumerate([image, moved][: 1 if patient == 3 else 2]):
            name = f"{patient}_{visit}.png"
            stored = np.rint(picture.clip(0, 1) * 200).astype(np.uint8)
            Image.fromarray(stored).save(folder / name)
            lines.append(f"P{patient},{name},{400 * visit},70")
    (folder / "table.csv").write_text("\n".join(lines))
    return folder


def imported(scans: Path, out: Path, **options: object) -> Cohort:
    given = {"source": scans, "table": scans / "table.csv", "describe": "brain MRI"}
    return import_cohort(ImportOptions.model_validate({**given, "out": out, **options}))
