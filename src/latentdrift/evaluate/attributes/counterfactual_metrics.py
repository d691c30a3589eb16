"""Scores of counterfactuals: did edits change what was requested, and nothing else?

composition: the error of the reconstruction, which changes nothing (Monteiro et al. 2023).
effectiveness: the requested attribute takes the requested value (ibid.). Predictors that guided no
    edit judge it.
minimality: the size of the change, and the change outside of the edit's mask.
collateral: the shift of every attribute, in units of its difference between two visits of a
    patient, and as a share of the difference between the real classes.
identity: the counterfactual is as similar to its original as two visits of a patient.
realism: the counterfactuals are similar to real images that have the target.
follow-ups: the counterfactual is similar to the patient's own visit in the requested state.
reversibility: the error after editing back (ibid.).

START READING AT `card`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from latentdrift.attributes.specification import Spec
from latentdrift.display.counting import count
from latentdrift.display.html_report import bounds
from latentdrift.evaluate.attributes.attribute_predictors import Judges
from latentdrift.evaluate.attributes.counterfactual_results import (
    Card,
    Change,
    ClassChange,
    Collateral,
    CollateralCell,
    FollowUps,
    NumberChange,
)
from latentdrift.evaluate.attributes.ground_truth import CHANGED
from latentdrift.evaluate.attributes.interventions import follow_ups, realism
from latentdrift.evaluate.attributes.requested_changes import RequestedChanges
from latentdrift.evaluate.images import subgroups
from latentdrift.evaluate.images.attribute_words import FOLLOW_UP, attribute, change
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import (
    STATES,
    EditRecord,
    RecordedEdit,
    patients_of,
)
from latentdrift.evaluate.privacy.repeat_visits import Space, between, identity, pairs_of, spread
from latentdrift.evaluate.statistics.bootstrap import PatientResampling, groups
from latentdrift.evaluate.statistics.results import EditMean
from latentdrift.resampling import Resampling

NOTHING = (
    "nothing (reconstruction)"  # the row of the collateral matrix that no change was asked for in
)
BEYOND = 1.0  # of that unit: a mean shift above it is more than a patient moves between visits
# of the way from one real class to the other, below which a shift is no change of attribute (a
# choice of ours)
MATERIAL = 0.25
# patients with edits of a kind, below which only its numbers are given and nothing is concluded
# (ours)
MIN_PATIENTS = 5
WORST = 3  # edits shown under each heading


def card(
    judges: Judges,
    edits: Sequence[RecordedEdit],
    real: EvaluationImages,
    spaces: Mapping[str, Space],
    spec: Spec,
    *,
    size: int,
    brains: bool = False,
    by: str | None = None,
    resampling: Resampling = Resampling(),
) -> Card:
    """Scores of edits.

    Args:
        judges: Attribute predictors.
        edits: The edits.
        real: Held-out real images, of which some are of one patient.
        spaces: Feature spaces for identity and realism.
        spec: Attributes of the cohort.
        size: Pixels on a side at which all images are judged.
        brains: Whether the images are slices of brains.
        by: An attribute of the originals for whose values effectiveness is also given.
        resampling: Resamples of patients behind each interval.
    """
    records = [edit.record for edit in edits]
    requested = RequestedChanges.of(judges, records, spec)
    sets = _images_by_state(edits, size)
    people = PatientResampling(groups(len(edits), patients_of(edits)), resampling)
    seen = Predictions.of(judges, sets, real)
    changes = _changes(edits)
    means = {name: people.mean(values) for name, values in changes.items()}
    parts = _subgroups(records, by)
    unit, whose = spread(seen.real, pairs_of(real), resampling.seed)
    worst = changes | {"collateral": _collateral_of_each(requested, seen.edits, unit)}
    effectiveness = _effectiveness(requested, seen, np.ones(len(edits), bool), people)
    collateral = _collateral(requested, seen, unit, whose, people)
    followed = follow_ups(edits, sets, real, spec, people, brains=brains)
    return Card(
        n=len(edits),
        patients=people.patients,
        kinds=requested.kinds,
        effectiveness=effectiveness,
        composition=means["reconstruction"],
        minimality={name: means[name] for name in ("change", "area", "outside") if name in means},
        collateral=collateral,
        realism=realism(requested, edits, sets, real, seen.truths, spaces, people),
        follow_ups=followed,
        identity={label: identity(space, sets, real, people) for label, space in spaces.items()},
        reversibility=means.get("reversed"),
        by=by if parts else None,
        subgroups={
            value: _effectiveness(requested, seen, places, people)
            for value, places in parts.items()
        },
        worst=_worst_edits(edits, worst),
        warnings=_warnings(effectiveness, collateral, followed),
    )


@dataclass(frozen=True, eq=False)
class Predictions:
    """Attributes that the predictors see.

    Attributes:
        judges: The predictors of K attributes.
        edits: By state of the edits, [E, K].
        real: Of held-out real images, [N, K].
        truths: Labels of the held-out real images, [N, K]; NaN where they are not known.
    """

    judges: Judges
    edits: Mapping[str, np.ndarray]
    real: np.ndarray
    truths: np.ndarray

    @classmethod
    def of(
        cls, judges: Judges, sets: Mapping[str, EvaluationImages], real: EvaluationImages
    ) -> Predictions:
        """Predict the attributes of edits and of held-out real images.

        Args:
            judges: Trained attribute predictors.
            sets: State of the edits, as "counterfactual" -> their images.
            real: Held-out real images with labels.
        """
        edits = {name: judges(images) for name, images in sets.items()}
        return cls(judges, edits, judges(real), judges.truths(real.attributes, len(real)))


def _worst_edits(
    edits: Sequence[RecordedEdit], worst: Mapping[str, np.ndarray]
) -> dict[str, list[str]]:
    """Names of the WORST edits by each measure."""
    names = [edit.name for edit in edits]
    return {
        measure: [names[i] for i in np.argsort(-_finite(values))[:WORST]]
        for measure, values in worst.items()
        if measure != "area"
    }


def _images_by_state(edits: Sequence[RecordedEdit], size: int) -> dict[str, EvaluationImages]:
    """State of the edits, as "counterfactual" -> their images on a square."""
    return {
        name: EvaluationImages(np.stack([_squared(edit.pictures[name], size) for edit in edits]))
        for name in STATES
    }


def _squared(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture [H, W, 3] in [0, 1] as the real ones are brought to a square [size, size, 3]."""
    from latentdrift.data.cohort.cohort import background
    from latentdrift.data.images.letterbox import Fit

    fitted = Fit(picture.shape[0], picture.shape[1], size).apply(picture, fill=background(picture))
    return np.asarray(fitted, dtype=np.float32).clip(0, 1)


def _changes(edits: Sequence[RecordedEdit]) -> dict[str, np.ndarray]:
    """Size of the change of each edit, as shares of the intensity range. `outside` and `reversed`
    are there where any edit has them."""
    changes: dict[str, list[float]] = {
        name: [] for name in ("reconstruction", "change", "area", "outside", "reversed")
    }
    for edit in edits:
        pictures = {name: picture.astype(np.float64) for name, picture in edit.pictures.items()}
        original, again, counterfactual = pictures.values()
        moved = np.abs(counterfactual - pictures[edit.record.before]).mean(-1)
        changes["reconstruction"].append(float(np.abs(again - original).mean()))
        changes["change"].append(float(moved.mean()))
        changes["area"].append(float((moved > CHANGED).mean()))
        outside = None if edit.mask is None else edit.mask.mean(-1) == 0
        changes["outside"].append(
            float(np.abs(counterfactual - original)[outside].mean())
            if outside is not None and outside.any()
            else np.nan
        )
        changes["reversed"].append(
            np.nan if edit.reversal is None else float(np.abs(edit.reversal - original).mean())
        )
    return {name: np.array(values) for name, values in changes.items() if np.isfinite(values).any()}


def _effectiveness(
    requested: RequestedChanges, seen: Predictions, places: np.ndarray, people: PatientResampling
) -> list[Change]:
    """One row for each kind of change: request, predictions before and after, and their quality.

    Args:
        requested: Requested changes.
        seen: Predictions.
        places: Which edits count, bool [E].
        people: Patients of the edits.
    """
    effects: list[Change] = []
    for kind in requested.kinds:
        rows = requested.rows(kind) & places
        if not rows.any():
            continue
        of_kind = _number_effect if requested.is_number(kind) else _class_effect
        effects.append(of_kind(kind, requested, seen, rows, people))
    return effects


def _number_effect(
    kind: str,
    requested: RequestedChanges,
    seen: Predictions,
    rows: np.ndarray,
    people: PatientResampling,
) -> NumberChange:
    """Effect of edits `rows` on the number that a kind of change is of."""
    place, _ = requested.target(kind)
    output = seen.judges.outputs[place]
    some = people.take(rows)
    before = seen.edits["original"][rows, place]
    after = seen.edits["counterfactual"][rows, place]
    wanted = requested.after[rows, place]
    shift = wanted - requested.before[rows, place]
    known = ~np.isnan(seen.truths[:, place])
    real = seen.real[known, place]
    truth = seen.truths[known, place]
    return NumberChange(
        change=kind,
        judged=output.name,
        unit=output.unit,
        n=int(rows.sum()),
        patients=some.patients,
        requested=some.mean(shift),
        moved=some.mean(after - before),
        share=_slope(after - before, shift),
        error=some.mean(np.abs(after - wanted)),
        untouched=float(np.abs(before - wanted).mean()),
        ceiling=float(np.abs(real - truth).mean()) if known.any() else None,
        share_ceiling=_slope(_centred(real), _centred(truth)),
    )


def _class_effect(
    kind: str,
    requested: RequestedChanges,
    seen: Predictions,
    rows: np.ndarray,
    people: PatientResampling,
) -> ClassChange:
    """Effect of edits `rows` on the class that a kind of change is of."""
    place, target = requested.target(kind)
    output = seen.judges.outputs[place]
    some = people.take(rows)
    side = 1 if target else -1
    before = seen.edits["original"][rows, place]
    after = seen.edits["counterfactual"][rows, place]
    hits = side * after > 0
    with_target = seen.truths[:, place] == target
    real = seen.real[with_target, place]
    return ClassChange(
        change=kind,
        judged=output.name,
        unit=output.unit,
        n=int(rows.sum()),
        patients=some.patients,
        reached=float(hits.mean()),
        reached_ci=some.share(hits),
        untouched=float((side * before > 0).mean()),
        moved=some.mean(side * (after - before)),
        ceiling=float((side * real > 0).mean()) if with_target.any() else None,
    )


def _collateral(
    requested: RequestedChanges,
    seen: Predictions,
    unit: np.ndarray,
    whose: str,
    people: PatientResampling,
) -> Collateral:
    """Mean shift of every attribute, in units of its spread, for every kind of change and for none.

    Args:
        requested: Requested changes.
        seen: Predictions.
        unit: Root mean square difference between two visits [K].
        whose: Pairs behind the unit: `visits` or `patients`.
        people: Patients of the edits.
    """
    outputs = seen.judges.outputs
    numbers = np.array([output.value is None for output in outputs])
    apart = between(seen.real, seen.truths, numbers)
    everyone = np.ones(len(seen.edits["original"]), bool)
    rows: dict[str, list[CollateralCell]] = {}
    for kind, places in [
        *((kind, requested.rows(kind)) for kind in requested.kinds),
        (NOTHING, everyone),
    ]:
        state = "reconstruction" if kind == NOTHING else "counterfactual"
        shift = (seen.edits[state] - seen.edits["original"])[places]
        wanted = np.zeros(shift.shape, bool) if kind == NOTHING else requested.touched[places]
        some = people.take(places)
        rows[kind] = [
            _cell(shift[:, k], unit[k], apart[k], some, is_wanted=bool(wanted[:, k].any()))
            for k in range(len(outputs))
        ]
    names = [output.name for output in outputs]
    units = {name: float(value) for name, value in zip(names, unit, strict=True)}
    return Collateral(columns=names, unit=units, unit_of=whose, rows=rows)


def _cell(
    shift: np.ndarray, unit: float, apart: float, some: PatientResampling, *, is_wanted: bool
) -> CollateralCell:
    """A cell of the collateral matrix.

    A shift is beyond what may happen where it is clear, larger than between visits, and MATERIAL:
    two visits can be so alike that any stray of a predictor is large beside them.

    Args:
        shift: Shift of each edit [E].
        unit: Difference between two visits.
        apart: Difference between the real classes; NaN where there is one class.
        some: Patients of the edits.
        is_wanted: Whether the change was requested.
    """
    mean = some.mean(shift / unit)
    ci = mean.ci
    share = float(shift.mean() / apart) if np.isfinite(apart) else None
    shares = None
    if share is not None and ci is not None:
        shares = [float(end * unit / apart) for end in ci]
    is_beside_zero = ci is not None and (ci[0] > 0 or ci[1] < 0)
    is_clear = is_beside_zero and mean.value is not None and abs(mean.value) > BEYOND
    is_material = share is None or abs(share) > MATERIAL
    return CollateralCell(
        value=mean.value,
        ci=ci,
        n=mean.n,
        share=share,
        share_ci=shares,
        is_requested=is_wanted,
        beyond=is_clear and is_material and not is_wanted,
    )


def _collateral_of_each(
    requested: RequestedChanges, predictions: Mapping[str, np.ndarray], unit: np.ndarray
) -> np.ndarray:
    """The largest shift of an attribute that was not asked for, of each edit."""
    shift = np.abs(predictions["counterfactual"] - predictions["original"]) / unit
    result: np.ndarray = np.where(requested.touched, 0.0, shift).max(1)
    return result


def _subgroups(records: Sequence[EditRecord], by: str | None) -> dict[str, np.ndarray]:
    """Value of an attribute of the originals, ages by decades -> which edits have it; nothing where
    there are not two values."""
    table = pd.DataFrame([record.attributes for record in records])
    if by is None or by not in table:
        return {}
    images = EvaluationImages(np.zeros((len(table), 1, 1, 3)), attributes=table)
    places = subgroups.places(images, by, "edited")
    masks = {value: np.isin(np.arange(len(table)), some) for value, some in places.items()}
    return masks if len(masks) > 1 else {}


def _warnings(
    effectiveness: Sequence[Change], collateral: Collateral, followed: FollowUps | None
) -> list[str]:
    """Sentences that a reader needs before the numbers."""
    warnings = []
    few = {row.change: row.patients for row in effectiveness if row.patients < MIN_PATIENTS}
    if few:
        each = ", ".join(f"{change(kind)} ({n})" for kind, n in few.items())
        warnings.append(
            f"Counterfactuals: too few to conclude, edits of fewer than {MIN_PATIENTS} patients: "
            f"{each}."
        )
    for kind, cells in collateral.rows.items():
        moved = [
            attribute(name)
            for name, cell in zip(collateral.columns, cells, strict=True)
            if cell.beyond
        ]
        if moved:
            warnings.append(
                f"Counterfactuals, {change(kind)}: {', '.join(moved)} changed, too, although not "
                "asked for, by more than between two visits of a patient."
            )
    if followed is not None:
        warnings += _losses(followed)
    if collateral.unit_of != "visits":
        warnings.append(
            "Counterfactuals: hardly any real patient came twice. Collateral changes are in units "
            "of the difference between any two patients."
        )
    return warnings


def _losses(followed: FollowUps) -> list[str]:
    """A sentence where counterfactuals are clearly less like the true scan than the originals."""
    worse = [
        f"{FOLLOW_UP[name]} {gain.value:+.4g} ({bounds(gain.ci)})"
        for name, gain in followed.gain.items()
        if _is_loss(gain)
    ]
    if not worse:
        return []
    return [
        (
            "Counterfactuals: less like the patient's own scan in the requested state than the "
            f"untouched original is, {count(followed.n, 'edit')} of "
            f"{count(followed.patients, 'patient')}: "
            f"{', '.join(worse)}."
        )
    ]


def _is_loss(gain: EditMean) -> bool:
    """Whether the whole interval lies below 0."""
    return gain.ci is not None and gain.ci[1] < 0


def _slope(observed: np.ndarray, wanted: np.ndarray) -> float | None:
    """Regression of the shift that was made on the one asked for, through 0: 1 is all of it, 0
    none."""
    known = np.isfinite(wanted)
    size = float(np.square(wanted[known]).sum())
    return float((observed[known] * wanted[known]).sum() / size) if size else None


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean() if len(values) else values


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, -np.inf)
