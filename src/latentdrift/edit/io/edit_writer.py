"""A counterfactual on disk: pictures and maps of their difference in the source's own geometry and
format, and what made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image as Pillow
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from latentdrift.attributes.specification import Cell
from latentdrift.data.cohort.cohort import background
from latentdrift.data.images.dicom.uids import Uids
from latentdrift.data.images.dicom.writer import SESSION
from latentdrift.data.images.image_writers import write_like, write_png
from latentdrift.data.images.intensity import from_unit, to_unit
from latentdrift.data.images.letterbox import Fit
from latentdrift.edit.io.counterfactual import Counterfactual
from latentdrift.edit.io.edit_facts import EditFacts
from latentdrift.edit.io.edit_inputs import Subject
from latentdrift.errors import InputError, ResourceError
from latentdrift.record import NAME, versions
from latentdrift.storage import folder_written, read_model, write_text

SCALE = 0.5
"""Share of the intensity range at which a map's colours end unless its largest value is smaller;
ours."""

MAX_QUANTILE = 0.99
SMALL_CHANGE = 0.02
"""An edit did as good as nothing where this share of the pixels changed by less than this share of
the intensity range; ours."""

MAX_DESCRIPTION = 1024
"""Characters of a Derivation Description (PS3.5 table 6.2-1, ST)."""

BEFORE = {True: "original", False: "reconstruction"}
"""Whether a counterfactual has the image's own detail -> the picture that it differs from by the
change alone."""


REQUIRED_FILES = (
    "original.png",
    "reconstruction.png",
    "counterfactual.png",
    "difference.png",
    "absolute.png",
)
"""Files that every edit has. A record of an earlier version names no files."""


class WrittenRecord(BaseModel):
    """Record of an edit on disk: its files, and the facts as they are written."""

    model_config = ConfigDict(extra="allow", frozen=True)

    files: tuple[str, ...] = REQUIRED_FILES

    @classmethod
    def read(cls, folder: Path) -> WrittenRecord | None:
        """Read the record of the edit in a folder; None where it is missing or damaged."""
        try:
            return read_model(folder / NAME, cls, InputError, "edit record", "make the edit again")
        except InputError:
            return None

    def differing(self, facts: EditFacts) -> list[str]:
        """Names of the facts that differ from the recorded ones."""
        recorded = self.model_extra or {}
        wanted = json.loads(json.dumps(facts.to_dict(), default=str))
        return [name for name, value in wanted.items() if recorded.get(name) != value]


def is_complete(folder: Path, facts: EditFacts) -> bool:
    """Whether a folder holds the edit that these facts describe, with every file of its record."""
    record = WrittenRecord.read(folder)
    return (
        record is not None
        and not record.differing(facts)
        and all((folder / name).is_file() for name in record.files)
    )


def differing(folder: Path, facts: EditFacts) -> list[str]:
    """Names of the facts that differ from the edit in a folder.

    Args:
        folder: Folder of the edit.
        facts: Everything that determines the edit.

    Returns:
        The names; empty where there is no edit, its record is damaged, or none differs.
    """
    record = WrittenRecord.read(folder)
    return [] if record is None else record.differing(facts)


def on_square(path: Path, fit: Fit) -> np.ndarray:
    """Read a picture of an edit on the model's square, [R, R, 3] in [0, 1].

    Args:
        path: The PNG.
        fit: Crop and scale of its source.
    """
    with Pillow.open(path) as picture:
        unit = to_unit(np.asarray(picture), (0.0, 255.0))
    square = (fit.apply(unit, fill=background(unit)) + 1) / 2
    return (
        (np.repeat(square[..., None], 3, -1) if square.ndim == 2 else square)
        .clip(0, 1)
        .astype(np.float32)
    )


def quarantine(out: Path) -> Path:
    """Folder of counterfactuals that the gate held back: beside `out`, so it is not taken for a
    part of it."""
    return out.with_name(f"{out.name}-quarantine")


def hold_back(out: Path, why: Mapping[str, Mapping[str, Cell]]) -> None:
    """Move counterfactuals out of `out`, and add a line for each to `quarantine.csv`.

    Args:
        out: The folder of all.
        why: Name -> reasons by column of the table.
    """
    place = quarantine(out)
    for name, reasons in why.items():
        place.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(place / name, ignore_errors=True)
        shutil.move(out / name, place / name)
        table = place / "quarantine.csv"
        pd.DataFrame([{"folder": name, **reasons}]).to_csv(
            table, mode="a", header=not table.exists(), index=False, lineterminator="\n"
        )


def write_counterfactual(
    folder: Path,
    subject: Subject,
    result: Counterfactual,
    facts: EditFacts,
    uids: Uids = SESSION,
) -> float:
    """Write the pictures of an edit, their differences and the record, all or nothing.

    The counterfactual is the sampled image or, if the facts have `detail`, the original plus the
    change. NIfTI and DICOM sources also get it in their own format, as a derived synthetic object.
    Several seeds give a picture of each, a mean and an uncertainty. `mask.png` shows the mask, if there is one.

    Args:
        folder: Folder of the edit.
        subject: The original.
        result: The edit.
        facts: Everything that determines the edit.
        uids: New UIDs for DICOM.

    Returns:
        Quantile MAX_QUANTILE of the absolute change over pixels that may change, as a share of the
        intensity range.
    """
    with folder_written(folder, replace=True) as aside:
        change = _write_files(aside, subject, result, facts, uids)
    shares = np.abs(change if subject.weight is None else change[subject.weight > 0])
    return float(np.quantile(shares, MAX_QUANTILE))


def _write_files(
    aside: Path, subject: Subject, result: Counterfactual, facts: EditFacts, uids: Uids
) -> np.ndarray:
    """Write all files of a counterfactual into a folder; returns its change in shares of the
    intensity range."""
    pictures = {"original": subject.unit, "reconstruction": subject.back(result.reconstruction)}
    pictures["counterfactual"], before = (
        _in_source_geometry(subject, result.reconstruction, result.counterfactual, facts),
        BEFORE[facts.detail],
    )
    if not all(np.isfinite(unit).all() for unit in pictures.values()):
        raise ResourceError(
            "the edit came out as no numbers: those of the network overflowed. Edit with "
            "`precision=fp32`"
        )
    for name, unit in pictures.items():
        write_png(
            aside / f"{name}.png",
            from_unit(unit, (0.0, 255.0), np.uint8),
            synthetic=name != "original",
        )
    if subject.weight is not None:
        write_png(
            aside / "mask.png",
            np.where(subject.weight > 0, 255, 0).astype(np.uint8),
            synthetic=False,
        )
    change = (pictures["counterfactual"] - pictures[before]) / 2  # of the intensity range
    write_map(aside / "difference.png", change, f"counterfactual − {before}", signed=True)
    write_map(aside / "absolute.png", np.abs(change), f"|counterfactual − {before}|")
    if subject.image.source is not None and subject.image.source.kind != "raster":
        _write_like(aside / "counterfactual", subject, pictures["counterfactual"], facts, uids)
    record = {
        **facts.to_dict(),
        "attributes": dict(subject.attributes),
        "patient": subject.patient,
        "source": _source(subject),
        "measured": {
            "mean_absolute_change": float(np.abs(change).mean()),
            "largest_absolute_change": float(np.abs(change).max()),
            "mean_absolute_reconstruction_error": float(
                np.abs(pictures["reconstruction"] - pictures["original"]).mean() / 2
            ),
            **(_write_seeds(aside, subject, result, facts) if result.others else {}),
            "unit": "share of the intensity range",
            "intensity_range": [float(edge) for edge in subject.image.range],
        },
        "files": sorted(path.name for path in aside.iterdir()),
        "versions": versions(),
        "synthetic": True,
    }
    write_text(aside / NAME, json.dumps(record, indent=1, default=str) + "\n")
    value: np.ndarray = change
    return value


def _in_source_geometry(
    subject: Subject, reconstruction: Tensor, counterfactual: Tensor, facts: EditFacts
) -> np.ndarray:
    """A counterfactual in the source's geometry: as drawn, or its change on the original."""
    if facts.detail:
        return subject.onto(counterfactual - reconstruction)
    return subject.back(counterfactual)


def _write_like(
    stem: Path, subject: Subject, unit: np.ndarray, facts: EditFacts, uids: Uids
) -> None:
    """In the source's own format; the object says the age and sex of whom it shows, as the change
    has them."""
    request = facts.request
    after = request.target or request.instruction
    what = f"Synthetic counterfactual: {request.source} -> {after}"
    attributes = dict(subject.image.attributes)
    for name in ("age", "sex"):
        value = request.change.changes.get(name)
        if isinstance(value, str | float):
            attributes[name] = value
    write_like(
        stem,
        subject.image,
        subject.intensities(unit),
        description=what[:MAX_DESCRIPTION],
        attributes=attributes,
        uids=uids,
    )


def _source(subject: Subject) -> dict[str, Any]:
    """Kind of the source file and the part of it that was edited, without its name or
    identifiers."""
    image = subject.image
    where = (
        {}
        if image.source is None
        else {name: getattr(image.source, name) for name in ("kind", "frame", "plane")}
    )
    return {
        **where,
        "shape": list(image.pixels.shape),
        "spacing_mm": image.spacing,
        "unit": image.unit,
        "notes": list(image.notes),
    }


def _write_seeds(
    folder: Path, subject: Subject, result: Counterfactual, facts: EditFacts
) -> dict[str, Any]:
    """The pictures of further seeds; `mean.png` and `uncertainty.png`, pixel by pixel over all
    seeds, and their summary."""
    seed = facts.options.seed
    pictures = np.stack([_in_source_geometry(subject, *drawn, facts) for drawn in result.of_seeds])
    spread = pictures.std(0, ddof=1, dtype=np.float64) / 2  # of the intensity range
    write_png(
        folder / "mean.png",
        from_unit(pictures.mean(0, dtype=np.float64), (0.0, 255.0), np.uint8),
        synthetic=True,
    )
    title = f"standard deviation over {len(pictures)} seeds"
    write_map(folder / "uncertainty.png", spread, title)
    seeds = list(range(seed, seed + len(pictures)))
    for further, picture in zip(seeds[1:], pictures[1:], strict=True):
        unit = from_unit(picture, (0.0, 255.0), np.uint8)
        write_png(folder / f"{of_seed(further)}.png", unit, synthetic=True)
    return {
        "uncertainty": {
            "seeds": seeds,
            "mean_sd": float(spread.mean()),
            "largest_sd": float(spread.max()),
        }
    }


def of_seed(seed: int) -> str:
    """Name of the picture of a seed after the first."""
    return f"counterfactual-seed-{seed}"


def write_map(path: Path, share: np.ndarray, title: str, *, signed: bool = False) -> None:
    """Write a map with a colour bar as PNG; brighter is more.

    Args:
        path: File to write.
        share: [H, W] or [H, W, 3], in shares of the intensity range.
        title: Title of the map.
        signed: Whether to use red for brighter and blue for darker.
    """
    from matplotlib.figure import Figure

    share = share.mean(-1) if share.ndim == 3 else share
    limit = min(SCALE, max(float(np.abs(share).max()), 1e-3))
    figure = Figure(figsize=(5, 4.2 * share.shape[0] / max(share.shape)), layout="constrained")
    axes = figure.add_subplot()
    colours, low = ("RdBu_r", -limit) if signed else ("inferno", 0.0)
    heatmap = axes.imshow(share, cmap=colours, vmin=low, vmax=limit, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"{title} (synthetic)", fontsize=9)
    figure.colorbar(heatmap, ax=axes, label="share of the intensity range")
    figure.savefig(path, dpi=120, metadata={"Synthetic": "YES: a map of images made by a model"})
