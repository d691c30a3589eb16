"""Do images show what their table says? Attribute predictors against the labels."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np

from latentdrift.display import html_report
from latentdrift.display.html_report import Colour, estimate
from latentdrift.evaluate.attributes.agreement_metrics import CLASSES, NUMBERS, Agreement, align
from latentdrift.evaluate.evaluations.evaluation import (
    NO_COST,
    Evaluation,
    EvaluationResult,
    Inputs,
    Light,
    Page,
    Request,
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
from latentdrift.evaluate.images.attribute_words import attribute
from latentdrift.evaluate.statistics.results import Interval

TITLE = "Shows what was asked?"


class RankedMetric(Protocol):
    """A number between its floor, which is chance, and its ceiling, which is real images."""

    @property
    def value(self) -> float | None: ...
    @property
    def ci(self) -> Interval | None: ...
    @property
    def floor(self) -> float | None: ...
    @property
    def floor_range(self) -> Interval | None: ...
    @property
    def ceiling(self) -> float | None: ...
    @property
    def ceiling_ci(self) -> Interval | None: ...


class AgreementResult(EvaluationResult):
    """Agreement of the images with their table."""

    needs_training: ClassVar[bool] = True
    alignment: Agreement


def check(request: Request) -> list[str]:
    """Check the options of `alignment`, and load the classifier's description.

    Returns:
        Sentences for the report: none.

    Raises:
        OptionError, CohortError: `alignment` without a usable training split.
        InputError: The classifier cannot be read.
    """
    if request.options.alignment:
        request.require_training_split("alignment")
        _ = request.network
    return []


def cost(request: Request) -> TrainingCost:
    """Cost of training the attribute predictors; nothing without `alignment`."""
    return predictor_cost(request) if request.options.alignment else NO_COST


def compute(inputs: Inputs) -> AgreementResult | None:
    """Measure the agreement of every attribute; None without `alignment`."""
    if inputs.request is None or not inputs.request.options.alignment:
        return None
    agreement = align(
        inputs.predictors, inputs.real, inputs.synthetic, resampling=inputs.resampling
    )
    return AgreementResult(alignment=agreement)


def agreement_light(numbers: dict[str, RankedMetric]) -> Light:
    """Traffic light of agreement, by each metric's way from its floor to its ceiling.

    Args:
        numbers: Title of an attribute -> its metric.
    """
    parts: dict[Colour, list[str]] = {}
    for name, number in numbers.items():
        share = share_of_ceiling(number)
        if share is None:
            parts.setdefault("grey", []).append(f"{name} cannot be judged")
            continue
        low, high = share
        parts.setdefault(colour_of_share(low, high), []).append(f"{name} {low:.0%} to {high:.0%}")
    rule = (
        "The 95 % intervals show how well classifiers recognise the attribute in the "
        "synthetic images: 0 % as with shuffled labels, 100 % as in held-out real images. "
        "The measure is the correlation or the AUC; for the whole prompt, it is how often "
        f"the own prompt fits best. Green: every interval begins at {GREEN_FROM:.0%} or "
        f"above. Red: an interval ends below {RED_BELOW:.0%}. Not enough to say: an "
        f"interval between these is wider than {MAX_WIDTH:.0%}. Cannot be judged: too few "
        "images, or the classifiers do not recognise the attribute in real images."
    )
    return TITLE, worst_colour(parts), f"{list_by_colour(parts)} {rule}"


def main_numbers(result: AgreementResult) -> dict[str, RankedMetric]:
    """Correlation or AUC of each attribute, by title; an offset of the predictors does not change
    them."""
    return {
        attribute(name): one.metrics["r" if "r" in one.metrics else "auc"]
        for name, one in result.alignment.judged.items()
    }


def share_of_ceiling(metric: RankedMetric) -> tuple[float, float] | None:
    """95 % interval of a metric's share of the way from floor to ceiling.

    The interval of a difference of two independent numbers comes from those of both (Zou & Donner
    2008).

    Returns:
        (low, high), 0 at the floor and 1 at the ceiling; None without intervals, or where the
        ceiling is not above the floor.
    """
    value = metric.value
    ceiling = metric.ceiling
    floor = metric.floor
    if (
        metric.ci is None
        or metric.ceiling_ci is None
        or metric.floor_range is None
        or metric.ceiling_ci[0] <= metric.floor_range[1]
        or value is None
        or ceiling is None
        or floor is None
    ):
        return None
    low, high = metric.ci
    ceiling_low, ceiling_high = metric.ceiling_ci
    lower = np.hypot(value - low, ceiling_high - ceiling)
    upper = np.hypot(high - value, ceiling - ceiling_low)
    near, far = ((value - ceiling + by) / (ceiling - floor) for by in (-lower, upper))
    return float(1 + near), float(1 + far)


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: a table of all scored attributes; empty without a result."""
    result = page.results.get(AgreementResult)
    if result is None:
        return []
    return agreement_blocks(result.alignment)


def agreement_blocks(agreement: Agreement) -> list[html_report.Block]:
    """Blocks of the page: a table of all attributes that were scored."""
    rows = []
    for name, one in agreement.judged.items():
        n = f"{one.n['synthetic']} synthetic, {one.n['real']} real"
        for key, metric in one.metrics.items():
            title = {**NUMBERS, **CLASSES}[key].title
            if key in ("mae", "bias") and one.unit:
                title += f" ({one.unit})"
            row: dict[str, Any] = {"attribute": attribute(name), "measure": title}
            row |= ranked_cells(metric)
            rows.append(row | {"result": one.verdict if key in ("r", "auc") else None, "n": n})
    caption = (
        "Classifiers that learned from real training images predict the attributes of the "
        "synthetic images. Their predictions are compared with the requested values. "
        "Held-out real images: the same classifiers and the labels of real images, the "
        "best to expect. Labels shuffled: the synthetic images with their labels in "
        "random order, which is chance."
    )
    if agreement.left_out:
        names = ", ".join(attribute(name) for name in agreement.left_out)
        caption += f" Not judged, too few training images: {names}."
    return [
        html_report.heading("Do images show what was asked for?"),
        html_report.table(rows, caption, keys=2),
    ]


def ranked_cells(metric: RankedMetric) -> dict[str, str | None]:
    """Table cells of a metric, its ceiling on real images, and its floor by chance."""
    return {
        "synthetic [95 % interval]": estimate(metric.value, metric.ci),
        "held-out real (best expected)": estimate(metric.ceiling, metric.ceiling_ci),
        "labels shuffled (chance) [range]": estimate(metric.floor, metric.floor_range),
    }


ATTRIBUTE_AGREEMENT = Evaluation(
    result=AgreementResult,
    compute=compute,
    check=check,
    section=section,
    cost=cost,
    first_set_only=True,
)
