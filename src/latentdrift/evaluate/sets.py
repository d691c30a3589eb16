"""Pictures to judge, from a cohort or from a plain folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from latentdrift.data import readers
from latentdrift.data.cohort import Cohort, background
from latentdrift.data.geometry import Fit
from latentdrift.data.intensity import to_unit
from latentdrift.errors import CohortError, InputError
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.pictures import Pictures
from latentdrift.record import sha256

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".nii", ".gz")


def is_cohort(folder: Path) -> bool:
    """Whether a folder is a cohort."""
    return (folder / "cohort.json").is_file()


def from_cohort(cohort: Cohort, split: str | None, size: int) -> ImageSet:
    """The pictures of a split, `size` pixels on a side.

    Raises:
        CohortError: The split is empty.
    """
    check_split(cohort, split)
    return from_rows(cohort, cohort.rows(split), size)


def check_split(cohort: Cohort, split: str | None) -> None:
    """See that a split has images.

    Raises:
        CohortError: It is empty.
    """
    if len(cohort.rows(split)):
        return
    hint = " (its images are synthetic: --real and --synthetic may be swapped)" if cohort.info.get("synthetic") else ""
    raise CohortError(f"the {split} split of cohort {cohort.folder} is empty{hint}; take another --split")


def from_rows(cohort: Cohort, rows: pd.DataFrame, size: int) -> ImageSet:
    """The pictures of some rows of a cohort's table, at least one."""

    def read(place: int) -> np.ndarray:
        return np.moveaxis((cohort.batch(rows.iloc[[place]], size)[0] + 1) / 2, 0, -1).clip(0, 1)

    keys = [f"{row['sha256']} {row['row_mm']} {row['col_mm']} {size}" for row in rows.to_dict("records")]
    patients = list(rows["patient"]) if rows["patient"].notna().all() else None
    names = [Path(name).stem for name in rows["file_name"]]
    attributes = rows[list(cohort.attributes)].reset_index(drop=True)
    return ImageSet(Pictures(read, (size, size), keys, names), patients, names, attributes)


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
    # read once here, so that a broken file is noticed before anything is computed
    places = [(path, number) for path in files for number in range(len(readers.read(path)))]
    names = [str(path.relative_to(folder)) for path, _ in places]
    contents = {path: sha256(path) for path in files}
    keys = [f"{contents[path]} {number} {size}" for path, number in places]
    pictures = Pictures(lambda place: _unit(*places[place], size), (size, size), keys, names)
    return ImageSet(pictures, None, names, pd.DataFrame(index=range(len(names))))


def _unit(path: Path, number: int, size: int) -> np.ndarray:
    """One picture of a file, [size, size, 3] in [0, 1]."""
    image = readers.read(path)[number]
    unit = to_unit(image.pixels, image.range)
    fitted = (Fit(unit.shape[0], unit.shape[1], size).apply(unit, fill=background(unit)) + 1) / 2
    return (np.repeat(fitted[..., None], 3, -1) if fitted.ndim == 2 else fitted).clip(0, 1).astype(np.float32)


def load_set(path: Path, split: str | None, size: int) -> ImageSet:
    """A cohort's split or a folder's images."""
    return from_cohort(Cohort.load(path), split, size) if is_cohort(path) else from_folder(path, size)


def named(paths: Sequence[Path], size: int) -> dict[str, ImageSet]:
    """Synthetic sets by name: the first as `synthetic`, further ones as their folders are called, with a number where needed."""
    found: dict[str, ImageSet] = {}
    for place, path in enumerate(paths):
        name = "synthetic" if place == 0 else path.name
        taken = name in found or (place > 0 and name in ("real", "train"))
        found[f"{name}-{place}" if taken else name] = load_set(path, None, size)
    return found


def native_size(path: Path) -> int:
    """The longer side of the first picture: the size at which a set is judged."""
    if is_cohort(path):
        cohort = Cohort.load(path)
        return max(cohort.stored(cohort.rows().iloc[0].to_dict()).shape[:2])
    first = next((p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")), None)
    return max(readers.read(first)[0].pixels.shape[:2]) if first else 1
