"""The copy gate of `generate` and `edit`: opened on the training cohort, it holds copies back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from latentdrift import record
from latentdrift.config import EditOptions, GenerateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import LatentDriftError
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.evaluate.privacy.copy_filter import Gate, Verdict

log = logging.getLogger(__name__)


def open_gate(options: GenerateOptions | EditOptions, trained_on: Sequence[str]) -> Gate | None:
    """Open the gate that removes copies of training images.

    A warning says where the gate may lack some training images.

    Args:
        options: Option `gate`, and the adapter whose run names the cohort.
        trained_on: Fingerprints of the cohorts that the model was trained on.

    Returns:
        The gate; None where there is none.

    Raises:
        CohortError: There are no training images to compare with.
    """
    if options.gate is False:
        return None
    folder = options.gate or find_training_cohort(options.adapter, trained_on)
    if folder is None:
        if trained_on:
            log.info(
                "no gate: the cohort that this adapter was trained on is not where it was; "
                "`gate=COHORT` names it, and then copies of its training images are held back"
            )
        return None
    gate = Gate.of(Cohort.load(folder), trained_on)
    if gate.doubt:
        log.warning(gate.doubt)
    return gate


def find_training_cohort(adapter: str, trained_on: Sequence[str]) -> Path | None:
    """Find the cohort of an adapter: where the record of its run names it, or beside the run.

    Args:
        adapter: Adapter or its run.
        trained_on: Fingerprints of the cohorts that it was trained on.

    Returns:
        Its folder; None where it is missing or has changed.
    """
    for run in (Path(adapter), Path(adapter).parent):
        try:
            fit_record = record.read(run)
            if fit_record["verb"] != "fit":
                continue
            named = Path(fit_record["options"]["cohort"])
        except (LatentDriftError, KeyError, TypeError):
            continue
        for folder in (named, run.parent / named.name):
            try:
                if Cohort.load(folder).fingerprint in trained_on:
                    return folder
            except LatentDriftError:
                continue
    return None


def gate_images(gate: Gate | None, images: np.ndarray) -> Verdict | None:
    """Search generated images for copies of training images, and log the result.

    Args:
        gate: From `open_gate`; None: no search.
        images: uint8 [N, R, R, 3].

    Returns:
        The verdict; None without a gate.
    """
    if gate is None:
        return None
    verdict = gate.judge(EvaluationImages(images / 255), images.shape[1])
    log.info(verdict.sentence)
    return verdict


def gate_edits(
    gate: Gate | None, names: Sequence[str], side: int, read: Callable[[str, int], np.ndarray]
) -> Verdict | None:
    """Compare counterfactuals with the training images; None without a gate or without edits.

    Args:
        gate: The gate.
        names: Names of the edits; the verdict is in their order.
        side: Pixels R on a side.
        read: ("original" or "counterfactual", position of the edit) -> image [R, R, 3] in [0, 1].
    """
    if gate is None or not names:
        return None

    def images(kind: str) -> EvaluationImages:
        size = (side, side)
        return EvaluationImages(Pictures(lambda position: read(kind, position), size, names, names))

    verdict = gate.judge_edits(images("original"), images("counterfactual"), side)
    log.info(verdict.sentence)
    if verdict.own:
        log.info(
            "%d of %d edits are of images that the adapter was trained on: keep them as you keep "
            "the cohort",
            verdict.own,
            len(names),
        )
    return verdict
