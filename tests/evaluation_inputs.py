"""Small sets of images with known answers, as the evaluations read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from latentdrift.config import EvaluateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.display import html_report
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    EvaluationResult,
    Inputs,
    Page,
    Request,
    Results,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling

SIDE = 32


def textures(count: int, seed: int) -> np.ndarray:
    """Images [N, SIDE, SIDE, 3] of smooth noise: no two are alike."""
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.standard_normal((count, SIDE, SIDE)), (0, 2, 2))
    fields -= fields.min((1, 2), keepdims=True)
    fields /= fields.max((1, 2), keepdims=True)
    return np.repeat(fields[..., None], 3, -1).astype(np.float32)


def image_set(images: np.ndarray, patients: Sequence[str] | None = None) -> EvaluationImages:
    """A set with a sex for each image, F and M in turn."""
    attributes = pd.DataFrame({"sex": ["FM"[i % 2] for i in range(len(images))]})
    return EvaluationImages(images, None if patients is None else list(patients), [], attributes)


def tone(images: np.ndarray) -> np.ndarray:
    """Features [N, 2]: the mean of the left and of the right half of an image."""
    halves = np.asarray(images).reshape(len(images), SIDE, 2, SIDE // 2, 3)
    return halves.mean((1, 3, 4))


def inputs_of(
    synthetic: np.ndarray,
    *,
    real: np.ndarray | None = None,
    train: np.ndarray | None = None,
    **more: Any,
) -> Inputs:
    """Inputs of a synthetic set; each real image is another patient's."""
    real = textures(16, 1) if real is None else real
    return Inputs(
        image_set(real, [f"r{i}" for i in range(len(real))]),
        image_set(synthetic),
        None if train is None else image_set(train, [f"t{i}" for i in range(len(train))]),
        {"tone": tone},
        Resampling(20),
        **more,
    )


def request_of(cohort: Path, **options: Any) -> Request:
    """A request to judge a folder by a cohort."""
    asked = EvaluateOptions(real=cohort, synthetic=cohort, out=cohort / "report", **options)
    return Request(asked, Cohort.load(cohort))


def rendered(
    row: Evaluation,
    results: EvaluationResult | Results,
    folder: Path,
    inputs: Inputs | None = None,
    edits: Sequence[Any] = (),
) -> str:
    """The section of an evaluation as HTML; empty without blocks."""
    found = results if isinstance(results, Results) else Results([results])
    images = {}
    if inputs is not None:
        images = {"real": inputs.real, "synthetic": inputs.synthetic}
        images |= {} if inputs.train is None else {"train": inputs.train}
    blocks = row.section(Page(found, images, edits))
    if not blocks:
        return ""
    html_report.write_page(folder / "page.html", "A report", blocks)
    return (folder / "page.html").read_text(encoding="utf-8")
