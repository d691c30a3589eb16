"""What is to be edited: one image file, or the rows of a cohort, with what is known of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from latentdrift import prompts
from latentdrift.config import EditOptions
from latentdrift.data import readers
from latentdrift.data.cohort import Cohort, background
from latentdrift.data.geometry import Fit
from latentdrift.data.image import Image
from latentdrift.data.intensity import from_unit, to_unit
from latentdrift.errors import InputError


@dataclass(frozen=True, eq=False)
class Subject:
    """One image to edit."""

    name: str
    """Its place in the source; never a file name, which may name a person."""
    image: Image
    attributes: Mapping[str, Any]
    """What is known of it, in the adapter's terms."""
    fit: Fit
    weight: np.ndarray | None = None
    """[H, W] in [0, 1], what a change counts: 0 outside a mask, and 1 inside but for its soft edge; None without a mask."""

    @property
    def facts(self) -> dict[str, Any]:
        """For the record."""
        return {} if self.weight is None else {"mask": hashlib.sha256(np.ascontiguousarray(self.weight).tobytes()).hexdigest()}

    def mask(self) -> torch.Tensor | None:
        """[1, 1, R, R] in [0, 1], where the image may change; None without a mask."""
        if self.weight is None:
            return None
        return torch.from_numpy(self.fit.apply((self.weight > 0).astype(np.float32), fill=0.0))[None, None]

    def tensor(self) -> torch.Tensor:
        """[1, 3, R, R] in [-1, 1]."""
        unit = to_unit(self.image.pixels, self.image.range)
        fitted = self.fit.apply(unit, fill=background(unit))
        grey = fitted.ndim == 2
        channels = np.repeat(fitted[None], 3, 0) if grey else np.moveaxis(fitted, -1, 0)
        return torch.from_numpy(np.ascontiguousarray(channels[None], dtype=np.float32)).clamp(-1, 1)

    def back(self, x: torch.Tensor) -> np.ndarray:
        """A picture [1, 3, R, R] in [-1, 1] in the source's own geometry: float32 [H, W] or [H, W, 3] in [-1, 1].

        Outside of a mask it is the source.
        """
        channels = x[0].permute(1, 2, 0).numpy()
        made = self.fit.invert(channels.mean(-1) if self.image.pixels.ndim == 2 else channels)
        if self.weight is None:
            return made
        weight = self._over(made)
        return weight * made + (1 - weight) * to_unit(self.image.pixels, self.image.range)

    def intensities(self, unit: np.ndarray) -> np.ndarray:
        """[-1, 1] -> the unit of the source's pixels; outside of a mask these themselves."""
        values = from_unit(unit, self.image.range)
        return values if self.weight is None else np.where(self._over(unit) > 0, values, self.image.pixels).astype(values.dtype)

    def _over(self, unit: np.ndarray) -> np.ndarray:
        assert self.weight is not None
        return self.weight[..., None] if unit.ndim == 3 else self.weight


def subjects(options: EditOptions, info: Mapping[str, Any], resolution: int) -> list[Subject]:
    """Everything that `edit` was asked to change.

    Raises:
        InputError, OptionError, CohortError: The source cannot be read, or a given attribute is unknown.
    """
    spec = info.get("attributes", {})
    given = dict(prompts.parse_assignment(text, spec) for text in options.given)
    if (options.source / "cohort.json").is_file():
        found = list(_of_cohort(Cohort.load(options.source), options, spec, given, resolution))
    elif options.source.is_dir():
        raise InputError(f"{options.source} is a folder but not a cohort; give one image, or import the folder first")
    else:
        found = list(_of_file(options, info, given, resolution))
    return found if options.mask is None else _masked(found, options)


def _masked(found: Sequence[Subject], options: EditOptions) -> list[Subject]:
    """The subjects with the mask of `--mask`: one for all, or a picture for each.

    Raises:
        InputError: It cannot be read, has another shape than an image, or nothing is inside.
    """
    assert options.mask is not None
    masks = [image.pixels for image in readers.read(options.mask, plane=options.plane, position=options.position, window="full")]
    if len(masks) not in (1, len(found)):
        raise InputError(f"the mask {options.mask} has {len(masks)} pictures for {len(found)} images; give one, or one for each")
    together = zip(found, masks * len(found) if len(masks) == 1 else masks, strict=True)
    return [replace(subject, weight=_weight(mask, subject, options)) for subject, mask in together]


def _weight(mask: np.ndarray, subject: Subject, options: EditOptions) -> np.ndarray:
    """What a change counts [H, W]: it rises from the mask's edge inwards, so that nothing outside is touched."""
    if mask.shape != subject.image.pixels.shape[:2]:
        raise InputError(
            f"the mask {options.mask} has the shape {mask.shape} and image {subject.name} {subject.image.pixels.shape[:2]}; "
            "a mask is a grey picture with the rows and columns of its image"
        )
    if not mask.any():
        raise InputError(f"nothing lies inside the mask {options.mask}: all of it is 0; mark what may change")
    depth = distance_transform_edt(np.pad(mask != 0, 1, mode="edge"))[1:-1, 1:-1]  # 1 at its outermost pixels
    return np.minimum(depth / (options.mask_edge + 1), 1.0).astype(np.float32)


def _of_cohort(
    cohort: Cohort, options: EditOptions, spec: prompts.Spec, given: dict[str, Any], resolution: int
) -> Iterator[Subject]:
    for row in cohort.rows(options.split).head(options.limit).to_dict("records"):
        (image,) = readers.read(cohort.folder / row["file_name"])
        known = prompts.attributes_of(row, spec) | given
        yield Subject(Path(row["file_name"]).stem, image, known, cohort.fit(row, image.pixels, resolution))


def _of_file(options: EditOptions, info: Mapping[str, Any], given: dict[str, Any], resolution: int) -> Iterator[Subject]:
    window = options.window or _constant_window(info)
    images = readers.read(options.source, plane=options.plane, position=options.position, window=window)
    for number, image in enumerate(images[: options.limit]):
        known = prompts.attributes_of(image.attributes, info.get("attributes", {})) | given
        (height, width), (row_mm, col_mm) = image.pixels.shape[:2], image.spacing or (1.0, 1.0)
        yield Subject(f"{number:06d}", image, known, Fit(height, width, resolution, aspect=row_mm / col_mm))


def _constant_window(info: Mapping[str, Any]) -> str | None:
    """The one intensity window that all images of the adapter's cohort had; None where each had its own."""
    low, high = ((info.get("intensity") or {}).get(name) for name in ("window_low", "window_high"))
    if not low or not high or low["low"] != low["high"] or high["low"] != high["high"]:
        return None
    return f"{low['low']:.9g},{high['high']:.9g}"
