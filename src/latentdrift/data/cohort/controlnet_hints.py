"""HINTS: what a ControlNet is shown beside noise and text, made from a cohort in the geometry of
its images, never flipped.

A hint picture is float32 [C, R, R] in [0, 1], where R is the model's square; C is 1 where it is
grey, else 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from latentdrift.data.cohort import masks
from latentdrift.data.cohort.cohort import Cohort, background
from latentdrift.data.cohort.visits import previous
from latentdrift.data.images import image_readers
from latentdrift.data.images.image import Plane
from latentdrift.data.images.intensity import to_unit
from latentdrift.data.images.letterbox import Fit
from latentdrift.errors import CohortError, InputError, OptionError, unknown
from latentdrift.record import sha256

SIGMA = 1.0  # pixels of smoothing before edges are looked for (scikit-image's default)
THRESHOLDS = (
    0.1,
    0.2,
)  # of the gradient, weak and strong edges, where pixels are in [0, 1] (scikit-image's default)


@dataclass(frozen=True)
class Kind:
    """A row of HINTS."""

    summary: str
    sources: Callable[[Hint, Cohort], dict[int, int]]
    """Position of an image -> position of the row that its hint is made from; images that have no
    hint are left out."""
    make: Callable[[np.ndarray], np.ndarray] | None
    """Function from an image [C, R, R] in [0, 1] to the hint; None where the hint is made from the
    image's mask."""
    colour: bool = False
    """Whether a hint has as many channels as the cohort's images."""

    @property
    def needs_column(self) -> bool:
        """Whether a hint of this kind needs a column that names mask files."""
        return self.make is None


@dataclass(frozen=True)
class HintSource:
    """Hint of one image for a record."""

    hint: str
    """The hint, as the option `hint` writes it."""
    sha256: str | None
    """Hash of its file; None where it is made from the image."""


@dataclass(frozen=True)
class Hint:
    """A kind of hint, and what it takes to make it alike for other cohorts."""

    kind: str
    column: str | None = None
    """Column of the cohort that names a mask file per image."""
    labels: tuple[int, ...] = ()
    """Values other than 0 of all masks that were trained on; they become evenly spread grey levels
    up to 1."""

    @classmethod
    def parse(cls, text: str) -> Hint:
        """Parse the option `hint`: `edges`, `mask=COLUMN` or `earlier`.

        Raises:
            OptionError: An unknown row of HINTS, or a column that is missing or not needed.
        """
        kind, _, column = text.partition("=")
        if kind not in HINTS:
            raise unknown("hint", kind, HINTS)
        if HINTS[kind].needs_column != bool(column):
            right = (
                f"{kind}=COLUMN, with a column of the cohort"
                if HINTS[kind].needs_column
                else f"{kind} alone"
            )
            raise OptionError(f"`hint={text}` is not understood; write {right}")
        return cls(kind, column or None)

    @classmethod
    def of(cls, text: str, cohort: Cohort) -> Hint:
        """Parse the option `hint`, and find the labels of the cohort's masks.

        Args:
            text: See `parse`.
            cohort: The cohort.

        Raises:
            OptionError: As `parse`, or the cohort has no such column.
            CohortError: A mask is missing, damaged or of another shape than its image, or all are
                empty.
        """
        hint = cls.parse(text)
        if hint.column is None:
            return hint
        counts = masks.check_labels(cohort, hint.column, list(hint.sources(cohort)))
        labels = tuple(label for label in counts if label != 0)
        if not labels:
            raise CohortError(
                f"no mask that column {hint.column} of cohort {cohort.folder} names has anything "
                "but 0 in it"
            )
        return cls(hint.kind, hint.column, labels)

    def to_dict(self) -> dict[str, Any]:
        """Content for adapter.json."""
        return {**asdict(self), "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Hint:
        """Build the hint from `to_dict`."""
        return cls(stored["kind"], stored["column"], tuple(stored["labels"]))

    def __str__(self) -> str:
        """Text of the option that gives this hint."""
        return self.kind if self.column is None else f"{self.kind}={self.column}"

    def sources(self, cohort: Cohort) -> dict[int, int]:
        """Position of an image -> position of the row that its hint is made from.

        Images without a hint are left out.
        """
        return HINTS[self.kind].sources(self, cohort)

    def picture(self, cohort: Cohort, source: int, resolution: int) -> np.ndarray:
        """Make a hint from a row of a cohort.

        Args:
            cohort: The cohort.
            source: Position of the row, from `sources`.
            resolution: R, pixels on a side.

        Returns:
            float32 [C, R, R] in [0, 1]; C is 1 or 3.

        Raises:
            CohortError: Image or mask cannot be read, or the mask has a label that was not trained
                on.
        """
        make = HINTS[self.kind].make
        return (
            self._of_mask(cohort, source, resolution)
            if make is None
            else make(_picture(cohort, source, resolution))
        )

    def of_picture(self, picture: np.ndarray) -> np.ndarray:
        """Make a hint from an image that is in no cohort.

        Args:
            picture: [C, R, R] in [0, 1].

        Returns:
            [C, R, R] in [0, 1].

        Raises:
            OptionError: The hint is made from a mask.
        """
        make = HINTS[self.kind].make
        if make is None:
            raise OptionError(
                f"a hint '{self}' is made from a mask, which a picture alone has not; give it with "
                "`hint_image=FILE`"
            )
        return make(picture)

    def _of_mask(self, cohort: Cohort, source: int, resolution: int) -> np.ndarray:
        """A row's mask: 0 outside, the labels evenly spread up to 1."""
        mask = masks.fitted(cohort, source, str(self.column), resolution)
        other = sorted({*np.unique(mask).tolist()} - {0, *self.labels})
        if other:
            name = cohort.rows()[str(self.column)].iloc[source]
            raise CohortError(
                f"the mask {cohort.folder / name} has the label {other[0]}, and masks that were "
                f"trained on have 0, {', '.join(map(str, self.labels))}; write it with those labels"
            )
        return _spread(mask, self)

    def mask(self, cohort: Cohort, source: int, resolution: int) -> np.ndarray:
        """Mask of a row on the model's square, with its labels: uint8 or uint16 [R, R].

        Args:
            cohort: The cohort.
            source: Position of the row.
            resolution: R, pixels on a side.

        Raises:
            CohortError: It cannot be read, or has another shape than its image.
        """
        return masks.fitted(cohort, source, str(self.column), resolution).astype(
            np.uint8 if max(self.labels) < 256 else np.uint16
        )

    def channels(self, cohort: Cohort, sources: Sequence[int]) -> int:
        """Channels of the hints of these rows: 1 if all are grey, else 3."""
        return (
            3
            if HINTS[self.kind].colour and any(_is_colour(cohort, source) for source in sources)
            else 1
        )

    def fingerprint(self, cohort: Cohort, sources: Sequence[int]) -> list[str]:
        """SHA-256 of each file that the hints of these rows are made from."""
        rows = cohort.rows().iloc[list(sources)]
        if self.column is None:
            return list(rows["sha256"])
        return [sha256(cohort.folder / name) for name in rows[self.column]]


def from_file(
    path: Path,
    resolution: int,
    hint: Hint,
    *,
    beside: Fit | None = None,
    plane: Plane | None = None,
    position: str = "50%",
) -> np.ndarray:
    """A picture file as a hint, padded and resized as images are, float32 [C, R, R] in [0, 1].

    For a ControlNet of masks, a file with nothing but labels that it was trained on is a mask, and
    gets their grey levels.

    Args:
        path: A picture, or a volume.
        resolution: R.
        hint: Hint that the ControlNet was trained with.
        beside: Of an image that it belongs to: with the same rows and columns it lies where the
            image does.
        plane: Plane of the slice, for a volume.
        position: The same.

    Raises:
        InputError: It cannot be read, or holds several pictures.
    """
    images = image_readers.read(path, plane=plane, position=position)
    if len(images) > 1:
        raise InputError(f"{path} holds {len(images)} pictures; a hint is one")
    pixels, (row_mm, col_mm) = images[0].pixels, images[0].spacing or (1.0, 1.0)
    fit = Fit(pixels.shape[0], pixels.shape[1], resolution, aspect=row_mm / col_mm)
    if beside is not None and (beside.height, beside.width) == pixels.shape[:2]:
        fit = beside
    if hint.labels and pixels.ndim == 2 and np.isin(pixels, (0, *hint.labels)).all():
        return _spread(masks.sampled(pixels.astype(np.int64), fit), hint)
    unit = to_unit(pixels, images[0].range)
    return _positive(fit.apply(unit, fill=background(unit)))


def _positive(picture: np.ndarray) -> np.ndarray:
    """[R, R] or [R, R, 3] in [-1, 1] -> [C, R, R] in [0, 1]."""
    channels = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
    return np.clip((channels + 1) / 2, 0, 1).astype(np.float32)


def _is_colour(cohort: Cohort, position: int) -> bool:
    with Pillow.open(cohort.folder / cohort.rows()["file_name"].iloc[position]) as picture:
        return picture.mode == "RGB"


def _own(hint: Hint, cohort: Cohort) -> dict[int, int]:
    return {position: position for position in range(len(cohort.rows()))}


def _masked(hint: Hint, cohort: Cohort) -> dict[int, int]:
    return {
        position: position for position in masks.positions(cohort, str(hint.column), "hint=mask")
    }


def _earlier(hint: Hint, cohort: Cohort) -> dict[int, int]:
    return previous(cohort.rows())


def _picture(cohort: Cohort, position: int, resolution: int) -> np.ndarray:
    """The picture of a row."""
    channels = cohort.batch(cohort.rows().iloc[[position]], resolution)[0]
    return _positive(np.moveaxis(channels, 0, -1) if _is_colour(cohort, position) else channels[0])


def _itself(picture: np.ndarray) -> np.ndarray:
    return picture


def _edges(picture: np.ndarray) -> np.ndarray:
    """Its edges, 1 on 0 (Canny 1986, by scikit-image)."""
    from skimage.feature import canny

    low, high = THRESHOLDS
    result: np.ndarray = canny(
        picture.mean(0), sigma=SIGMA, low_threshold=low, high_threshold=high
    )[None].astype(np.float32)
    return result


def _spread(mask: np.ndarray, hint: Hint) -> np.ndarray:
    """Labels [R, R] -> grey levels [1, R, R]."""
    return (np.searchsorted(np.array((0, *hint.labels)), mask) / len(hint.labels))[None].astype(
        np.float32
    )


HINTS: dict[str, Kind] = {
    "edges": Kind("the edges of the image itself", _own, _edges),
    "mask": Kind("a mask of it, which a column of the cohort names", _masked, None),
    "earlier": Kind(
        "the picture of the same patient's visit before", _earlier, _itself, colour=True
    ),
}
