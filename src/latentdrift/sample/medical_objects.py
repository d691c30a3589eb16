"""OBJECTS: a synthetic cohort's pictures once more, as DICOM or NIfTI, each of which says that it
is synthetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentdrift.attributes.specification import ImageRow
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images.image import Image
from latentdrift.data.images.image_writers import SUFFIXES, write_dicom, write_nifti
from latentdrift.data.images.intensity import Range, from_unit
from latentdrift.errors import OptionError
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.prompts import is_missing
from latentdrift.storage import folder_written

VIEW_POSITIONS = ("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO")
"""Defined terms of View Position (PS3.3 C.8.1.2): a plane is none of them."""
LONGEST = 1024
"""Characters of a Derivation Description (PS3.5 table 6.2-1, ST)."""


@dataclass(frozen=True)
class SyntheticPicture:
    """One picture in its own unit."""

    pixels: np.ndarray
    """[H, W] in the unit, or uint8 [H, W, 3]."""
    range: Range
    unit: str
    row: ImageRow
    """Row of metadata.csv."""
    modality: str | None
    """The one that the adapter was trained on; None where it was several, or nobody knows."""


def _dicom(path: Path, source: SyntheticPicture) -> None:
    attributes = {
        name: value
        for name in ("age", "sex")
        if isinstance(value := source.row.get(name), str | float) and not is_missing(value)
    }
    view = str(source.row.get("view", "")).upper()
    attributes |= {"view": view} if view in VIEW_POSITIONS else {}
    attributes |= {"modality": source.modality} if source.modality else {}
    description = f"Synthetic image, drawn by a generative model: {source.row['prompt']}"[:LONGEST]
    write_dicom(
        path,
        None,
        source.pixels,
        description=description,
        range=source.range,
        unit=source.unit,
        attributes=attributes,
    )


def _nifti(path: Path, picture: SyntheticPicture) -> None:
    write_nifti(path, Image(picture.pixels, picture.range, picture.unit), picture.pixels)


OBJECTS: dict[str, Callable[[Path, SyntheticPicture], None]] = {"dicom": _dicom, "nifti": _nifti}


def bits(requested: int | None, info: AdapterInfo) -> int:
    """Bits of each grey value in a synthetic picture, 8 or 16.

    Args:
        requested: Option `depth`; None: as in the adapter's cohort.
        info: adapter.json.

    Raises:
        OptionError: 16 bits in colour.
    """
    if requested == 16 and info.colour:
        raise OptionError(
            "`depth=16` is for grey pictures, and this model draws in colour; leave `depth` out"
        )
    return 8 if info.colour else requested or info.depth


def check_format(form: str, info: AdapterInfo) -> None:
    """Check that the pictures of a model can be written in a format.

    Args:
        form: Row of OBJECTS.
        info: adapter.json.

    Raises:
        OptionError: NIfTI in colour.
    """
    if form == "nifti" and info.colour:
        raise OptionError(
            "`format=nifti` is for grey pictures, and this model draws in colour; take "
            "`format=dicom`"
        )


def write_objects(cohort: Cohort, form: str, info: AdapterInfo) -> list[str]:
    """Write `dicom/000000.dcm` or `nifti/000000.nii.gz` into a synthetic cohort's folder, all or
    none; returns their names.

    Where all training images had one intensity window, values are in it: HU, where they were HU.
    Else they are the PNG's.

    Args:
        cohort: Cohort of synthetic images.
        form: A row of OBJECTS.
        info: adapter.json.
    """
    place = cohort.folder / form
    written = []
    with folder_written(place, replace=True) as aside:
        for row in cohort.rows().to_dict("records"):
            name = f"{Path(row['file_name']).stem}{SUFFIXES[form]}"
            OBJECTS[form](aside / name, _read_picture(cohort, row, info))
            written.append(f"{form}/{name}")
    return written


def _read_picture(cohort: Cohort, row: ImageRow, info: AdapterInfo) -> SyntheticPicture:
    stored = cohort.stored(row)
    modality = info.modalities[0] if len(info.modalities) == 1 else None
    window = info.window
    if window is None or stored.ndim == 3:
        maximum = float(np.iinfo(stored.dtype).max)
        return SyntheticPicture(stored, (0.0, maximum), "intensity", row, modality)
    unit = info.unit or "intensity"
    return SyntheticPicture(from_unit(cohort.pixels(row), window), window, unit, row, modality)
