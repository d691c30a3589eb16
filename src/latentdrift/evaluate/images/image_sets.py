"""Pictures to judge, from a cohort or from a plain folder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentdrift.attributes.specification import Cell
from latentdrift.data.cohort.cohort import Cohort, background, read_square
from latentdrift.data.images import image_readers
from latentdrift.data.images.intensity import to_unit
from latentdrift.data.images.letterbox import Fit
from latentdrift.errors import CohortError, InputError
from latentdrift.evaluate.images.lazy_images import Pictures, fit
from latentdrift.record import sha256

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".nii", ".gz")
READ_COLUMNS = ("file_name", "row_mm", "col_mm")
"""Columns of a cohort's table by which a picture is read."""


def is_cohort(folder: Path) -> bool:
    """Whether a folder is a cohort: it has a cohort.json."""
    return (folder / "cohort.json").is_file()


def from_cohort(cohort: Cohort, split: str | None, size: int) -> EvaluationImages:
    """Images of a split of a cohort.

    Args:
        cohort: The cohort.
        split: Name of the split; None: all images.
        size: Pixels on a side.

    Raises:
        CohortError: The split is empty.
    """
    check_split(cohort, split)
    return from_rows(cohort, cohort.rows(split), size)


def check_split(cohort: Cohort, split: str | None) -> None:
    """Check that a split has images.

    Args:
        cohort: The cohort.
        split: Name of the split; None: all images.

    Raises:
        CohortError: It is empty.
    """
    if len(cohort.rows(split)):
        return
    hint = (
        " (its images are synthetic: `real` and `synthetic` may be swapped)"
        if cohort.info.synthetic
        else ""
    )
    raise CohortError(
        f"the {split} split of cohort {cohort.folder} is empty{hint}; take another `split`"
    )


def from_rows(cohort: Cohort, rows: pd.DataFrame, size: int) -> EvaluationImages:
    """Images of rows of a cohort's table; they are read when they are used.

    Args:
        cohort: The cohort.
        rows: Rows of its table, at least one.
        size: Pixels on a side.
    """
    keys = [
        f"{row['sha256']} {row['row_mm']} {row['col_mm']} {size}" for row in rows.to_dict("records")
    ]
    patients = list(rows["patient"]) if rows["patient"].notna().all() else None
    names = [Path(name).stem for name in rows["file_name"]]
    attributes = rows[list(cohort.attributes)].reset_index(drop=True)
    sources = list(zip(*(rows[name] for name in READ_COLUMNS), strict=True))
    read = partial(_read_row, cohort.folder, size)
    pictures = Pictures(read, (size, size), keys, names, sources)
    return EvaluationImages(pictures, patients, names, attributes)


def _read_row(folder: Path, size: int, cells: Sequence[Cell]) -> np.ndarray:
    """One picture of a cohort, [size, size, 3] in [0, 1].

    Args:
        folder: Folder of the cohort.
        size: Pixels on a side.
        cells: Values of READ_COLUMNS.
    """
    pixels = read_square(folder, dict(zip(READ_COLUMNS, cells, strict=True)), size)
    result: np.ndarray = np.moveaxis((pixels + 1) / 2, 0, -1).clip(0, 1)
    return result


def from_folder(folder: Path, size: int) -> EvaluationImages:
    """Every image in a folder and its sub-folders.

    Args:
        folder: The folder.
        size: Pixels on a side.

    Raises:
        InputError: No such folder, no images, or one that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give a cohort or a folder of images")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not files:
        raise InputError(
            f"{folder} holds no images; give a cohort or a folder with {', '.join(SUFFIXES[:-1])} "
            "files"
        )
    # read once here, so that a broken file is noticed before anything is computed
    places = [(path, number) for path in files for number in range(len(image_readers.read(path)))]
    names = [str(path.relative_to(folder)) for path, _ in places]
    contents = {path: sha256(path) for path in files}
    keys = [f"{contents[path]} {number} {size}" for path, number in places]
    pictures = Pictures(partial(_read_file, size), (size, size), keys, names, places)
    return EvaluationImages(pictures, None, names, pd.DataFrame(index=range(len(names))))


def _read_file(size: int, place: tuple[Path, int]) -> np.ndarray:
    """One picture of a file, [size, size, 3] in [0, 1].

    Args:
        size: Pixels on a side.
        place: The file, and the number of the picture in it.
    """
    path, number = place
    image = image_readers.read(path)[number]
    unit = to_unit(image.pixels, image.range)
    fitted = (Fit(unit.shape[0], unit.shape[1], size).apply(unit, fill=background(unit)) + 1) / 2
    return (
        (np.repeat(fitted[..., None], 3, -1) if fitted.ndim == 2 else fitted)
        .clip(0, 1)
        .astype(np.float32)
    )


def load_set(path: Path, split: str | None, size: int) -> EvaluationImages:
    """Images of a cohort, or of a folder of image files.

    Args:
        path: Cohort or folder.
        split: Split of a cohort; None: all images. A folder has no splits.
        size: Pixels on a side.

    Raises:
        CohortError, InputError: There are no images, or one cannot be read.
    """
    return (
        from_cohort(Cohort.load(path), split, size) if is_cohort(path) else from_folder(path, size)
    )


def named(paths: Sequence[Path], size: int) -> dict[str, EvaluationImages]:
    """Load synthetic sets, and give each a name.

    Args:
        paths: Cohorts or folders. The first set is `synthetic`, further ones have their folder's
            name, with a number where it is used already.
        size: Pixels on a side.

    Raises:
        CohortError, InputError: There are no images, or one cannot be read.
    """
    sets: dict[str, EvaluationImages] = {}
    for place, path in enumerate(paths):
        name = "synthetic" if place == 0 else path.name
        is_used = name in sets or (place > 0 and name in ("real", "train"))
        sets[f"{name}-{place}" if is_used else name] = load_set(path, None, size)
    return sets


def native_size(path: Path) -> int:
    """Longer side of the first image of a set in pixels: the size at which the set is evaluated.

    Args:
        path: Cohort or folder of images.
    """
    if is_cohort(path):
        cohort = Cohort.load(path)
        result: int = max(cohort.stored(cohort.rows().iloc[0].to_dict()).shape[:2])
        return result
    first = next(
        (
            p
            for p in sorted(path.rglob("*"))
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        ),
        None,
    )
    return max(image_readers.read(first)[0].pixels.shape[:2]) if first else 1


@dataclass(frozen=True)
class EvaluationImages:
    """Pictures to judge, all of one size.

    Attributes:
        images: float32 [N, H, W, 3] in [0, 1], an array or `Pictures` on disk; grey pictures have
            three equal channels.
        patients: Patient of each picture; None: unknown, and then every picture counts
            as its own patient.
        names: Name of each picture in a report; default: its position.
        attributes: One row per picture, if there is a table.
    """

    images: Any
    patients: list[str] | None = None
    names: list[str] = field(default_factory=list)
    attributes: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        images = (
            self.images
            if isinstance(self.images, Pictures)
            else np.asarray(self.images, dtype=np.float32)
        )
        if images.ndim != 4 or images.shape[-1] != 3 or len(images) == 0:
            raise InputError(
                "a set of images has the shape [N, H, W, 3] with N of at least 1; this one has "
                f"{list(images.shape)}"
            )
        names = list(self.names) or [str(i) for i in range(len(images))]
        for what, values in (
            ("names", names),
            ("patients", self.patients),
            ("attribute rows", self.attributes),
        ):
            if values is not None and len(values) != len(images):
                raise InputError(
                    f"{len(images)} images come with {len(values)} {what}; there must be one per "
                    "image"
                )
        if not isinstance(images, Pictures):
            bad = [name for name, image in zip(names, images, strict=True) if not fit(image)]
            if bad:
                raise InputError(
                    f"{len(bad)} images hold values outside [0, 1] or that are not numbers, the "
                    f"first is {bad[0]}; scale them"
                )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "names", names)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, places: np.ndarray) -> EvaluationImages:
        """Select images by their positions [n]."""
        images = (
            self.images.take(places) if isinstance(self.images, Pictures) else self.images[places]
        )
        patients = None if self.patients is None else [self.patients[place] for place in places]
        rows = (
            None if self.attributes is None else self.attributes.iloc[places].reset_index(drop=True)
        )
        return EvaluationImages(images, patients, [self.names[place] for place in places], rows)


def contents(images: EvaluationImages) -> list[str]:
    """SHA-256 of the pixels of each image."""
    return [
        hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images.images
    ]
