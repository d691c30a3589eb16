"""Synthetic images as a cohort: what is to be drawn, and the folder that comes of it, labelled as
synthetic."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image as Pillow

from latentdrift import prompts
from latentdrift.attributes.specification import AttributeValues, Cell, ImageRow
from latentdrift.data.cohort.cohort import Cohort, check_free, write_cohort
from latentdrift.data.images.image_writers import write_png
from latentdrift.data.images.intensity import from_unit
from latentdrift.errors import CohortError, OptionError, ResourceError
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.prompts import composition
from latentdrift.storage import written

log = logging.getLogger(__name__)
REPORTED = 3  # prompts of which is said what was cut off; of more only their number


@dataclass(frozen=True)
class Request:
    """One image to draw."""

    prompt: str
    attributes: AttributeValues = field(default_factory=dict)
    """Attributes from which the prompt was made; they label the image."""
    row: int | None = None
    """Position in metadata.csv of the row that it follows."""
    parts: tuple[composition.Part, ...] = ()
    """Prompts with their weights, where the image is drawn from several."""

    @classmethod
    def of(cls, prompt: str, attributes: AttributeValues | None = None) -> Request:
        """Build a request from a prompt.

        Args:
            prompt: One prompt, or several joined by AND, which are composed.
            attributes: Labels of the image; None: none.
        """
        parts = composition.parts(prompt)
        return cls(prompt, attributes or {}, parts=tuple(parts) if len(parts) > 1 else ())

    @property
    def prompt_or_parts(self) -> str | tuple[composition.Part, ...]:
        """Prompt of the image, or its weighted prompts where several are composed."""
        return self.parts or self.prompt


def follow_prompts(texts: Sequence[str], n: int) -> list[Request]:
    """Requests for n images; image i has prompt i modulo the number of prompts.

    Raises:
        OptionError: There are no prompts.
    """
    if not texts:
        raise OptionError(
            "there is nothing to draw: give `prompt`, `compose` or `interpolate`, or `like=COHORT` "
            "whose table the images follow"
        )
    return [Request.of(texts[i % len(texts)]) for i in range(n)]


def follow_cohort(
    cohort: Cohort,
    split: str | None,
    n: int,
    info: AdapterInfo,
    only: Sequence[int] | None = None,
) -> list[Request]:
    """Requests for n images; image i has the attributes of row i modulo the number of rows.

    Args:
        cohort: Cohort whose table is followed; its images are not read.
        split: Split whose rows are followed; None: all rows.
        n: Number of images.
        info: adapter.json; attributes that it lacks are left out.
        only: Positions of the rows that can be followed; None: all.
    """
    table = cohort.rows(split)
    rows = (table if only is None else table.loc[list(only)]).to_dict("index")
    if not rows:
        raise CohortError(
            f"the {split} split of cohort {cohort.folder} is empty; take another `split`"
        )
    positions = list(rows)
    followed = [positions[i % len(rows)] for i in range(n)]
    requests = follow_rows([rows[position] for position in followed], info)
    return [
        replace(request, row=int(position))
        for request, position in zip(requests, followed, strict=True)
    ]


def follow_rows(rows: Sequence[ImageRow], info: AdapterInfo) -> list[Request]:
    """Requests for images, one for each row of a cohort's table.

    Args:
        rows: Rows by column name.
        info: adapter.json; gives the words of the prompts and the attributes.
    """
    manner = info.prompt.manner()
    spec = info.attributes
    requests = []
    for i, row in enumerate(rows):
        text = manner.words(info.describe, row, spec, i, learned=info.describe != info.pictures)
        requests.append(Request(text, prompts.attributes_of(row, spec)))
    return requests


def readable(requests: Sequence[Request], cut: Callable[[str], str]) -> list[Request]:
    """Cut prompts after the last word that the text encoder reads; a warning says what is cut off.

    Args:
        requests: Requests with prompts of any length.
        cut: `Base.readable`.
    """
    every = dict.fromkeys(
        text for request in requests for text, _ in request.parts or ((request.prompt, 1.0),)
    )
    read = {text: cut(text) for text in every}
    long = [text for text in read if text != read[text]]
    for text in long[:REPORTED]:
        dropped = " ".join(text.split()[len(read[text].split()) :])
        log.warning(
            "the prompt '%s' is longer than the text encoder reads: '%s' is dropped", text, dropped
        )
    if long[REPORTED:]:
        log.warning("the ends of %d further prompts are dropped, too", len(long[REPORTED:]))
    cut_to = [tuple((read[text], weight) for text, weight in request.parts) for request in requests]
    return [
        replace(
            request,
            prompt=composition.compose(parts) if parts else read[request.prompt],
            parts=parts,
        )
        for request, parts in zip(requests, cut_to, strict=True)
    ]


@dataclass(frozen=True)
class ImageStore:
    """`.<out>.partial/`: the images drawn so far, so that an interrupted run goes on; the cohort
    appears whole or not at all."""

    out: Path
    folder: Path

    @classmethod
    def open(cls, out: Path, settings: Mapping[str, Any]) -> ImageStore:
        """Continue an interrupted run with equal settings, or begin a new one.

        Args:
            out: Folder of the cohort, which must be free.
            settings: JSON values that determine the images.

        Raises:
            CohortError: `out` is in use, or images that an earlier gate removed lie beside it.
        """
        check_free(out)
        folder = _unfinished(out)
        key = cls.key(settings)
        if not (folder / key).is_file():
            check_free(quarantine(out))
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / key).touch()
        return cls(out, folder)

    @staticmethod
    def key(settings: Mapping[str, Any]) -> str:
        """Hash of the settings that determine the images."""
        return hashlib.sha256(
            json.dumps(dict(settings), sort_keys=True, default=str).encode()
        ).hexdigest()

    @staticmethod
    def finished(out: Path) -> Cohort:
        """Cohort that an equal command has already finished; temporary files are deleted."""
        shutil.rmtree(_unfinished(out), ignore_errors=True)
        return Cohort.load(out)

    def missing(self, requests: Sequence[Request]) -> dict[int, str | tuple[composition.Part, ...]]:
        """Images that are not stored yet: index -> prompt or weighted prompts."""
        return {
            i: request.prompt_or_parts
            for i, request in enumerate(requests)
            if not self._path(i).exists()
        }

    def keep(self, index: int, picture: np.ndarray, *, colour: bool, depth: int = 8) -> None:
        """Store an image.

        Args:
            index: Index of the image.
            picture: [R, R, 3] in [-1, 1].
            colour: Whether to store colour; grey is the mean of the channels.
            depth: Bits of each value, 8 or 16.

        Raises:
            ResourceError: Its pixels are not finite.
        """
        if not np.isfinite(picture).all():
            raise ResourceError(
                f"image {index} came out as no numbers: those of the network overflowed. Draw with "
                "`precision=fp32`, or with a lower `guidance`"
            )
        kind = np.uint16 if depth == 16 else np.uint8
        values = from_unit(
            picture if colour else picture.mean(-1), (0.0, float(np.iinfo(kind).max)), kind
        )
        with written(self._path(index)) as aside:
            write_png(aside, values, synthetic=True)

    def pictures(self, number: int) -> np.ndarray:
        """First stored images, uint8 [number, R, R, 3]; 16 bits are reduced to 8, grey is
        repeated."""
        stored = [_eight_bits(self._read(index)) for index in range(number)]
        return np.stack(
            [np.broadcast_to(x if x.ndim == 3 else x[..., None], (*x.shape[:2], 3)) for x in stored]
        )

    def publish(
        self,
        requests: Sequence[Request],
        info: Mapping[str, Any],
        seed: int,
        mask: Callable[[int], np.ndarray] | None = None,
        held_back: Mapping[int, ImageRow] | None = None,
        finish: Callable[[Path], object] | None = None,
    ) -> Cohort:
        """The cohort: every image is its own patient, and all say that they are synthetic; beside
        each its `mask`, if any.

        Args:
            requests: All that was drawn.
            info: Content of cohort.json.
            seed: Seed of the images.
            mask: Index -> mask.
            held_back: Index -> reasons, by column of the quarantine's table. These images go to
                `quarantine(out)`, and not into the cohort.
            finish: Writes further files into the folder before it appears.

        Raises:
            CohortError: All are held back.
        """
        apart = held_back or {}
        published = [index for index in range(len(requests)) if index not in apart]
        self._set_apart(requests, seed, apart)
        if not published:
            shutil.rmtree(self.folder)
            raise CohortError(
                f"all {len(requests)} images are copies of training images and lie in "
                f"{quarantine(self.out)}: no cohort was made. The adapter has learned its images "
                "by heart; fit it again with fewer `steps`, `patience`, or more images"
            )
        about = {
            **info,
            "synthetic": True,
            "kept": ("prompt", "seed", "index", *["mask"] * bool(mask)),
        }
        rows = ((self._read(i), _row(requests[i], i, seed)) for i in published)
        cohort = write_cohort(
            self.out, rows, about, (lambda place: mask(published[place])) if mask else None, finish
        )
        shutil.rmtree(self.folder)
        return cohort

    def _set_apart(
        self, requests: Sequence[Request], seed: int, why: Mapping[int, ImageRow]
    ) -> None:
        """The folder of what is held back, whole or not at all; none where that is nothing."""
        place = quarantine(self.out)
        shutil.rmtree(place, ignore_errors=True)
        if not why:
            return
        aside = self.folder / "quarantine"
        shutil.rmtree(aside, ignore_errors=True)
        (aside / "images").mkdir(parents=True)
        rows = []
        for index, reasons in why.items():
            name = f"images/{self._path(index).name}"
            shutil.copy2(self._path(index), aside / name)
            rows.append({"file_name": name, **_row(requests[index], index, seed), **reasons})
        pd.DataFrame(rows).to_csv(aside / "quarantine.csv", index=False, lineterminator="\n")
        aside.replace(place)

    def _read(self, index: int) -> np.ndarray:
        with Pillow.open(self._path(index)) as picture:
            return np.asarray(picture)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.png"


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    """Convert 16 bits to the nearest of 8, whose steps are 257 wide."""
    return picture if picture.dtype == np.uint8 else np.rint(picture / 257).astype(np.uint8)


def _row(request: Request, index: int, seed: int) -> dict[str, Cell]:
    labels = {
        name: "|".join(value) if isinstance(value, list) else value
        for name, value in request.attributes.items()
    }
    return {
        **labels,
        "patient": f"synthetic-{index:06d}",
        "prompt": request.prompt,
        "seed": seed,
        "index": index,
    }


def _unfinished(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial")


def quarantine(out: Path) -> Path:
    """Folder of images that the gate held back: beside the cohort `out`, so it is not taken for a
    part of it."""
    return out.with_name(f"{out.name}-quarantine")


def contact_sheet(pictures: Iterable[np.ndarray], columns: int = 8) -> np.ndarray:
    """Arrange images in rows.

    Args:
        pictures: uint8 [H, W] or [H, W, 3], all of one size, at least one.
        columns: Images in a row.

    Returns:
        uint8 [., ., 3].
    """
    tiles = [np.repeat(p[..., None], 3, -1) if p.ndim == 2 else p for p in pictures]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % min(columns, len(tiles)))
    wide = min(columns, len(tiles))
    return np.concatenate(
        [np.concatenate(tiles[i : i + wide], axis=1) for i in range(0, len(tiles), wide)]
    )
