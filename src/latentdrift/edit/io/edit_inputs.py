"""Inputs of an edit: one image file, or the rows of a cohort, with their known attributes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from latentdrift import prompts
from latentdrift.attributes.specification import (
    AttributeValue,
    AttributeValues,
    ImageRow,
    Spec,
    as_number,
)
from latentdrift.config import EditOptions
from latentdrift.data.cohort.cohort import Cohort, background
from latentdrift.data.cohort.row_selection import rows_of_patients
from latentdrift.data.images import image_readers
from latentdrift.data.images.image import Image
from latentdrift.data.images.image_writers import check_writable
from latentdrift.data.images.intensity import from_unit, is_range, to_unit
from latentdrift.data.images.letterbox import Fit
from latentdrift.edit.core.fitting import check_colour, check_modality, check_window
from latentdrift.errors import InputError
from latentdrift.model.adapter_info import AdapterInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Subject:
    """One image to edit, read."""

    name: str
    """Its place in the source; never a file name, which may name a person."""
    image: Image
    attributes: AttributeValues
    """Known attributes, in the adapter's terms."""
    fit: Fit
    weight: np.ndarray | None = None
    """[H, W] in [0, 1], what a change counts: 0 outside a mask, and 1 inside but for its soft edge;
    None without a mask."""
    patient: str | None = None
    """Pseudonym of the patient, of a file made from its pixels; None where the cohort knows
    none."""

    def mask(self) -> torch.Tensor | None:
        """Mask of the pixels that may change, [1, 1, R, R] in [0, 1]; None without a mask."""
        if self.weight is None:
            return None
        return torch.from_numpy(self.fit.apply((self.weight > 0).astype(np.float32), fill=0.0))[
            None, None
        ]

    def tensor(self) -> torch.Tensor:
        """Image on the model's square, [1, 3, R, R] in [-1, 1]."""
        unit = to_unit(self.image.pixels, self.image.range)
        fitted = self.fit.apply(unit, fill=background(unit))
        grey = fitted.ndim == 2
        channels = np.repeat(fitted[None], 3, 0) if grey else np.moveaxis(fitted, -1, 0)
        return torch.from_numpy(np.ascontiguousarray(channels[None], dtype=np.float32)).clamp(-1, 1)

    def picture(self) -> np.ndarray:
        """Image on the model's square for making hints, [C, R, R] in [0, 1]; C is 1 for grey, else
        3."""
        channels = self.tensor()[0].numpy()
        return (channels[:1] + 1) / 2 if self.image.pixels.ndim == 2 else (channels + 1) / 2

    @property
    def unit(self) -> np.ndarray:
        """Image in its own geometry, float32 [H, W] or [H, W, 3] in [-1, 1]."""
        return to_unit(self.image.pixels, self.image.range)

    def back(self, x: torch.Tensor) -> np.ndarray:
        """Bring a picture back to the source's geometry; outside of a mask it is the source.

        Args:
            x: [1, 3, R, R] in [-1, 1].

        Returns:
            float32 [H, W] or [H, W, 3] in [-1, 1].
        """
        restored = self._inverted(x)
        if self.weight is None:
            return restored
        weight = self._over(restored)
        result: np.ndarray = weight * restored + (1 - weight) * self.unit
        return result

    def onto(self, change: torch.Tensor) -> np.ndarray:
        """Add a change to the source, only inside a mask if there is one.

        Args:
            change: [1, 3, R, R].

        Returns:
            float32 [H, W] or [H, W, 3] in [-1, 1].
        """
        restored = self._inverted(change)
        result: np.ndarray = (
            self.unit + (restored if self.weight is None else self._over(restored) * restored)
        ).clip(-1, 1)
        return result

    def intensities(self, unit: np.ndarray) -> np.ndarray:
        """Convert [-1, 1] to the unit of the source; outside of a mask they are the source's own
        pixels.

        Args:
            unit: [H, W] or [H, W, 3] in [-1, 1].
        """
        values = from_unit(unit, self.image.range)
        return (
            values
            if self.weight is None
            else np.where(self._over(unit) > 0, values, self.image.pixels).astype(values.dtype)
        )

    def _inverted(self, x: torch.Tensor) -> np.ndarray:
        channels = x[0].permute(1, 2, 0).numpy()
        return self.fit.invert(channels.mean(-1) if self.image.pixels.ndim == 2 else channels)

    def _over(self, unit: np.ndarray) -> np.ndarray:
        assert self.weight is not None
        return self.weight[..., None] if unit.ndim == 3 else self.weight


@dataclass(frozen=True, eq=False)
class Entry:
    """An image to edit that is read when its turn comes, so that a cohort of any size takes the
    memory of one image."""

    name: str
    """Name of the subject."""
    attributes: AttributeValues
    """Attributes of the subject."""
    read: Callable[[], Subject]
    """The image without a mask."""
    row: int | None = None
    """Its position in the cohort; None of a file."""
    sha256: str | None = None
    """Hash of the pixels and of the values that map to [-1, 1]."""
    inside: np.ndarray | None = None
    """bool [H, W], where it may change; everywhere, if None."""
    edge: float = 0.0
    """Pixels over which the change sets in."""

    @property
    def mask_sha256(self) -> str | None:
        """Hash of the mask; None without one."""
        return None if self.inside is None else _sha256(self.inside)

    def open(self) -> Subject:
        """Read the image, with the weight of a change at each pixel.

        The weight rises from the mask's edge inwards, so nothing outside changes.

        Raises:
            InputError: The image cannot be read, or has another shape than the mask.
        """
        subject = self.read()
        if self.inside is None:
            return subject
        if self.inside.shape != subject.image.pixels.shape[:2]:
            raise InputError(
                f"the mask has the shape {self.inside.shape} and image {self.name} "
                f"{subject.image.pixels.shape[:2]}; a mask is a grey picture with the rows and "
                "columns of its image"
            )
        depth = distance_transform_edt(np.pad(self.inside, 1, mode="edge"))[
            1:-1, 1:-1
        ]  # 1 at its outermost pixels
        return replace(subject, weight=np.minimum(depth / (self.edge + 1), 1.0).astype(np.float32))


def entries(options: EditOptions, info: AdapterInfo, resolution: int) -> list[Entry]:
    """Images that `edit` changes: those of a file or of a cohort.

    Args:
        options: Options of `edit`.
        info: adapter.json.
        resolution: Pixels on a side of the model's square.

    Raises:
        InputError, OptionError, CohortError: The source cannot be read, or a given attribute is
            unknown.
    """
    spec = info.attributes
    given = dict(prompts.parse_assignment(text, spec) for text in options.given)
    if (options.source / "cohort.json").is_file():
        cohort = Cohort.load(options.source)
        selected = list(_of_cohort(cohort, options, spec, given, resolution))
        if selected:
            check_colour(cohort.stored(cohort.rows().iloc[selected[0].row or 0].to_dict()), info)
    elif options.source.is_dir():
        raise InputError(
            f"{options.source} is a folder but not a cohort; give one image, or import the folder "
            "first"
        )
    else:
        selected = list(_of_file(options, info, given, resolution))
    if options.mask is None and options.protect is None:
        return selected
    together = zip(selected, _insides(options, len(selected)), strict=True)
    masked = [replace(entry, inside=inside, edge=options.mask_edge) for entry, inside in together]
    for entry in masked:
        entry.open()  # what does not fit is said before anything is drawn
    return masked


def _insides(options: EditOptions, n: int) -> list[np.ndarray]:
    """Region that may change of each of n images, bool [H, W]; one array for all where the masks
    are one picture."""
    masks, protected = (_pictures(path, options, n) for path in (options.mask, options.protect))
    count = max(len(masks), len(protected))
    inside_masks = [
        _inside(masks[i % len(masks)], protected[i % len(protected)], options) for i in range(count)
    ]
    return inside_masks * n if count == 1 else inside_masks


def _pictures(path: Path | None, options: EditOptions, n: int) -> list[np.ndarray | None]:
    """The pictures of `mask` or `protect`.

    Raises:
        InputError: They cannot be read, or are neither one nor one for each of n images.
    """
    if path is None:
        return [None]
    images = image_readers.read(path, plane=options.plane, position=options.position, window="full")
    if len(images) not in (1, n):
        raise InputError(
            f"the mask {path} has {len(images)} pictures for {n} images; give one, or one for each"
        )
    return [image.pixels for image in images]


def _inside(
    mask: np.ndarray | None, protected: np.ndarray | None, options: EditOptions
) -> np.ndarray:
    """bool [H, W], inside the mask and not protected.

    Raises:
        InputError: They are not grey, have different shapes, or leave nothing.
    """
    free = [] if mask is None else [mask != 0]
    free += [] if protected is None else [protected == 0]
    if any(part.ndim != 2 or part.shape != free[0].shape for part in free):
        shapes = " and ".join(str(part.shape) for part in free)
        raise InputError(
            "masks are grey pictures of the rows and columns of their image, and these have the "
            f"shape {shapes}"
        )
    inside = np.logical_and.reduce(free)
    if inside.any():
        result: np.ndarray = inside
        return result
    if protected is None:
        raise InputError(
            f"nothing lies inside the mask {options.mask}: all of it is 0; mark what may change"
        )
    raise InputError(
        f"{options.protect} protects all that may change; let it be 0 where the image may change"
    )


def _sha256(array: np.ndarray, *ranges: tuple[float, float]) -> str:
    description = repr((array.shape, str(array.dtype), *ranges)).encode()
    return hashlib.sha256(description + np.ascontiguousarray(array).tobytes()).hexdigest()


def _of_cohort(
    cohort: Cohort, options: EditOptions, spec: Spec, given: AttributeValues, resolution: int
) -> Iterator[Entry]:
    rows = rows_of_patients(cohort, options.split, options.patient).head(options.limit)
    for position, row in rows.to_dict("index").items():
        name = Path(row["file_name"]).stem
        known = {**prompts.attributes_of(row, spec), **given}
        yield Entry(
            name,
            known,
            partial(_of_row, cohort, row, name, known, resolution),
            int(position),
            row["sha256"],
        )


def _of_row(
    cohort: Cohort, row: ImageRow, name: str, known: AttributeValues, resolution: int
) -> Subject:
    (image,) = image_readers.read(cohort.folder / str(row["file_name"]))
    image = _in_its_unit(image, cohort, row)
    patient = row.get("patient")
    fit = cohort.fit(row, image.pixels, resolution)
    return Subject(name, image, known, fit, patient=patient if isinstance(patient, str) else None)


def _in_its_unit(image: Image, cohort: Cohort, row: ImageRow) -> Image:
    """A cohort's PNG in the intensities that it stands for, see `cohort.py`."""
    window = as_number(row["window_low"]), as_number(row["window_high"])
    if window == image.range or not is_range(*window):
        return image
    units = list(cohort.info.source.units)
    pixels = from_unit(to_unit(image.pixels, image.range), window)
    return replace(
        image, pixels=pixels, range=window, unit=units[0] if len(units) == 1 else image.unit
    )


def _of_file(
    options: EditOptions, info: AdapterInfo, given: AttributeValues, resolution: int
) -> Iterator[Entry]:
    spec = info.attributes
    theirs = info.window
    window = options.window or (theirs and f"{theirs[0]:.9g},{theirs[1]:.9g}")
    images = image_readers.read(
        options.source, plane=options.plane, position=options.position, window=window
    )
    patient = (
        f"file-{_sha256(images[0].pixels)[:12]}" if images else None
    )  # all slices of a file are one patient's
    for number, image in enumerate(images[: options.limit]):
        check_writable(image)
        check_colour(image.pixels, info)
        check_modality(image, info)
        check_window(
            image,
            "`window`" if options.window else "the adapter's cohort" if window else "the image",
        )
        known = {**known_of(image, spec), **given}
        (height, width), (row_mm, col_mm) = image.pixels.shape[:2], image.spacing or (1.0, 1.0)
        fit = Fit(height, width, resolution, aspect=row_mm / col_mm)
        subject = Subject(f"{number:06d}", image, known, fit, patient=patient)
        yield Entry(
            subject.name,
            known,
            partial(_as_it_is, subject),
            sha256=_sha256(image.pixels, image.range),
        )


def known_of(image: Image, spec: Spec) -> dict[str, AttributeValue]:
    """Attributes of an image: from its header, and those that all training images shared.

    Args:
        image: The image.
        spec: Attributes of the adapter's cohort, in whose spelling they are.
    """
    header = {"modality": image.modality, "view": image.plane, **image.attributes}
    known = prompts.spelled(prompts.attributes_of(header, spec), spec)
    granted = prompts.constant_attributes(known, spec)
    for name, value in granted.items():
        log.info(
            "the image does not say its %s: '%s' is taken, as all training images had; "
            "`given={'%s': ...}` says another",
            name,
            value,
            name,
        )
    return known | granted


def _as_it_is(subject: Subject) -> Subject:
    return subject
