"""Counterfactuals beside the real images that they should be similar to.

realism: for each requested change, KID to held-out real images that have the target attribute.
follow-ups: the counterfactual beside the patient's own visit in the requested state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from latentdrift import prompts
from latentdrift.attributes.specification import AttributeValues, Spec, as_number
from latentdrift.evaluate.attributes.counterfactual_results import ChangeRealism, FollowUps
from latentdrift.evaluate.attributes.ground_truth import against_visit, baselines
from latentdrift.evaluate.attributes.requested_changes import RequestedChanges
from latentdrift.evaluate.attributes.visit_metrics import (
    CORRELATION,
    RATIOS,
    change_metrics,
    pooled,
    volume_metrics,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import EditRecord, RecordedEdit, patients_of
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES, DistanceMetric, judge
from latentdrift.evaluate.metrics.image_similarity import WINDOW
from latentdrift.evaluate.privacy.repeat_visits import Space
from latentdrift.evaluate.statistics.bootstrap import PatientResampling
from latentdrift.evaluate.statistics.results import EditMean
from latentdrift.longitudinal.tissue_volumes import tissue_volumes

KID = DISTANCES["kid"]
# standard deviations of the real values by which the range of requested numbers is widened (ours)
AROUND = 0.5
AGE = 1.0  # years by which a follow-up may miss the requested age (ours)
NO_CHANGE = (
    "ssim",
    "ms-ssim",
    "psnr",
    "difference_ssim",
)  # measures on which the untouched original is a baseline


def realism(
    requested: RequestedChanges,
    edits: Sequence[RecordedEdit],
    sets: Mapping[str, EvaluationImages],
    real: EvaluationImages,
    truths: np.ndarray,
    spaces: Mapping[str, Space],
    people: PatientResampling,
) -> list[ChangeRealism]:
    """KID of the counterfactuals of each change to held-out real images with its target, in each
    feature space.

    Args:
        requested: Requested changes.
        edits: The edits.
        sets: `original` and `counterfactual`, as they are judged.
        real: Held-out real images.
        truths: Attributes of `real` as the judges have them [N, K].
        spaces: Feature spaces.
        people: Patients of the edits, and the resamples.

    Returns:
        One row for each change and space with enough images.
    """
    patients = patients_of(edits)
    table = []
    for label, space in spaces.items():
        features = {
            name: np.asarray(space(images.images), dtype=np.float64)
            for name, images in sets.items()
        }
        known = np.asarray(space(real.images), dtype=np.float64)
        for kind in requested.kinds:
            rows = np.flatnonzero(requested.rows(kind))
            target = np.flatnonzero(_has_target(requested, kind, truths))
            if min(len(rows), len(target)) < KID.min_images:
                continue
            whose = [patients[row] for row in rows]
            owners = None if real.patients is None else [real.patients[place] for place in target]
            kid = partial(
                judge,
                KID,
                known[target],
                patients=owners,
                whose=whose,
                resampling=people.resampling,
            )
            edited = kid(features["counterfactual"][rows])
            before = kid(features["original"][rows])
            n = {"edits": len(rows), "patients": len(set(whose)), "real": len(target)}
            table.append(_change_realism(kind, label, n, edited, before))
    return table


def _change_realism(
    kind: str, label: str, n: dict[str, int], edited: DistanceMetric, before: DistanceMetric
) -> ChangeRealism:
    """Row of a change in a feature space, from the KID of counterfactuals and of originals."""
    return ChangeRealism(
        change=kind,
        features=label,
        n=n,
        value=edited.value,
        ci=edited.ci,
        floor=edited.floor,
        floor_ci=edited.floor_ci,
        matched=edited.matched,
        original=before.value,
    )


def _has_target(requested: RequestedChanges, kind: str, truths: np.ndarray) -> np.ndarray:
    """Real images [N] that have the requested value; of a number, a value in the range of the
    requests."""
    place, after = requested.target(kind)
    values = truths[:, place]
    number = requested.is_number(kind)
    if not number:
        return np.asarray(values == after)
    wanted = requested.after[requested.rows(kind), place]
    spread = AROUND * np.nanstd(values)
    return np.asarray((values >= wanted.min() - spread) & (values <= wanted.max() + spread))


def follow_ups(
    edits: Sequence[RecordedEdit],
    sets: Mapping[str, EvaluationImages],
    real: EvaluationImages,
    spec: Spec,
    people: PatientResampling,
    *,
    brains: bool = False,
) -> FollowUps | None:
    """Counterfactuals beside the patient's own visit in the target state; None where no patient has
    such a visit.

    Two visits differ by position and noise, too: what counts is to be better than the untouched
    original.

    Args:
        edits: The edits; their records name the patient.
        sets: `original` and `counterfactual`, as they are judged.
        real: Held-out real images, of which some may be later visits.
        spec: The cohort's attributes.
        people: Patients of the edits, and the resamples.
        brains: Whether the images are slices of brains, whose tissue volumes are compared, too.
    """
    pairs = [
        (place, visit)
        for place, edit in enumerate(edits)
        if (visit := _visit(edit.record, real, spec)) is not None
    ]
    if not pairs or min(real.images.shape[1:3]) < WINDOW:
        return None
    places, visits = (np.array(part) for part in zip(*pairs, strict=True))
    first, edited = (
        np.asarray(sets[name].images)[places] for name in ("original", "counterfactual")
    )
    last = np.asarray(real.images[visits])
    some = people.take(places)
    scores = against_visit(first, edited, last)
    untouched = against_visit(first, baselines(first, first, first)["no change"], last)
    return FollowUps(
        n=len(places),
        patients=some.patients,
        metrics={name: some.mean(values) for name, values in scores.items()},
        no_change={name: some.mean(untouched[name]) for name in NO_CHANGE},
        gain={name: some.mean(_gain(scores[name], untouched[name])) for name in NO_CHANGE},
        change=_changes(first, edited, last, some, brains=brains),
    )


def _changes(
    first: np.ndarray,
    edited: np.ndarray,
    last: np.ndarray,
    some: PatientResampling,
    *,
    brains: bool,
) -> dict[str, EditMean]:
    """Rows of visit_metrics that could be measured, of edits and visits [E, H, W, 3]."""
    results = []
    for three in zip(*(pictures.mean(-1) for pictures in (first, edited, last)), strict=True):
        own = change_metrics(*three)
        if brains:
            own |= volume_metrics(*(tissue_volumes(picture) for picture in three))
        results.append({name: value for name, value in own.items() if np.isfinite(value)})
    found: dict[str, EditMean | None] = {
        CORRELATION: some.mean(np.array([own.get(CORRELATION, np.nan) for own in results]))
    }
    for name, ratio in RATIOS.items():
        source = some.resampling.rng("card", ratio.title)
        found[name] = pooled(ratio, results, some.units, some.resampling.n, source)
    return {name: mean for name, mean in found.items() if mean is not None and mean.n}


def _gain(edited: np.ndarray, untouched: np.ndarray) -> np.ndarray:
    """Score of each edit minus that of its untouched original [E]; NaN where one of the two is
    infinite."""
    result: np.ndarray = np.subtract(
        edited,
        untouched,
        out=np.full(len(edited), np.nan),
        where=np.isfinite(edited) & np.isfinite(untouched),
    )
    return result


def _visit(record: EditRecord, real: EvaluationImages, spec: Spec) -> int | None:
    """The place of the patient's image that is in the state the edit asks for, the nearest in age;
    None without one."""
    if real.patients is None or real.attributes is None or record.patient is None:
        return None
    own = np.flatnonzero(np.asarray(real.patients) == record.patient)
    before, after = record.states(spec)
    candidates = [
        place for place in own.tolist() if _in_state(real.attributes.iloc[place], before, after)
    ]
    age = np.nan if prompts.is_missing(after.get("age")) else as_number(after["age"])
    ages = [
        abs(float(real.attributes.iloc[place].get("age", np.nan)) - age) for place in candidates
    ]
    return candidates[int(np.argmin(np.nan_to_num(ages, nan=np.inf)))] if candidates else None


def _in_state(row: pd.Series, before: AttributeValues, after: AttributeValues) -> bool:
    """Whether an image has every attribute of a state that it knows, an age to AGE; and is not the
    image that was edited."""
    for name, wanted in after.items():
        value = row.get(name)
        if prompts.is_missing(value) or prompts.is_missing(wanted):
            continue
        if name == "age":
            if abs(float(value) - as_number(wanted)) > AGE:
                return False
        elif _parts(value) != _parts(wanted):
            return False
    changed = [name for name in after if _parts(before.get(name)) != _parts(after[name])]
    return bool(changed) and any(
        _parts(row.get(name)) != _parts(before.get(name)) for name in changed
    )


def _parts(value: Any) -> frozenset[str]:
    """A value for comparison: findings in any order, numbers in one form."""
    if prompts.is_missing(value):
        return frozenset()
    if isinstance(value, str):
        return frozenset(value.split("|"))
    return frozenset([f"{float(value):g}"])
