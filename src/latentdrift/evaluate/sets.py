"""Pictures to judge, from a cohort or from a plain folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from latentdrift.data import readers
from latentdrift.data.cohort import Cohort, background
from latentdrift.data.geometry import Fit
from latentdrift.data.intensity import to_unit
from latentdrift.errors import CohortError, InputError
from latentdrift.evaluate import ImageSet

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".nii", ".gz")


def is_cohort(folder: Path) -> bool:
    """Whether a folder is a cohort."""
    return (folder / "cohort.json").is_file()


def from_cohort(cohort: Cohort, split: str | None, size: int) -> ImageSet:
    """The pictures of a split, `size` pixels on a side.

    Raises:
        CohortError: The split is empty.
    """
    rows = cohort.rows(split)
    if not len(rows):
        raise CohortError(f"the {split} split of cohort {cohort.folder} is empty; take another --split")
    return from_rows(cohort, rows, size)


def from_rows(cohort: Cohort, rows: pd.DataFrame, size: int) -> ImageSet:
    """The pictures of some rows of a cohort's table, at least one."""
    images = np.moveaxis((cohort.batch(rows, size) + 1) / 2, 1, -1).clip(0, 1)
    patients = list(rows["patient"]) if rows["patient"].notna().all() else None
    return ImageSet(
        images, patients, [Path(name).stem for name in rows["file_name"]], rows[list(cohort.attributes)].reset_index(drop=True)
    )


def from_folder(folder: Path, size: int) -> ImageSet:
    """Every image in a folder and below it; one that cannot be read is an error, never a black picture.

    Raises:
        InputError: No such folder, no images, or one that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give a cohort or a folder of images")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    if not files:
        raise InputError(f"{folder} holds no images; give a cohort or a folder with {', '.join(SUFFIXES[:-1])} files")
    images, names = [], []
    for path in files:
        for image in readers.read(path):
            unit = to_unit(image.pixels, image.range)
            fitted = Fit(unit.shape[0], unit.shape[1], size).apply(unit, fill=background(unit))
            images.append(np.repeat(fitted[..., None], 3, -1) if fitted.ndim == 2 else fitted)
            names.append(str(path.relative_to(folder)))
    return ImageSet(((np.stack(images) + 1) / 2).clip(0, 1), None, names, pd.DataFrame(index=range(len(names))))


def load_set(path: Path, split: str | None, size: int) -> ImageSet:
    """A cohort's split or a folder's images."""
    return from_cohort(Cohort.load(path), split, size) if is_cohort(path) else from_folder(path, size)


def native_size(path: Path) -> int:
    """The longer side of the first picture: the size at which a set is judged."""
    if is_cohort(path):
        cohort = Cohort.load(path)
        return max(cohort.stored(cohort.rows().iloc[0].to_dict()).shape[:2])
    first = next((p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")), None)
    return max(readers.read(first)[0].pixels.shape[:2]) if first else 1
