"""Draw docs/result.png from the folder of `latentdrift demo`.

    python recipes/result_picture.py demo docs/result.png

Above: synthetic images. Below: a phantom, its counterfactual by the model, the change, and the true
counterfactual, which the phantom can draw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot
from PIL import Image, PngImagePlugin

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.phantom.phantom import BrainAttributes, brain, cohort_table

PATIENTS = 48
"""Patients of the demo's phantom."""
EDIT = "000035"
"""The edit that is shown: a patient of 64 years, female, without dementia."""
FIRST_IMAGES = (0, 2, 10, 14)
"""Synthetic images that are shown."""


def true_counterfactual(demo: Path, row: pd.Series) -> np.ndarray:
    """The phantom of a row of the cohort, with dementia."""
    names = pd.read_csv(demo / "cohort-private" / "patients.csv").set_index("pseudonym")["patient"]
    study = {row.patient: row.subject for row in cohort_table("brain", PATIENTS, 2, 0)}
    attributes = BrainAttributes(age=row["age"], sex=row["sex"], diagnosis="dementia")
    return np.asarray(brain(study[names[row["patient"]]], attributes, size=128))


def main(demo: Path, out: Path) -> None:
    """Draw the picture."""
    figure, axes = pyplot.subplots(2, 4, figsize=(8, 4.6), dpi=90)
    drawn = Cohort.load(demo / "synthetic")
    for axis, place in zip(axes[0], FIRST_IMAGES, strict=True):
        row = drawn.table.iloc[place]
        show(axis, np.asarray(Image.open(drawn.folder / row["file_name"])), title_of(row))
    folder = demo / "edits" / EDIT
    original = picture(folder / "original.png")
    counterfactual = picture(folder / "counterfactual.png")
    patient = json.loads((folder / "record.json").read_text())["patient"]
    rows = Cohort.load(demo / "cohort").table
    row = rows[(rows["patient"] == patient) & (rows["file_name"].str.contains(EDIT))].iloc[0]
    show(axes[1][0], original, f"phantom: {title_of(row)}")
    show(axes[1][1], counterfactual, "with dementia: the model")
    change = counterfactual.astype(float) - original
    axes[1][2].imshow(change, cmap="RdBu_r", vmin=-128, vmax=128)
    axes[1][2].set_title("the change", fontsize=8)
    show(axes[1][3], true_counterfactual(demo, row), "with dementia: the truth")
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle("Synthetic: every image here was drawn by the package", fontsize=10)
    figure.tight_layout()
    figure.savefig(out)
    few_colours = Image.open(out).convert("RGB").quantize(64)
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", "synthetic")
    few_colours.save(out, optimize=True, pnginfo=text)


def picture(path: Path) -> np.ndarray:
    """Grey values of a picture."""
    return np.asarray(Image.open(path).convert("L"))


def title_of(row: pd.Series) -> str:
    """Age, sex and diagnosis of a row."""
    return f"{row['age']:.0f} {row['sex']}, {row['diagnosis']}"


def show(axis: pyplot.Axes, image: np.ndarray, title: str) -> None:
    """Draw a grey picture with a title."""
    axis.imshow(image, cmap="gray")
    axis.set_title(title, fontsize=8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
