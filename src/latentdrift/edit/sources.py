"""What is to be edited: one image file, or the rows of a cohort, with what is known of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

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

    def tensor(self) -> torch.Tensor:
        """[1, 3, R, R] in [-1, 1]."""
        unit = to_unit(self.image.pixels, self.image.range)
        fitted = self.fit.apply(unit, fill=background(unit))
        grey = fitted.ndim == 2
        channels = np.repeat(fitted[None], 3, 0) if grey else np.moveaxis(fitted, -1, 0)
        return torch.from_numpy(np.ascontiguousarray(channels[None], dtype=np.float32)).clamp(-1, 1)

    def back(self, x: torch.Tensor) -> np.ndarray:
        """A picture [1, 3, R, R] in [-1, 1] in the source's own geometry: float32 [H, W] or [H, W, 3] in [-1, 1]."""
        channels = x[0].permute(1, 2, 0).numpy()
        return self.fit.invert(channels.mean(-1) if self.image.pixels.ndim == 2 else channels)

    def intensities(self, unit: np.ndarray) -> np.ndarray:
        """[-1, 1] -> the unit of the source's pixels."""
        return from_unit(unit, self.image.range)


def subjects(options: EditOptions, info: Mapping[str, Any], resolution: int) -> list[Subject]:
    """Everything that `edit` was asked to change.

    Raises:
        InputError, OptionError, CohortError: The source cannot be read, or a given attribute is unknown.
    """
    spec = info.get("attributes", {})
    given = dict(prompts.parse_assignment(text, spec) for text in options.given)
    if (options.source / "cohort.json").is_file():
        return list(_of_cohort(Cohort.load(options.source), options, spec, given, resolution))
    if options.source.is_dir():
        raise InputError(f"{options.source} is a folder but not a cohort; give one image, or import the folder first")
    return list(_of_file(options, info, given, resolution))


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
