"""The card of a set of counterfactuals: did what was asked for happen, and nothing else?

    composition     asked for nothing, the editor gives the picture back (Monteiro et al. 2023)
    effectiveness   the attribute that was asked for takes the value that was asked for (ibid.), by judges that guided nothing
    minimality      how much changed at all, and outside of the edit's mask where there is one
    collateral      how far the judges see every attribute move, also those that nobody asked for, in units of how far they see
                    it move between two visits of a patient, and as a share of what lies between the
                    real classes
    identity        the counterfactual is as like its original as two visits of a patient are like each other
    realism         the counterfactuals of a change are like real images that have its target
    follow-ups      where the patient came again in the target state, the counterfactual is like that visit
    reversibility   edited back, it is the original again (ibid.); where somebody edited back

START READING AT `card`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from latentdrift.evaluate.attributes.attribute_predictors import Judges
from latentdrift.evaluate.attributes.ground_truth import CHANGED
from latentdrift.evaluate.attributes.interventions import follow_ups, realism
from latentdrift.evaluate.attributes.requested_changes import Asked
from latentdrift.evaluate.images import subgroups
from latentdrift.evaluate.images.attribute_words import FOLLOW_UP, attribute, change
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.metrics.image_similarity import patients_of
from latentdrift.evaluate.privacy.repeat_visits import Space, between, identity, pairs_of, spread
from latentdrift.evaluate.statistics.bootstrap import Resampling, groups
from latentdrift.html_report import bounds

NOTHING = (
    "nothing (reconstruction)"  # the row of the collateral matrix that no change was asked for in
)
BEYOND = 1.0  # of that unit: a mean shift above it is more than a patient moves between visits
# of the way from one real class to the other, below which a shift is no change of attribute (a
# choice of ours)
MATERIAL = 0.25
# patients with edits of a kind, below which only its numbers are given and nothing is concluded
# (ours)
LEAST = 5
WORST = 3  # edits shown under each heading
STATES = ("original", "reconstruction", "counterfactual")


def card(
    judges: Judges,
    edits: Sequence[Mapping[str, Any]],
    real: ImageSet,
    spaces: Mapping[str, Space],
    spec: Mapping[str, Any],
    *,
    size: int,
    by: str | None = None,
    bootstrap: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge what `edit` made; see `report.py` for the fields.

    Args:
        judges: Of attributes.
        edits: From `similarity.read_edits`.
        real: Held-out real pictures, of which some are of one patient.
        spaces: Feature spaces in which identity is looked at.
        spec: The cohort's attributes.
        size: Pixels on a side at which all of them are judged.
        by: An attribute of the originals for whose values effectiveness is also given.
        bootstrap, seed: As everywhere.
    """
    asked = Asked.of(judges, [edit["record"] for edit in edits], spec)
    sets = {
        name: ImageSet(np.stack([_squared(edit[name], size) for edit in edits])) for name in STATES
    }
    said = {name: judges(images) for name, images in sets.items()}
    people = Resampling(groups(len(edits), patients_of(edits)), bootstrap, seed)
    truths = judges.truths(real.attributes, len(real))
    seen = judges(real)
    unit, whose = spread(seen, pairs_of(real), seed)
    everyone = np.ones(len(edits), bool)
    numbers = np.array([output.value is None for output in judges.outputs])
    parts = _subgroups([edit["record"] for edit in edits], by)
    changes = _changes(edits)
    worst = changes | {"collateral": _collateral_of_each(asked, said, unit)}
    names = [edit["name"] for edit in edits]
    told = {
        "n": len(edits),
        "patients": people.patients,
        "kinds": asked.kinds,
        "effectiveness": _effectiveness(judges, asked, said, truths, seen, everyone, people),
        "composition": people.mean(changes["reconstruction"]),
        "minimality": {
            name: people.mean(changes[name])
            for name in ("change", "area", "outside")
            if name in changes
        },
        "collateral": _collateral(
            judges, asked, said, unit, between(seen, truths, numbers), whose, people
        ),
        "realism": realism(asked, edits, sets, real, truths, spaces, people),
        "follow_ups": follow_ups(edits, sets, real, spec, people),
        "identity": {label: identity(space, sets, real, people) for label, space in spaces.items()},
        "reversibility": people.mean(changes["reversed"]) if "reversed" in changes else None,
        "by": by if parts else None,
        "subgroups": {
            v: _effectiveness(judges, asked, said, truths, seen, places, people)
            for v, places in parts.items()
        },
        "worst": {
            name: [names[i] for i in np.argsort(-_finite(worst[name]))[:WORST]]
            for name in worst
            if name != "area"
        },
    }
    return told | {"warnings": _warnings(told)}


def _squared(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture [H, W, 3] in [0, 1] as the real ones are brought to a square [size, size, 3]."""
    from latentdrift.data.cohort.cohort import background
    from latentdrift.data.images.letterbox import Fit

    fitted = Fit(picture.shape[0], picture.shape[1], size).apply(picture, fill=background(picture))
    return np.asarray(fitted, dtype=np.float32).clip(0, 1)


def _changes(edits: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Of each edit, as shares of the intensity range: see `report.py`; `outside` and `reversed`
    where any edit has them."""
    found: dict[str, list[float]] = {
        name: [] for name in ("reconstruction", "change", "area", "outside", "reversed")
    }
    for edit in edits:
        original, again, made = (edit[name].astype(np.float64) for name in STATES)
        moved = np.abs(made - (original if edit["record"].get("detail") else again)).mean(-1)
        found["reconstruction"].append(float(np.abs(again - original).mean()))
        found["change"].append(float(moved.mean()))
        found["area"].append(float((moved > CHANGED).mean()))
        outside = None if edit.get("mask") is None else edit["mask"].mean(-1) == 0
        found["outside"].append(
            float(np.abs(made - original)[outside].mean())
            if outside is not None and outside.any()
            else np.nan
        )
        found["reversed"].append(
            np.nan
            if edit.get("reverse") is None
            else float(np.abs(edit["reverse"] - original).mean())
        )
    return {name: np.array(values) for name, values in found.items() if np.isfinite(values).any()}


def _effectiveness(
    judges: Judges,
    asked: Asked,
    said: Mapping[str, np.ndarray],
    truths: np.ndarray,
    seen: np.ndarray,
    places: np.ndarray,
    people: Resampling,
) -> list[dict[str, Any]]:
    """One row for each kind of change: what was asked for, what the judges see before and after,
    and what they are worth."""
    found = []
    for kind in asked.kinds:
        rows, (place, after) = asked.rows(kind) & places, asked.target(kind)
        output = judges.outputs[place]
        count = int(rows.sum())
        if not count:
            continue
        known = ~np.isnan(truths[:, place])
        before = said["original"][rows, place]
        made = said["counterfactual"][rows, place]
        some = people.take(rows)
        row: dict[str, Any] = {
            "change": kind,
            "judged": output.name,
            "unit": output.unit,
            "n": count,
        }
        row["patients"] = some.patients
        if output.value is None:
            wanted = asked.after[rows, place]
            shift = asked.after[rows, place] - asked.before[rows, place]
            row |= {"asked": some.mean(shift), "moved": some.mean(made - before)}
            row["share"] = _slope(made - before, shift)
            row["error"], row["untouched"] = (
                some.mean(np.abs(made - wanted)),
                float(np.abs(before - wanted).mean()),
            )
            row["ceiling"] = (
                float(np.abs(seen - truths)[known, place].mean()) if known.any() else None
            )
            row["share_ceiling"] = _slope(
                _centred(seen[known, place]), _centred(truths[known, place])
            )
        else:
            side = 1 if after else -1
            held = known & (truths[:, place] == after)
            hits = side * made > 0
            row |= {"reached": float(hits.mean()), "reached_ci": some.share(hits)}
            row |= {
                "untouched": float((side * before > 0).mean()),
                "moved": some.mean(side * (made - before)),
            }
            row["ceiling"] = float((side * seen[held, place] > 0).mean()) if held.any() else None
        found.append(row)
    return found


def _collateral(
    judges: Judges,
    asked: Asked,
    said: Mapping[str, np.ndarray],
    unit: np.ndarray,
    apart: np.ndarray,
    whose: str,
    people: Resampling,
) -> dict[str, Any]:
    """Mean shift of every judged attribute, in units of its spread, for every kind of change; and
    for none.

    A shift is beyond what may happen where it is clear, larger than between visits, and MATERIAL:
    two visits can be so alike that any stray of a judge is large beside them.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    everyone = np.ones(len(said["original"]), bool)
    for kind, places in [*((kind, asked.rows(kind)) for kind in asked.kinds), (NOTHING, everyone)]:
        state = "reconstruction" if kind == NOTHING else "counterfactual"
        shift = (said[state] - said["original"])[places]
        wanted = np.zeros(shift.shape, bool) if kind == NOTHING else asked.touched[places]
        rows[kind], some = [], people.take(places)
        for place in range(len(judges.outputs)):
            mean = some.mean(shift[:, place] / unit[place])
            on_purpose = bool(wanted[:, place].any())
            ci = mean["ci"]
            clear = ci is not None and (ci[0] > 0 or ci[1] < 0) and abs(mean["value"]) > BEYOND
            share = (
                float(shift[:, place].mean() / apart[place]) if np.isfinite(apart[place]) else None
            )
            clear = clear and (share is None or abs(share) > MATERIAL)
            shares = (
                None
                if share is None or ci is None
                else [float(end * unit[place] / apart[place]) for end in ci]
            )
            cell = {**mean, "share": share, "share_ci": shares, "asked": on_purpose}
            rows[kind].append(cell | {"beyond": bool(clear and not on_purpose)})
    names = [output.name for output in judges.outputs]
    units = {name: float(value) for name, value in zip(names, unit, strict=True)}
    return {"columns": names, "unit": units, "unit_of": whose, "rows": rows}


def _collateral_of_each(
    asked: Asked, said: Mapping[str, np.ndarray], unit: np.ndarray
) -> np.ndarray:
    """The largest shift of an attribute that was not asked for, of each edit."""
    shift = np.abs(said["counterfactual"] - said["original"]) / unit
    return np.where(asked.touched, 0.0, shift).max(1)


def _subgroups(records: Sequence[Mapping[str, Any]], by: str | None) -> dict[str, np.ndarray]:
    """Value of an attribute of the originals, ages by decades -> which edits have it; nothing where
    there are not two values."""
    table = pd.DataFrame([record.get("attributes", {}) for record in records])
    if by is None or by not in table:
        return {}
    images = ImageSet(np.zeros((len(table), 1, 1, 3)), attributes=table)
    places = subgroups.places(images, by, "edited")
    found = {value: np.isin(np.arange(len(table)), some) for value, some in places.items()}
    return found if len(found) > 1 else {}


def _warnings(told: Mapping[str, Any]) -> list[str]:
    found = []
    few = {
        row["change"]: row["patients"] for row in told["effectiveness"] if row["patients"] < LEAST
    }
    if few:
        each = ", ".join(f"{change(kind)} ({n})" for kind, n in few.items())
        found.append(
            f"Counterfactuals: too few to conclude, edits of fewer than {LEAST} patients: {each}."
        )
    columns = told["collateral"]["columns"]
    for kind, cells in told["collateral"]["rows"].items():
        moved = [
            attribute(name) for name, cell in zip(columns, cells, strict=True) if cell["beyond"]
        ]
        if moved:
            found.append(
                f"Counterfactuals, {change(kind)}: {', '.join(moved)} changed, too, although not "
                "asked for, by more than between two visits of a patient."
            )
    followed = told["follow_ups"]
    gains = followed["gain"].items() if followed else ()
    worse = [
        f"{FOLLOW_UP[name]} {gain['value']:+.4g} ({bounds(gain['ci'])})"
        for name, gain in gains
        if _is_worse(gain)
    ]
    if worse:
        found.append(
            "Counterfactuals: less like the patient's own scan in the requested state than the "
            f"untouched original is, {followed['n']} edits of {followed['patients']} patients: "
            f"{', '.join(worse)}."
        )
    if told["collateral"]["unit_of"] != "visits":
        found.append(
            "Counterfactuals: hardly any real patient came twice. Collateral changes are in units "
            "of the difference between any two patients."
        )
    return found


def _is_worse(gain: Mapping[str, Any]) -> bool:
    """Whether the whole interval lies below 0."""
    return gain["ci"] is not None and gain["ci"][1] < 0


def _slope(made: np.ndarray, wanted: np.ndarray) -> float | None:
    """Regression of the shift that was made on the one asked for, through 0: 1 is all of it, 0
    none."""
    known = np.isfinite(wanted)
    size = float(np.square(wanted[known]).sum())
    return float((made[known] * wanted[known]).sum() / size) if size else None


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean() if len(values) else values


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, -np.inf)
