"""Traffic lights of utility, alignment and the card of counterfactuals. All thresholds here are ours.

What is hoped for is green only where all of its interval says so, and where an interval is too wide to say anything the light is
grey, not amber: nothing was found out. The worst part decides the colour of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from latentdrift.evaluate.card import BEYOND, MATERIAL
from latentdrift.evaluate.card import LEAST as FEW_EDITS
from latentdrift.evaluate.trial import ENOUGH, better_than_chance

Light = tuple[str, str, str]
Told = Mapping[str, Any]

BLIND = 0.1  # AUC or Dice: a difference of this size has to be seen where there is one, or no difference says nothing
SHOWN, HARDLY = 0.75, 0.5  # share of what the judges see in real images: the lower end from the first, the upper below the second
VAGUE = 0.5  # of the same: an interval that is wider says nothing
EXCESS = 1.5  # of the change that was asked for: an edit that makes more is not what was asked for
SEEN = 0.2  # of real differences that judges have to see before they can judge edits
KNOWN = 0.5  # of pairs of strangers that pass as one patient: a space that takes more of them for one cannot tell patients apart
WORST = ("red", "amber", "grey", "green")  # the first that a part has is the colour of the whole


def judge_answers(answers: Told) -> list[Light]:
    """One light for each question that was answered."""
    return [light for part, lights in LIGHTS.items() if part in answers for light in lights(answers[part])]


def _useful(told: Told) -> list[Light]:
    """Of `real + synthetic` against what it has to beat."""
    title, arm, unit = f"Of use? ({told['classes']})", told["arms"]["real + synthetic"], told["measure"]
    real, augmented = arm["difference_ci"], arm["augmented_difference_ci"]
    imitated = arm.get("gan_difference_ci")
    if real is None or augmented is None or min(told["tested"]["patients"]) < ENOUGH:
        return [(title, "grey", f"Not enough to say: fewer than {ENOUGH} test patients of a group.")]
    if not better_than_chance(told):
        words = (
            f"Not enough to say: learners of real images do not beat chance ({unit} {told['chance']:.2f}), so nothing is asked."
        )
        return [(title, "grey", words)]
    found = (
        f"Learners of real and synthetic images, less those of real images alone: {_signed(arm['difference'], real)} {unit}; "
        "less those of real images with turns and shifts, which cost nothing: "
        f"{_signed(arm['augmented_difference'], augmented)}. "
    )
    if imitated:
        found += f"Less those of real images and images of a small GAN: {_signed(arm['gan_difference'], imitated)}. "
    rule = (
        "Green where all of these intervals lie above 0, red where the first lies below. Not enough to say where it includes 0 "
        f"and a difference of {BLIND} could have been missed."
    )
    blind = real[0] <= 0 <= real[1] and real[1] - real[0] > 2 * BLIND
    lowest = min(ci[0] for ci in (real, augmented, imitated) if ci)
    colour = "red" if real[1] < 0 else "grey" if blind else "green" if lowest > 0 else "amber"
    return [(title, colour, ("Not enough to say. " if blind else "") + found + rule)]


def _shown(told: Told) -> list[Light]:
    """Judges' agreement with the labels of synthetic images, against that with real ones."""
    parts: dict[str, list[str]] = {}
    numbers = {name: one["metrics"]["r" if "r" in one["metrics"] else "auc"] for name, one in told["judged"].items()}
    if retrieval := told.get("retrieval"):
        numbers |= {"the whole prompt": retrieval["metrics"]["first"]}
    for name, number in numbers.items():
        share = _of_the_ceiling(number)
        colour = "grey" if share is None else _of_share(*share)
        said = "not told" if share is None else f"{share[0]:.0%} to {share[1]:.0%}"
        parts.setdefault(colour, []).append(f"{name} {said}")
    rule = (
        "Shares are of the way from shuffled labels to what the judges see in held-out real images (correlation or AUC; of the "
        "whole prompt, how often it is the one that goes best), 95 % "
        f"intervals. Green where all begin at {SHOWN:.0%} or above, red where one ends below {HARDLY:.0%}; not enough to say "
        f"where one lies between and is wider than {VAGUE:.0%}, has too few images, or is of what the judges do not see in real "
        "images."
    )
    return [("Shows what was asked?", _worst(parts), f"{_listed(parts)} {rule}")]


def _of_the_ceiling(metric: Told) -> tuple[float, float] | None:
    """How much of the ceiling a number reaches, floor to ceiling, as a 95 % interval; None where real images show nothing.

    The interval of the difference of two independent numbers comes from those of both (Zou and Donner 2008).
    """
    if None in (metric["ci"], metric["ceiling_ci"], metric["floor_range"]) or metric["ceiling_ci"][0] <= metric["floor_range"][1]:
        return None
    value, ceiling, floor = metric["value"], metric["ceiling"], metric["floor"]
    (low, high), (least, most) = metric["ci"], metric["ceiling_ci"]
    lower, upper = np.hypot(value - low, most - ceiling), np.hypot(high - value, ceiling - least)
    near, far = ((value - ceiling + by) / (ceiling - floor) for by in (-lower, upper))
    return float(1 + near), float(1 + far)


def _effective(told: Told) -> list[Light]:
    """What the judges see of what was asked for, against what they see of real differences."""
    parts: dict[str, list[str]] = {}
    for row in told["effectiveness"]:
        share = _of_the_change(row)
        if share is None or row["n"] < FEW_EDITS:
            parts.setdefault("grey", []).append(f"{row['change']} ({row['n']} edits) not told")
            continue
        colour = "amber" if share[0] > EXCESS else _of_share(*share)
        parts.setdefault(colour, []).append(f"{row['change']} ({row['n']} edits) {share[0]:.0%} to {share[1]:.0%}")
    rule = (
        "Shares are of the change that was asked for, as the judges see it in real images, 95 % intervals. Green where all begin "
        f"between {SHOWN:.0%} and {EXCESS:.0%}, red where one ends below {HARDLY:.0%}; not enough to say where one lies between "
        f"and is wider than {VAGUE:.0%}, has fewer than {FEW_EDITS} edits, or is of what the judges hardly see in real images."
    )
    return [("Edits do what was asked?", _worst(parts), f"{_listed(parts)} {rule}")]


def _of_the_change(row: Told) -> tuple[float, float] | None:
    """How much of a change was made, untouched to ceiling, as an interval; None where judges do not see it in real images."""
    if "reached" in row:
        way = 0.0 if row["ceiling"] is None else row["ceiling"] - row["untouched"]
        low, high = row["reached_ci"]
        return ((low - row["untouched"]) / way, (high - row["untouched"]) / way) if way > SEEN else None
    asked, ci, seen = row["asked"]["value"], row["moved"]["ci"], row["share_ceiling"]
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
                parts.setdefault(_of_cell(cell), []).append(f"{name} ({kind})")
    said = {colour: [f"{words}: {', '.join(parts[colour])}."] for colour, words in MOVED.items() if colour in parts}
    whose = "two visits of a patient" if told["collateral"]["unit_of"] == "visits" else "two real patients"
    rule = (
        f"Green where every 95 % interval stays within what lies between {whose}, or within {MATERIAL:.0%} of what lies between "
        "the real classes; red where a mean is clearly beyond both."
    )
    return [("And nothing else?", _worst(parts), " ".join([*(words for (words,) in said.values()), rule]))]


MOVED = {"red": "Moved too", "amber": "May have moved too far", "grey": "Not enough to say whether these moved"}


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
        (low, high), strangers = one["kept_ci"], one["strangers_kept"]
        untold = strangers is None or strangers > KNOWN or one["n"]["edits"] < FEW_EDITS
        colour = "grey" if untold else _of_share(low, high)
        passing = "no" if strangers is None else f"{strangers:.0%} of"
        sentence = (
            f"{one['kept']:.0%} of {one['n']['edits']} counterfactuals [{low:.0%} to {high:.0%}] are as like their originals as "
            f"95 % of repeat visits are like each other; {passing} pairs of strangers are. Green where the interval begins at "
            f"{SHOWN:.0%} or above, red where it ends below {HARDLY:.0%}; not enough to say with fewer than {FEW_EDITS} edits, "
            f"where the interval lies between and is wider than {VAGUE:.0%}, or where more than {KNOWN:.0%} of strangers pass."
        )
        found.append((title, colour, sentence))
    return found


def _of_share(low: float, high: float) -> str:
    return "green" if low >= SHOWN else "red" if high < HARDLY else "grey" if high - low > VAGUE else "amber"


def _worst(parts: Iterable[str]) -> str:
    return next((colour for colour in WORST if colour in parts), "grey")


def _listed(parts: Mapping[str, list[str]]) -> str:
    """What was found, the worst first."""
    names = [name for colour in WORST for name in parts.get(colour, ())]
    return f"{', '.join(names)}." if names else "Nothing could be judged."


def _signed(value: float, ci: Iterable[float]) -> str:
    low, high = ci
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


LIGHTS: dict[str, Callable[[Told], list[Light]]] = {
    "utility": _useful,
    "alignment": _shown,
    "card": lambda told: [*_effective(told), *_nothing_else(told), *_same_patient(told)],
}
