"""Do edits change what was requested, and nothing else?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from latentdrift.display.counting import count
from latentdrift.display.html_report import Block, Colour
from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.counterfactual_metrics import (
    BEYOND,
    MATERIAL,
    MIN_PATIENTS,
    card,
)
from latentdrift.evaluate.attributes.counterfactual_results import (
    Card,
    Change,
    ClassChange,
    Collateral,
    CollateralCell,
    unit_words,
)
from latentdrift.evaluate.evaluations.counterfactual_section import card_blocks
from latentdrift.evaluate.evaluations.evaluation import (
    NO_COST,
    Evaluation,
    EvaluationResult,
    Inputs,
    Light,
    Page,
    Request,
    Results,
    TrainingCost,
    predictor_cost,
)
from latentdrift.evaluate.evaluations.light_rules import (
    GREEN_FROM,
    MAX_WIDTH,
    RED_BELOW,
    colour_of_share,
    list_by_colour,
    worst_colour,
)
from latentdrift.evaluate.images.attribute_words import attribute, change
from latentdrift.evaluate.privacy.repeat_visits import Identity
from latentdrift.longitudinal.tissue_volumes import shows_brains

MAX_SHARE = 1.5
"""Share of the requested change: an edit that makes more does not do what was requested (ours)."""
MIN_SEEN = 0.2
"""Share of real differences that predictors have to see before they judge edits (ours)."""
MAX_STRANGERS = 0.5
"""Share of pairs of different patients that pass as one patient: a space with more is blind."""
NO_CARD = (
    "No card of the counterfactuals: its judges learn from a train split and are measured on "
    "another one."
)


class CounterfactualResult(EvaluationResult):
    """Scores of the counterfactuals; empty where they could not be computed."""

    needs_training: ClassVar[bool] = True
    card: Card | None = None


def check(request: Request) -> list[str]:
    """Check the options of scored edits, and load the classifier's description.

    Returns:
        A sentence where edits are not scored, because the cohort has no held-out patients.

    Raises:
        InputError: The classifier cannot be read.
    """
    if request.scores_edits:
        _ = request.network
        return []
    return [NO_CARD] if request.options.card and request.options.edits else []


def cost(request: Request) -> TrainingCost:
    """Cost of training the attribute predictors; nothing where `alignment` trains them already."""
    trains = request.scores_edits and not request.options.alignment
    return predictor_cost(request) if trains else NO_COST


def compute(inputs: Inputs) -> CounterfactualResult | None:
    """Score the edits; None where they are not scored."""
    request = inputs.request
    if request is None or not request.scores_edits:
        return None
    try:
        scores = card(
            inputs.predictors,
            inputs.edits,
            inputs.real,
            inputs.spaces,
            request.cohort.attributes,
            size=int(inputs.real.images.shape[1]),
            brains=shows_brains(request.cohort.describe),
            by=request.subgroup_column,
            resampling=inputs.resampling,
        )
    except InputError as error:
        return CounterfactualResult(warnings=[f"No card of the counterfactuals: {error}."])
    return CounterfactualResult(card=scores, warnings=scores.warnings)


def lights(results: Results) -> list[Light]:
    """Traffic lights of effectiveness, collateral changes and identity; empty without a result."""
    result = results.get(CounterfactualResult)
    if result is None or result.card is None:
        return []
    scores = result.card
    return [
        effectiveness_light(scores.effectiveness),
        collateral_light(scores.collateral),
        *[identity_light(label, identity) for label, identity in scores.identity.items()],
    ]


def effectiveness_light(changes: Iterable[Change]) -> Light:
    """Traffic light of effectiveness: the share of each requested change that was made."""
    parts: dict[Colour, list[str]] = {}
    for row in changes:
        colour, finding = _judge_change(row)
        name = f"{change(row.change)} ({count(row.n, 'edit')} of {count(row.patients, 'patient')})"
        parts.setdefault(colour, []).append(f"{name}: {finding}")
    rule = (
        "The 95 % intervals show the share of the requested change that was made. 100 % "
        "is the difference that the classifiers see between real images. Green: every "
        f"interval begins between {GREEN_FROM:.0%} and {MAX_SHARE:.0%}. Red: an interval "
        f"ends below {RED_BELOW:.0%}, or the change goes in the wrong direction. Not "
        f"enough to say: an interval between these is wider than {MAX_WIDTH:.0%}, or fewer "
        f"than {MIN_PATIENTS} patients were edited. Cannot be judged: the classifiers see "
        f"less than {MIN_SEEN:.0%} of the difference in real images, or the originals "
        "already have the target."
    )
    return "Edits do what was asked?", worst_colour(parts), f"{list_by_colour(parts)} {rule}"


def _judge_change(row: Change) -> tuple[Colour, str]:
    """Colour and finding of one kind of change."""
    if row.patients < MIN_PATIENTS:
        return "grey", "too few patients"
    if moves_away(row) and row.moved.ci is not None:
        low, high = row.moved.ci
        return "red", f"moved away from the target ({low:+.3f} to {high:+.3f})"
    share = share_of_change(row)
    if share is None:
        return "grey", "cannot be judged"
    colour: Colour = "amber" if share[0] > MAX_SHARE else colour_of_share(*share)
    return colour, f"{share[0]:.0%} to {share[1]:.0%}"


def moves_away(row: Change) -> bool:
    """Whether the whole 95 % interval of a change has the sign opposite to the request."""
    ci = row.moved.ci
    if ci is None:
        return False
    wanted = 1.0 if isinstance(row, ClassChange) else float(row.requested.value or 0.0)
    return bool(wanted and max(wanted * ci[0], wanted * ci[1]) < 0)


def share_of_change(row: Change) -> tuple[float, float] | None:
    """95 % interval of the share of a requested change that was made.

    Returns:
        (low, high), 0 at the original and 1 at the change in real images. None without an interval,
        or where predictors do not see the change in real images.
    """
    if isinstance(row, ClassChange):
        if row.ceiling is None or row.reached_ci is None:
            return None
        visible = row.ceiling - row.untouched
        low, high = row.reached_ci
        if visible <= MIN_SEEN:
            return None
        return (low - row.untouched) / visible, (high - row.untouched) / visible
    wanted = row.requested.value
    ci = row.moved.ci
    seen = row.share_ceiling
    if not wanted or ci is None or seen is None or seen <= MIN_SEEN:
        return None
    low, high = sorted(end / (wanted * seen) for end in ci)
    return low, high


CELL_FINDINGS: dict[Colour, str] = {
    "red": "Changed although not requested",
    "amber": "May have changed too much",
    "grey": "Not enough to say whether these changed",
}


def collateral_light(collateral: Collateral) -> Light:
    """Traffic light of changes in attributes that were not requested."""
    parts: dict[Colour, list[str]] = {}
    for kind, cells in collateral.rows.items():
        for name, cell in zip(collateral.columns, cells, strict=True):
            if not cell.is_requested:
                finding = f"{attribute(name)} (edits: {change(kind)})"
                parts.setdefault(_colour_of_cell(cell), []).append(finding)
    sentences = [
        f"{finding}: {', '.join(parts[colour])}."
        for colour, finding in CELL_FINDINGS.items()
        if colour in parts
    ]
    rule = (
        "Green: every 95 % interval lies within the difference between "
        f"{unit_words(collateral)}, or within {MATERIAL:.0%} of the difference between the "
        "real classes. Red: a mean change clearly exceeds both."
    )
    return "And nothing else?", worst_colour(parts), " ".join([*sentences, rule])


def _colour_of_cell(cell: CollateralCell) -> Colour:
    if cell.beyond:
        return "red"
    if cell.ci is None:
        return "grey"
    shares = cell.share_ci
    is_small = max(map(abs, cell.ci)) <= BEYOND
    is_immaterial = shares is not None and max(map(abs, shares)) <= MATERIAL
    if is_small or is_immaterial:
        return "green"
    return "grey" if cell.ci[0] <= 0 <= cell.ci[1] else "amber"


def identity_light(label: str, identity: Identity | None) -> Light:
    """Traffic light of identity: are edits as similar to their originals as repeat visits are?

    Args:
        label: Feature space, for the title.
        identity: Similarities; None: too few patients have two visits.
    """
    title = f"Still the same patient? ({label})"
    if identity is None:
        return title, "grey", "Not enough to say: too few real patients have two visits."
    n = identity.n
    ci = identity.passing_ci
    interval = f"[{ci[0]:.0%} to {ci[1]:.0%}]" if ci else "[no interval]"
    strangers = identity.strangers_passing
    passing = "not measured" if strangers is None else f"{strangers:.0%}"
    sentence = (
        f"{identity.passing:.0%} {interval} of {count(n['edits'], 'counterfactual')} "
        f"({count(n['patients'], 'patient')}) resemble their originals at least as much as 95 % of "
        "repeat visits of one patient resemble each other. Pairs of different patients: "
        f"{passing}. Green: at least {GREEN_FROM:.0%}. Red: the interval ends below "
        f"{RED_BELOW:.0%}. Not enough to say: fewer than {MIN_PATIENTS} patients, an "
        f"interval between these that is wider than {MAX_WIDTH:.0%}, or more than "
        f"{MAX_STRANGERS:.0%} of pairs of different patients."
    )
    return title, _colour_of_identity(identity), sentence


def _colour_of_identity(identity: Identity) -> Colour:
    """Colour of the share that passes. Passing means nothing where different patients pass, too."""
    ci = identity.passing_ci
    if ci is None or identity.n["patients"] < MIN_PATIENTS:
        return "grey"
    colour = colour_of_share(*ci)
    strangers = identity.strangers_passing
    is_blind = strangers is None or strangers > MAX_STRANGERS
    return "grey" if colour != "red" and is_blind else colour


def section(page: Page) -> list[Block]:
    """Section of the page: tables, the collateral matrix, and the worst edits; empty without a
    result."""
    result = page.results.get(CounterfactualResult)
    if result is None or result.card is None:
        return []
    return card_blocks(result.card, page.edits)


COUNTERFACTUALS = Evaluation(
    result=CounterfactualResult,
    compute=compute,
    check=check,
    lights=lights,
    section=section,
    cost=cost,
    first_set_only=True,
)
