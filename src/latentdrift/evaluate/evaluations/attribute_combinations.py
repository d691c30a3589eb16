"""Do images combine attributes that no real image has together?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from latentdrift.display import html_report
from latentdrift.evaluate.attributes.impossible_combinations import CombinationRule, rules
from latentdrift.evaluate.evaluations.evaluation import Evaluation, EvaluationResult, Inputs, Page
from latentdrift.evaluate.images.attribute_words import attribute
from latentdrift.evaluate.statistics.results import ResultModel


class Combinations(ResultModel):
    """Combinations of attributes."""

    rules: list[CombinationRule]


class CombinationsResult(EvaluationResult):
    """Combinations that no real image has."""

    needs_training: ClassVar[bool] = True
    alignment: Combinations


def compute(inputs: Inputs) -> CombinationsResult | None:
    """Find combinations that no real image has; None without `alignment` or training images."""
    if inputs.request is None or not inputs.request.options.alignment or inputs.train is None:
        return None
    predictors = inputs.predictors
    rows = rules(
        predictors,
        inputs.train,
        inputs.real,
        inputs.synthetic,
        predictors(inputs.real),
        predictors(inputs.synthetic),
    )
    return CombinationsResult(alignment=Combinations(rules=rows))


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: a table of the combinations; empty without a result."""
    result = page.results.get(CombinationsResult)
    return [] if result is None else combination_blocks(result.alignment.rules)


def combination_blocks(rules: Sequence[CombinationRule]) -> list[html_report.Block]:
    """Blocks of the combinations; none without any."""
    if not rules:
        return []
    rows = [
        {
            "never together in a real image": " and ".join(map(attribute, rule.values)),
            "real images expected by chance": rule.expected,
            "synthetic images that were asked for both": rule.requested,
            "synthetic images recognised as both": rule.seen,
            "share of the synthetic images": rule.seen_share,
            "share of the real images (mistakes)": rule.seen_real,
        }
        for rule in rules
    ]
    caption = "Pairs of values that no real image has together, although several would by chance."
    return [html_report.table(rows, caption)]


ATTRIBUTE_COMBINATIONS = Evaluation(
    result=CombinationsResult, compute=compute, section=section, first_set_only=True
)
