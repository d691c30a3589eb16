"""A blinded reader study: can people tell synthetic images from real ones?

Pictures of both kinds, shuffled, as one HTML page that works without a network; the answers leave
it as a CSV file, which reader_score.py reads.

Nothing on the page tells the kinds apart but the pictures: all of one size, grey or colour alike, 8
bit, written anew without metadata, numbered after shuffling. The key lies in another file. At most
one picture of a real patient is shown, so that answers are independent.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.strips import pixels
from latentdrift.evaluate.statistics.bootstrap import rng
from latentdrift.storage import write_text

Kind = Literal["real", "synthetic"]
KINDS: tuple[Kind, ...] = get_args(Kind)
COLUMNS = ("study", "item", "answer", "confidence", "seconds")
FORMAT: Literal[1] = 1  # of the key


@dataclass(frozen=True)
class Item:
    """A picture of the study."""

    kind: Kind
    picture: np.ndarray
    """uint8 [H, W, 3]."""
    name: str
    group: str | None
    """The value of the attribute by which answers are also counted."""


class KeyItem(BaseModel):
    """Truth about a picture of the study."""

    model_config = ConfigDict(frozen=True)

    item: int
    """Number on the page, from 1."""
    kind: Kind
    name: str
    group: str | None


class StudyKey(BaseModel):
    """Content of the key file."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = FORMAT
    study: str
    seed: int
    by: str | None
    """Attribute of the groups."""
    items: list[KeyItem]

    @property
    def truth(self) -> dict[int, Kind]:
        """Kind of each item."""
        return {item.item: item.kind for item in self.items}


def choose(
    real: EvaluationImages, synthetic: EvaluationImages, n: int, by: str | None, seed: int
) -> list[Item]:
    """n pictures of each kind in the order in which they are shown.

    Args:
        real, synthetic: Pictures of one size.
        n: Number of images of each kind.
        by: An attribute of both, of whose values the synthetic pictures get as many as the real
            ones where they can.
        seed: Seed of the choice and of the order.

    Raises:
        OptionError: `by` is no attribute of both.
        InputError: Fewer than n patients or pictures, or pictures of two sizes.
    """
    if real.images.shape[1:] != synthetic.images.shape[1:]:
        raise InputError(
            "real and synthetic images differ in size, which would reveal which is which; "
            "give sets of one size"
        )
    source = rng(seed, "reader")
    ours = _one_each(real, source)
    if min(len(ours), len(synthetic)) < n:
        raise InputError(
            f"{n} images of each kind are requested, but there are {len(ours)} real "
            f"patients and {len(synthetic)} synthetic images; give a smaller `n`, or "
            "`split=train`"
        )
    words = [
        _values(images, by, whose) for images, whose in ((real, "real"), (synthetic, "synthetic"))
    ]
    chosen = ours[:n]
    theirs = _alike([words[0][place] for place in chosen], words[1], source)
    items = [
        Item(KINDS[0], pixels(real.images[place]), real.names[place], words[0][place])
        for place in chosen
    ]
    items += [
        Item(KINDS[1], pixels(synthetic.images[place]), synthetic.names[place], words[1][place])
        for place in theirs
    ]
    return [items[place] for place in source.permutation(len(items))]


def _one_each(real: EvaluationImages, source: np.random.Generator) -> list[int]:
    """One picture of each patient, by chance and in no order."""
    order = source.permutation(len(real))
    seen = set()
    chosen = []
    for place in order.tolist():
        whose = place if real.patients is None else real.patients[place]
        if whose not in seen:
            seen.add(whose)
            chosen.append(place)
    return chosen


def _values(images: EvaluationImages, by: str | None, whose: str) -> list[str | None]:
    if by is None:
        return [None] * len(images)
    if images.attributes is None or by not in images.attributes:
        raise OptionError(
            f"`by={by}`: the {whose} images have no such attribute; give one that both have"
        )
    return [None if pd.isna(value) else str(value) for value in images.attributes[by]]


def _alike(
    wanted: Sequence[str | None], have: Sequence[str | None], source: np.random.Generator
) -> list[int]:
    """Places of the wanted number of images, of the same values where there are any left, else of
    others."""
    left = source.permutation(len(have)).tolist()
    chosen: list[int] = []
    for value in wanted:
        place = next((place for place in left if have[place] == value), left[0])
        left.remove(place)
        chosen.append(place)
    return chosen


def write_study(out: Path, items: Sequence[Item], key: Path, *, by: str | None, seed: int) -> str:
    """Write `study.html`, and the key.

    Args:
        out: Folder of the page.
        items: Images in the order in which they are shown.
        key: File of the key, not in `out`.
        by: Attribute of the groups; None: no groups.
        seed: Seed of the study, which enters the key.

    Returns:
        Name of the study.

    Raises:
        InputError: As `study_files`.
    """
    study, files = study_files(out, items, key, by=by, seed=seed)
    for path, text in files.items():
        write_text(path, text)
    return study


def study_files(
    out: Path, items: Sequence[Item], key: Path, *, by: str | None, seed: int
) -> tuple[str, dict[Path, str]]:
    """Content of `study.html` and of the key, after a check that both can be written.

    Args:
        out: Folder of the page.
        items: Images in the order in which they are shown.
        key: File of the key, not in `out`.
        by: Attribute of the groups; None: no groups.
        seed: Seed of the study, which enters the key.

    Returns:
        Name of the study, and path -> text.

    Raises:
        InputError: The key would lie beside the page, or another study exists there.
    """
    if key.resolve().parent == out.resolve():
        raise InputError(
            f"the key {key} would lie beside the page that readers get; give another `key`"
        )
    sources = [_png(item.picture) for item in items]
    study = hashlib.sha256("".join(sources).encode()).hexdigest()[:12]
    truth = [
        KeyItem(item=place, kind=item.kind, name=item.name, group=item.group)
        for place, item in enumerate(items, 1)
    ]
    contents = StudyKey(study=study, seed=seed, by=by, items=truth).model_dump()
    files = {key: json.dumps(contents, indent=1) + "\n", out / "study.html": _page(study, sources)}
    for path, text in files.items():
        if (
            path.exists() and path.read_text(encoding="utf-8") != text
        ):  # the same is of the same command, stopped or not
            raise InputError(
                f"{path} is there already, and answers belong to one study; give another `out` or "
                "`key`"
            )
    return study, files


def _png(picture: np.ndarray) -> str:
    """A picture as a data URI; grey ones as grey, whatever they were."""
    from PIL import Image

    grey = bool((picture == picture[..., :1]).all())
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if grey else picture).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _page(study: str, sources: Sequence[str]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("latentdrift.evaluate.reader_study", "")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("reader.jinja").render(
        study=study, sources=sources, columns=COLUMNS
    )
