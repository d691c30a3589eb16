"""Registration of later visits onto each patient's first one, as `latentdrift import --register`
does it.

START READING AT `register_visits`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from latentdrift.attributes.specification import Cell, ImageRow
from latentdrift.data.cohort.cohort import COLUMNS
from latentdrift.data.cohort.visits import first_visits
from latentdrift.data.images.image_writers import write_png
from latentdrift.data.images.thumbnails import pixel_hash
from latentdrift.data.importing import isolation
from latentdrift.data.importing.staging import Staging
from latentdrift.data.registration import columns
from latentdrift.data.registration.columns import UNREGISTERED
from latentdrift.data.registration.intensities import gain
from latentdrift.data.registration.registration import register, resample
from latentdrift.data.registration.transforms import Grid, to_text
from latentdrift.progress import ProgressCallback
from latentdrift.storage import write_text, written

log = logging.getLogger(__name__)
CALIBRATED = ("CT",)
"""Modalities whose intensities mean the same in all images, so that they are not matched."""


@dataclass(frozen=True)
class Pair:
    """A later visit and the first one, as rows of metadata.csv."""

    first: ImageRow
    later: ImageRow


@dataclass(frozen=True)
class RegisteredVisit:
    """Registration of a later visit."""

    transform: str
    """From the first visit's image to the later one's, see `transforms.to_text`."""
    gain: float
    """Factor of the intensities."""
    before: float
    after: float
    """Normalised correlation with the first visit before and after."""
    problem: str | None
    """Reason why the image stayed as it was; None: it was registered."""
    sha256: str | None
    """Hash of the registered pixels; None: there are none."""

    def cells(self, file_name: str, first: ImageRow) -> dict[str, Cell]:
        """Cells of the visit's row.

        Args:
            file_name: Its image.
            first: Row of the first visit, whose pixels a registered image has.
        """
        measured: dict[str, Cell] = {
            columns.STATUS: (
                f"{columns.FAILED}: {self.problem}" if self.problem else columns.REGISTERED
            ),
            columns.TRANSFORM: self.transform,
            columns.GAIN: round(self.gain, 4),
            columns.BEFORE: round(self.before, 4),
            columns.AFTER: round(self.after, 4),
        }
        if self.sha256 is None:
            return measured
        spacing = {name: first.get(name) for name in ("row_mm", "col_mm")}
        own: dict[str, Cell] = {"sha256": self.sha256, UNREGISTERED: _original(file_name)}
        return measured | spacing | own


def register_visits(
    folder: Path,
    rows: Sequence[ImageRow],
    kind: str,
    workers: int,
    staging: Staging,
    progress: ProgressCallback | None = None,
) -> list[dict[str, Cell]]:
    """Register the images of later visits onto the patient's first one in the same view.

    A registered image takes the place of the original, which goes to `unregistered/`.

    Args:
        folder: Folder of an unfinished cohort, with its images.
        rows: Its rows, in order.
        kind: Row of `transforms.KINDS`.
        workers: Pairs registered at a time.
        staging: Unfinished work; results are kept there, so an interrupted registration goes on.
        progress: Called with (pairs done, all); None: not called.

    Returns:
        The rows with the columns of `registration/columns.py`.
    """
    table = pd.DataFrame(list(rows))
    first = first_visits(table.reindex(columns=[*COLUMNS, *table.columns.difference(COLUMNS)]))
    pairs = {
        str(rows[late]["file_name"]): Pair(rows[early], rows[late]) for late, early in first.items()
    }
    if not pairs:
        log.warning(
            "Nothing was registered: no patient has two visits in one view whose order is known by "
            "`days`, `visit` or `age`."
        )
        return [dict(row) for row in rows]
    (folder / UNREGISTERED).mkdir(exist_ok=True)
    sizes = [(name, (folder / name).stat().st_size) for name in pairs]
    read = partial(_answer, folder, staging.pixels(""), pairs, kind)
    done: dict[str, RegisteredVisit] = {}
    for name, answer in isolation.each(read, sizes, workers):
        done[name] = _visit(answer)
        if progress:
            progress(len(done), len(pairs))
    for name, visit in done.items():
        if visit.sha256:
            (folder / name).rename(folder / _original(name))
            staging.place(_staged(name), folder / name)
    references = {pair.first["file_name"] for pair in pairs.values()}
    return [
        {**row, **done[name].cells(name, pairs[name].first)}
        if (name := str(row["file_name"])) in done
        else {**row, columns.STATUS: columns.REFERENCE if name in references else None}
        for row in rows
    ]


def _staged(file_name: str) -> str:
    """Name of a registered image among the staged ones."""
    return f"registered-{Path(file_name).name}"


def _original(file_name: str) -> str:
    """Path of an image before registration."""
    return f"{UNREGISTERED}/{Path(file_name).name}"


def _visit(answer: Any) -> RegisteredVisit:
    """Result of a pair; a process that ended early is a failure."""
    if isinstance(answer, isolation.Lost):
        return RegisteredVisit("", 1.0, np.nan, np.nan, answer.finding, None)
    return RegisteredVisit(**answer)


def _answer(
    folder: Path, staged: Path, pairs: Mapping[str, Pair], kind: str, name: str
) -> dict[str, Any]:
    """Register a pair, or read what an interrupted call left, in a process of its own."""
    target = staged / _staged(name)
    stored = target.with_suffix(".json")
    if stored.is_file():
        known: dict[str, Any] = json.loads(stored.read_text(encoding="utf-8"))
        return known
    answer = asdict(_registered(folder, target, pairs[name], kind))
    write_text(stored, json.dumps(answer))
    return answer


def _registered(folder: Path, target: Path, pair: Pair, kind: str) -> RegisteredVisit:
    """Register a pair, and write the registered image."""
    fixed, moving = (_pixels(folder, row) for row in (pair.first, pair.later))
    grids = grid_of(pair.first, fixed), grid_of(pair.later, moving)
    found = register(_grey(fixed), _grey(moving), grids, kind)
    problem = found.problem(grids[0])
    if problem is not None:
        return RegisteredVisit(
            to_text(found.transform), 1.0, found.before, found.after, problem, None
        )
    lying = resample(moving, found.transform, grids)
    scale = _Scale.of(pair.later, moving)
    factor = 1.0
    if moving.ndim == 2 and not is_calibrated(pair.later):
        factor = gain(_Scale.of(pair.first, fixed).intensities(fixed), scale.intensities(lying))
        lying = scale.stored(factor * scale.intensities(lying))
    pixels = np.rint(lying.clip(0, scale.full)).astype(moving.dtype)
    with written(target) as aside:
        write_png(aside, pixels, synthetic=False)
    return RegisteredVisit(
        to_text(found.transform), factor, found.before, found.after, None, pixel_hash(pixels)
    )


def _pixels(folder: Path, row: ImageRow) -> np.ndarray:
    with Image.open(folder / str(row["file_name"])) as picture:
        return np.asarray(picture)


def is_calibrated(row: ImageRow) -> bool:
    """Whether intensities mean the same in all images of a row's modality."""
    return row.get("modality") in CALIBRATED


def _grey(pixels: np.ndarray) -> np.ndarray:
    return pixels.mean(-1) if pixels.ndim == 3 else pixels


def grid_of(row: ImageRow, pixels: np.ndarray) -> Grid:
    """Pixels of an image; without a spacing each is 1 mm.

    Args:
        row: Its row.
        pixels: [H, W] or [H, W, 3].
    """
    height, width = pixels.shape[:2]
    return Grid((height, width), (_number(row, "row_mm", 1.0), _number(row, "col_mm", 1.0)))


@dataclass(frozen=True)
class _Scale:
    """Meaning of stored values: 0 is the intensity `low`, and `full` is `high`."""

    low: float
    high: float
    full: float

    @classmethod
    def of(cls, row: ImageRow, pixels: np.ndarray) -> _Scale:
        full = float(np.iinfo(pixels.dtype).max)
        return cls(_number(row, "window_low", 0.0), _number(row, "window_high", full), full)

    def intensities(self, stored: np.ndarray) -> np.ndarray:
        """Intensities of stored values."""
        return self.low + stored / self.full * (self.high - self.low)

    def stored(self, intensities: np.ndarray) -> np.ndarray:
        """Stored values of intensities, not rounded."""
        return (intensities - self.low) / (self.high - self.low) * self.full


def _number(row: ImageRow, name: str, default: float) -> float:
    """Number of a cell; the default where it is empty."""
    cell = row.get(name)
    return default if cell is None or pd.isna(cell) else float(cell)
