"""EVALUATIONS: every question about a synthetic set, one row and one file each.

A new evaluation is a file with `compute` and a frozen result, one row here, and one test. Results
stand in report.json, lights and sections on the page, in the order of the table.
"""

from __future__ import annotations

from collections.abc import Mapping

from latentdrift.evaluate.evaluations.attribute_agreement import ATTRIBUTE_AGREEMENT
from latentdrift.evaluate.evaluations.attribute_combinations import ATTRIBUTE_COMBINATIONS
from latentdrift.evaluate.evaluations.copies import COPIES
from latentdrift.evaluate.evaluations.counterfactuals import COUNTERFACTUALS
from latentdrift.evaluate.evaluations.distribution import DISTRIBUTION
from latentdrift.evaluate.evaluations.diversity import DIVERSITY
from latentdrift.evaluate.evaluations.duplicates import DUPLICATES
from latentdrift.evaluate.evaluations.edit_similarity import EDIT_SIMILARITY
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    Inputs,
    Light,
    Request,
    Results,
    TrainingCost,
)
from latentdrift.evaluate.evaluations.nearest_training import NEAREST_TRAINING
from latentdrift.evaluate.evaluations.prompt_retrieval import PROMPT_RETRIEVAL
from latentdrift.evaluate.evaluations.realism import REALISM
from latentdrift.evaluate.evaluations.reidentification import REIDENTIFICATION
from latentdrift.evaluate.evaluations.subgroup_distances import SUBGROUPS
from latentdrift.evaluate.evaluations.utility import UTILITY
from latentdrift.evaluate.images.image_sets import check_split

EVALUATIONS: dict[str, Evaluation] = {
    "distribution": DISTRIBUTION,
    "realism": REALISM,
    "subgroups": SUBGROUPS,
    "nearest training image": NEAREST_TRAINING,
    "diversity": DIVERSITY,
    "copies": COPIES,
    "re-identification": REIDENTIFICATION,
    "duplicates": DUPLICATES,
    "edit similarity": EDIT_SIMILARITY,
    "utility": UTILITY,
    "attribute agreement": ATTRIBUTE_AGREEMENT,
    "attribute combinations": ATTRIBUTE_COMBINATIONS,
    "prompt retrieval": PROMPT_RETRIEVAL,
    "counterfactuals": COUNTERFACTUALS,
}

METRIC_TITLES: Mapping[str, str] = {
    name: title for row in EVALUATIONS.values() for name, title in row.titles.items()
}
"""Title of a metric by the part of its name before the point."""


def check(request: Request) -> list[str]:
    """Check the options of all evaluations, before images are loaded.

    Returns:
        Sentences for the report.

    Raises:
        OptionError: An option without effect, or an attribute that the cohort lacks.
        CohortError: No training images, or too few of a class.
        InputError: A network that cannot be read.
    """
    check_split(request.cohort, request.options.split)
    return [sentence for row in EVALUATIONS.values() for sentence in row.check(request)]


def training_cost(request: Request) -> TrainingCost:
    """Networks that all evaluations train, and the expected time on this machine."""
    costs = [row.cost(request) for row in EVALUATIONS.values()]
    return TrainingCost(sum(one.networks for one in costs), sum(one.seconds for one in costs))


def compute_all(inputs: Inputs, *, is_first_set: bool = True) -> Results:
    """Results of all evaluations of one synthetic set.

    Args:
        inputs: Images and settings.
        is_first_set: Whether rows that judge only the first set take part.
    """
    results = []
    for row in EVALUATIONS.values():
        if row.first_set_only and not is_first_set:
            continue
        result = row.compute(inputs)
        if result is not None:
            results.append(result)
    return Results(results)


def all_lights(results: Results) -> list[Light]:
    """Traffic lights of all evaluations."""
    return [light for row in EVALUATIONS.values() for light in row.lights(results)]
