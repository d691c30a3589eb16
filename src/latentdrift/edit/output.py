"""A counterfactual on disk: three pictures and a difference map in the source's own geometry and format, and what made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.data.intensity import from_unit
from latentdrift.data.write import write_like, write_png
from latentdrift.edit.counterfactual import Counterfactual
from latentdrift.edit.sources import Subject

SCALE = 0.5
"""Difference, as a share of the intensity range, at which the map's colours end unless the largest difference is smaller."""


def is_made(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a folder already holds the edit that these facts describe."""
    if not (folder / "record.json").is_file():
        return False
    found = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    return all(found.get(name) == value for name, value in json.loads(json.dumps(dict(facts), default=str)).items())


def write_counterfactual(out: Path, subject: Subject, made: Counterfactual, facts: Mapping[str, Any]) -> Path:
    """`out/<name>/`: original, reconstruction, counterfactual and difference; it appears whole or not at all.

    Where there is a mask, `mask.png` says where the image was allowed to change.
    NIfTI and DICOM sources get the counterfactual back in their own format, too, as a derived synthetic object.
    """
    folder = out / subject.name
    aside = out / f".{subject.name}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    pictures = {name: subject.back(getattr(made, name)) for name in ("original", "reconstruction", "counterfactual")}
    for name, unit in pictures.items():
        write_png(aside / f"{name}.png", from_unit(unit, (0.0, 255.0), np.uint8), synthetic=name != "original")
    if subject.weight is not None:
        write_png(aside / "mask.png", np.where(subject.weight > 0, 255, 0).astype(np.uint8), synthetic=False)
    change = pictures["counterfactual"] - pictures["reconstruction"]
    write_difference(aside / "difference.png", change)
    if subject.image.source is not None and subject.image.source.kind != "raster":
        what = f"Synthetic counterfactual: {facts['source_prompt']} -> {facts['target_prompt']}"[:1024]
        write_like(aside / "counterfactual", subject.image, subject.intensities(pictures["counterfactual"]), description=what)
    measured = {
        "mean_absolute_change": float(np.abs(change).mean() / 2),
        "mean_absolute_reconstruction_error": float(np.abs(pictures["reconstruction"] - pictures["original"]).mean() / 2),
        "unit": "share of the intensity range",
        "intensity_range": [float(edge) for edge in subject.image.range],
    }
    record = {**facts, "attributes": dict(subject.attributes), "measured": measured, "synthetic": True}
    (aside / "record.json").write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.replace(folder)
    return folder


def write_difference(path: Path, change: np.ndarray) -> None:
    """The signed difference counterfactual - reconstruction with a colour bar: red is brighter, blue is darker."""
    from matplotlib.figure import Figure

    share = (change.mean(-1) if change.ndim == 3 else change) / 2  # of the intensity range
    limit = min(SCALE, max(float(np.abs(share).max()), 1e-3))
    figure = Figure(figsize=(5, 4.2 * share.shape[0] / max(share.shape)), layout="constrained")
    axes = figure.add_subplot()
    shown = axes.imshow(share, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title("counterfactual − reconstruction (synthetic)", fontsize=9)
    figure.colorbar(shown, ax=axes, label="share of the intensity range")
    figure.savefig(path, dpi=120, metadata={"Synthetic": "YES: a difference between images made by a model"})
