"""Traffic lights of utility, alignment and the card of counterfactuals. All thresholds here are
ours.

Green needs the whole interval on the good side. An interval that is too wide to say anything is
grey. An interval that lies wholly on the bad side is red, however little else is known. The worst
part decides the colour of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from latentdrift.evaluate.attributes.counterfactual_metrics import BEYOND, MATERIAL
from latentdrift.evaluate.attributes.counterfactual_metrics import LEAST as FEW
from latentdrift.evaluate.downstream.augmentation_experiment import ENOUGH, better_than_chance
from latentdrift.evaluate.images.attribute_words import attribute, change

Light = tuple[str, str, str]
Told = Mapping[str, Any]

# AUC or Dice: a difference of this size has to be seen where there is one, or no difference says
# nothing
BLIND = 0.1
SHOWN = 0.75
# share of what the judges see in real images: the lower end from the first, the upper below the
# second
HARDLY = 0.5
VAGUE = 0.5  # of the same: an interval that is wider says nothing
EXCESS = 1.5  # of the change that was asked for: an edit that makes more is not what was asked for
SEEN = 0.2  # of real differences that judges have to see before they can judge edits
# of pairs of strangers that pass as one patient: a space that takes more of them for one cannot
# tell patients apart
KNOWN = 0.5
WORST = ("red", "amber", "grey", "green")  # the first that a part has is the colour of the whole


def judge_answers(answers: Told) -> list[Light]:
    """One light for each question that was answered."""
    return [
        light
        for part, lights in LIGHTS.items()
        if part in answers
        for light in lights(answers[part])
    ]


def _useful(told: Told) -> list[Light]:
    """Light of `real + synthetic` against its rivals."""
    title = f"Of use? ({attribute(told['classes'])})"
    arm = told["arms"]["real + synthetic"]
    unit = told["measure"]
    found = {words: (arm.get(field), arm.get(f"{field}_ci")) for field, words in RIVALS.items()}
    known = {
        words: (value, ci)
        for words, (value, ci) in found.items()
        if value is not None and ci is not None
    }
    few = min(told["tested"]["patients"]) < ENOUGH
    limits = []
    if len(known) < 2 or few:
        limits.append(f"Not enough to say: fewer than {ENOUGH} test patients of a group.")
    if not better_than_chance(told):
        limits.append(
            "Not enough to say: classifiers that learned from real images are not better than "
            f"chance ({unit} {told['chance']:.2f})."
        )
    parts = [f"{words} {_signed(value, ci)}" for words, (value, ci) in known.items()]
    measured = (
        f"Change of the {unit} on real test images by adding the synthetic images, against "
        f"{'; '.join(parts)}."
        if parts
        else ""
    )
    ends = [ci for _, ci in known.values()]
    real = arm["difference_ci"]
    blind = real is not None and real[0] <= 0 <= real[1] and real[1] - real[0] > 2 * BLIND
    if any(ci[1] < 0 for ci in ends):
        return [(title, "red", " ".join([measured, *limits, USEFUL]))]
    if limits:
        return [(title, "grey", " ".join([*limits, measured]).strip())]
    colour = "grey" if blind else "green" if min(ci[0] for ci in ends) > 0 else "amber"
    return [(title, colour, " ".join(["Not enough to say."] * blind + [measured, USEFUL]))]


RIVALS = {
    "difference": "real images alone",
    "augmented_difference": "real images that are turned and shifted (which costs nothing)",
    "gan_difference": "real images and images of a small GAN",
}
"""Field of an arm -> what `real + synthetic` is compared with."""

USEFUL = (
    "Green: all intervals above 0. Red: one of them below 0. Not enough to say: the first includes "
    f"0, and a difference of {BLIND} could have been missed."
)


def _shown(told: Told) -> list[Light]:
    """Judges' agreement with the labels of synthetic images, against that with real ones."""
    parts: dict[str, list[str]] = {}
    numbers = {
        attribute(name): one["metrics"]["r" if "r" in one["metrics"] else "auc"]
        for name, one in told["judged"].items()
    }
    if retrieval := told.get("retrieval"):
        numbers |= {"whole prompt": retrieval["metrics"]["first"]}
    for name, number in numbers.items():
        share = _of_the_ceiling(number)
        colour = "grey" if share is None else _of_share(*share)
        said = "cannot be judged" if share is None else f"{share[0]:.0%} to {share[1]:.0%}"
        parts.setdefault(colour, []).append(f"{name} {said}")
    rule = (
        "95 % intervals of how well the attribute can be recognised in the synthetic images: 0 % "
        "as with shuffled labels, 100 % as in held-out real images (by correlation or AUC; whole "
        f"prompt: how often the own prompt fits best). Green: all from {SHOWN:.0%}. Red: one ends "
        f"below {HARDLY:.0%}. Not enough to say: an interval between these is wider than "
        f"{VAGUE:.0%}. Cannot be judged: too few images, or the classifiers do not recognise the "
        "attribute in real images."
    )
    return [("Shows what was asked?", _worst(parts), f"{_listed(parts)} {rule}")]


def _of_the_ceiling(metric: Told) -> tuple[float, float] | None:
    """How much of the ceiling a number reaches, floor to ceiling, as a 95 % interval; None where
    real images show nothing.

    The interval of the difference of two independent numbers comes from those of both (Zou and
    Donner 2008).
    """
    if (
        None in (metric["ci"], metric["ceiling_ci"], metric["floor_range"])
        or metric["ceiling_ci"][0] <= metric["floor_range"][1]
    ):
        return None
    value = metric["value"]
    ceiling = metric["ceiling"]
    floor = metric["floor"]
    (low, high), (least, most) = metric["ci"], metric["ceiling_ci"]
    lower = np.hypot(value - low, most - ceiling)
    upper = np.hypot(high - value, ceiling - least)
    near, far = ((value - ceiling + by) / (ceiling - floor) for by in (-lower, upper))
    return float(1 + near), float(1 + far)


def _effective(told: Told) -> list[Light]:
    """What the judges see of what was asked for, against what they see of real differences."""
    parts: dict[str, list[str]] = {}
    for row in told["effectiveness"]:
        share = _of_the_change(row)
        name = f"{change(row['change'])} ({row['n']} edits of {row['patients']} patients)"
        if row["patients"] < FEW:
            parts.setdefault("grey", []).append(f"{name}: too few patients")
        elif _moved_away(row):
            parts.setdefault("red", []).append(
                f"{name}: moved away from the target ({_ends(row['moved']['ci'])})"
            )
        elif share is None:
            parts.setdefault("grey", []).append(f"{name}: cannot be judged")
        else:
            colour = "amber" if share[0] > EXCESS else _of_share(*share)
            parts.setdefault(colour, []).append(f"{name}: {share[0]:.0%} to {share[1]:.0%}")
    rule = (
        "95 % intervals of the share of the change that was made: 100 % is what the classifiers "
        f"see of such a difference between real images. Green: all begin between {SHOWN:.0%} and "
        f"{EXCESS:.0%}. Red: one ends below {HARDLY:.0%}, or moves away from the target. Not "
        f"enough to say: an interval between these is wider than {VAGUE:.0%}, or edits of fewer "
        f"than {FEW} patients. Cannot be judged: the classifiers hardly see the difference in real "
        "images, or the originals have it already."
    )
    return [("Edits do what was asked?", _worst(parts), f"{_listed(parts)} {rule}")]


def _moved_away(row: Told) -> bool:
    """Whether the whole interval of what the judges see move lies on the wrong side of 0."""
    ci = row["moved"]["ci"]
    if ci is None:
        return False
    wanted = 1.0 if "reached" in row else float(row["asked"]["value"] or 0.0)
    return bool(wanted and max(wanted * ci[0], wanted * ci[1]) < 0)


def _ends(ci: Iterable[float]) -> str:
    low, high = ci
    return f"{low:+.3f} to {high:+.3f}"


def _of_the_change(row: Told) -> tuple[float, float] | None:
    """How much of a change was made, untouched to ceiling, as an interval; None where judges do not
    see it in real images."""
    if "reached" in row:
        way = (
            0.0
            if row["ceiling"] is None or row["reached_ci"] is None
            else row["ceiling"] - row["untouched"]
        )
        low, high = row["reached_ci"] or (0.0, 1.0)
        return (
            ((low - row["untouched"]) / way, (high - row["untouched"]) / way)
            if way > SEEN
            else None
        )
    asked = row["asked"]["value"]
    ci = row["moved"]["ci"]
    seen = row["share_ceiling"]
    if not asked or ci is None or seen is None or seen <= SEEN:
        return None
    low, high = sorted(end / (asked * seen) for end in ci)
    return low, high


def _nothing_else(told: Told) -> list[Light]:
    """The collateral matrix: is every change that nobody asked for surely small?"""
    parts: dict[str, list[str]] = {}
    for kind, cells in told["collateral"]["rows"].items():
        for name, cell in zip(told["collateral"]["columns"], cells, strict=True):
            if not cell["asked"]:
                parts.setdefault(_of_cell(cell), []).append(
                    f"{attribute(name)} (edits: {change(kind)})"
                )
    said = [
        f"{words}: {', '.join(parts[colour])}."
        for colour, words in MOVED.items()
        if colour in parts
    ]
    whose = (
        "two visits of a patient"
        if told["collateral"]["unit_of"] == "visits"
        else "two real patients"
    )
    rule = (
        f"Green: every 95 % interval is within the difference between {whose}, or within "
        f"{MATERIAL:.0%} of the difference between the real classes. Red: a mean is clearly beyond "
        "both."
    )
    return [("And nothing else?", _worst(parts), " ".join([*said, rule]))]


MOVED = {
    "red": "Changed although not asked for",
    "amber": "May have changed too far",
    "grey": "Not enough to say whether these changed",
}


def _of_cell(cell: Told) -> str:
    if cell["beyond"]:
        return "red"
    if cell["ci"] is None:
        return "grey"
    far = max(map(abs, cell["ci"]))
    shares = cell["share_ci"]
    if far <= BEYOND or (shares is not None and max(map(abs, shares)) <= MATERIAL):
        return "green"
    return "grey" if cell["ci"][0] <= 0 <= cell["ci"][1] else "amber"


def _same_patient(told: Told) -> list[Light]:
    """For each feature space, whether edits stay as near as repeat visits do."""
    found = []
    for label, one in told["identity"].items():
        title = f"Still the same patient? ({label})"
        if one is None:
            found.append((title, "grey", "Not enough to say: too few real patients came twice."))
            continue
        n = one["n"]
        strangers = one["strangers_kept"]
        passing = "none" if strangers is None else f"{strangers:.0%}"
        shown = f"[{_percent(one['kept_ci'])}]" if one["kept_ci"] else "[no interval]"
        sentence = (
            f"{one['kept']:.0%} {shown} of {n['edits']} counterfactuals ({n['patients']} patients) "
            "are at least as similar to their originals as 95 % of repeat visits of a patient are "
            f"to each other; of pairs of different patients {passing}. Green: from {SHOWN:.0%}. "
            f"Red: the interval ends below {HARDLY:.0%}. Not enough to say: fewer than {FEW} "
            f"patients, an interval between these that is wider than {VAGUE:.0%}, or more than "
            f"{KNOWN:.0%} of different patients pass."
        )
        found.append((title, _of_identity(one), sentence))
    return found


def _of_identity(one: Told) -> str:
    """That strangers pass makes a pass worthless, and a failure no better."""
    ci = one["kept_ci"]
    strangers = one["strangers_kept"]
    if ci is None or one["n"]["patients"] < FEW:
        return "grey"
    colour = _of_share(*ci)
    return "grey" if colour != "red" and (strangers is None or strangers > KNOWN) else colour


def _percent(ci: Iterable[float]) -> str:
    low, high = ci
    return f"{low:.0%} to {high:.0%}"


def _of_share(low: float, high: float) -> str:
    return (
        "green"
        if low >= SHOWN
        else "red"
        if high < HARDLY
        else "grey"
        if high - low > VAGUE
        else "amber"
    )


def _worst(parts: Iterable[str]) -> str:
    return next((colour for colour in WORST if colour in parts), "grey")


def _listed(parts: Mapping[str, list[str]]) -> str:
    """What was found, the worst first."""
    names = [name for colour in WORST for name in parts.get(colour, ())]
    return f"{'; '.join(names)}." if names else "Nothing could be judged."


def _signed(value: float, ci: Iterable[float]) -> str:
    low, high = ci
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


LIGHTS: dict[str, Callable[[Told], list[Light]]] = {
    "utility": _useful,
    "alignment": _shown,
    "card": lambda told: [*_effective(told), *_nothing_else(told), *_same_patient(told)],
}
