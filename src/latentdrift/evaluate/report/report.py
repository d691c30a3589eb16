"""The report on a synthetic set: report.json and report.html.

The fields of report.json are those of the results in `evaluations/`; `report_schema` writes them as
a JSON schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from latentdrift.display.html_report import write_page
from latentdrift.evaluate.evaluations.distribution import DistributionResult
from latentdrift.evaluate.evaluations.evaluation import Inputs, Light, Results
from latentdrift.evaluate.evaluations.evaluations import METRIC_TITLES, all_lights, compute_all
from latentdrift.evaluate.evaluations.nearest_training import NearestTrainingResult
from latentdrift.evaluate.evaluations.page_style import in_reading_order, metric_title
from latentdrift.evaluate.evaluations.realism import RealismResult, train_critics
from latentdrift.evaluate.images import subgroups
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import RecordedEdit
from latentdrift.evaluate.report.report_warnings import number_warnings, set_warnings
from latentdrift.evaluate.statistics.results import Metric
from latentdrift.resampling import Resampling
from latentdrift.storage import write_text

SCHEMA = 1
"""Version of the format of report.json."""
FIRST_KEYS = (
    "schema",
    "n",
    "bootstrap",
    "seed",
    "metrics",
    "spaces",
    "realism",
    "map",
    "warnings",
    "by",
    "copies",
    "duplicates",
    "edits",
    "lights",
    "compared",
)
"""Keys of report.json in their order; all others follow."""
COMPARED_KEYS = ("n", "metrics", "realism", "lights", "warnings", "by")
"""Keys that report.json holds of each further set."""
SPACE_RESULTS = (DistributionResult, RealismResult, NearestTrainingResult)
"""Results whose metrics are named by a feature space, `<metric>.<space>`."""
MIN_IMAGES = 50
MANY_IMAGES = 2048
"""Images of each set. Heusel et al. 2017 recommend at least 2,048 (the lower limit is ours)."""


@dataclass(frozen=True, eq=False)
class EvaluationResults:
    """Results of all evaluations of one synthetic set.

    Attributes:
        n: Number of real and of synthetic images.
        resampling: Resamples behind each interval; its seed is that of everything random.
        results: Results in the order of EVALUATIONS.
        warnings: Sentences that a reader needs before the numbers.
        compared: Reports on further sets, judged against the same real images.
    """

    n: Mapping[str, int]
    resampling: Resampling
    results: Results
    warnings: list[str]
    compared: Mapping[str, EvaluationResults] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """All metrics by name; those of a feature space stand together."""
        return merge_metrics(self.results)

    @cached_property
    def lights(self) -> list[Light]:
        """Traffic lights, one for each question."""
        return [image_count_light(self.n), *all_lights(self.results)]

    def with_warnings(self, sentences: list[str]) -> EvaluationResults:
        """Copy of the results with further warnings at the end."""
        return replace(self, warnings=[*self.warnings, *sentences])

    @cached_property
    def contents(self) -> dict[str, Any]:
        """Content of report.json."""
        contents: dict[str, Any] = {
            "schema": SCHEMA,
            "n": dict(self.n),
            "bootstrap": self.resampling.n,
            "seed": self.resampling.seed,
            "metrics": {name: metric.to_dict() for name, metric in self.metrics.items()},
            "warnings": self.warnings,
            "lights": self.lights,
        }
        for result in self.results:
            for key, value in result.report_keys().items():
                both_objects = isinstance(contents.get(key), dict) and isinstance(value, dict)
                contents[key] = contents[key] | value if both_objects else value
        if self.compared:
            contents["compared"] = {
                name: {key: report.contents[key] for key in COMPARED_KEYS if key in report.contents}
                for name, report in self.compared.items()
            }
        ordered = {key: contents[key] for key in FIRST_KEYS if key in contents}
        return ordered | contents


def merge_metrics(results: Results) -> dict[str, Metric]:
    """Merge the metrics of all evaluations, by name.

    The distances of a feature space stand first, with its two-sample test and its nearest training
    images. All others follow in the order of EVALUATIONS.
    """
    spaces = results.get(DistributionResult)
    by_space: dict[str, dict[str, Metric]] = {}
    others: dict[str, Metric] = {}
    for result in results:
        if not isinstance(result, SPACE_RESULTS):
            others |= result.metrics
            continue
        for name, metric in result.metrics.items():
            by_space.setdefault(name.partition(".")[2], {})[name] = metric
    labels = [] if spaces is None else list(spaces.spaces)
    merged: dict[str, Metric] = {}
    for label in labels:
        merged |= by_space.get(label, {})
    return merged | others


def image_count_light(n: Mapping[str, int]) -> Light:
    """Traffic light of the numbers of images.

    Args:
        n: `real` and `synthetic` -> number of images.
    """
    smaller = min(n.values())
    sentence = (
        f"{n['real']} real and {n['synthetic']} synthetic images. Green: at least "
        f"{MANY_IMAGES:,} of each. Red: fewer than {MIN_IMAGES}; only large differences "
        "can then be seen."
    )
    if smaller >= MANY_IMAGES:
        return "Enough images?", "green", sentence
    return "Enough images?", "amber" if smaller >= MIN_IMAGES else "red", sentence


def evaluate(
    inputs: Inputs, *, is_first_set: bool = True, check_warnings: list[str] | None = None
) -> EvaluationResults:
    """Evaluate one synthetic set against held-out real images.

    Args:
        inputs: Images and settings.
        is_first_set: Whether to run evaluations that apply to the first set only.
        check_warnings: Sentences from the checks of the options; None: none.

    Raises:
        OptionError: `inputs.by` is no attribute of both sets.
    """
    subgroups.check(inputs.real, {"synthetic": inputs.synthetic}, inputs.by)
    results = compute_all(inputs, is_first_set=is_first_set)
    n = {"real": len(inputs.real), "synthetic": len(inputs.synthetic)}
    report = EvaluationResults(n, inputs.resampling, results, [])
    warnings = set_warnings(inputs.real, inputs.synthetic, inputs.train)
    for result in results:
        warnings += [] if result.needs_training else result.warnings
    warnings += number_warnings(report.n, report.metrics, results)
    warnings += check_warnings or []
    for result in results:
        warnings += result.warnings if result.needs_training else []
    return replace(report, warnings=warnings)


def evaluate_sets(
    inputs: Inputs, further: Mapping[str, EvaluationImages], check_warnings: list[str] | None = None
) -> EvaluationResults:
    """The report on a synthetic set, with further sets judged against the same real images.

    Args:
        inputs: Images and settings of the first set.
        further: Further synthetic sets by name.
        check_warnings: Sentences of the checks of the options.
    """
    critics = train_critics(inputs.real, inputs.train, inputs.spaces, inputs.resampling)
    inputs = replace(inputs, critics=critics)
    report = evaluate(inputs, check_warnings=check_warnings)
    if not further:
        return report
    compared = {
        name: evaluate(replace(inputs, synthetic=images, edits=()), is_first_set=False)
        for name, images in further.items()
    }
    sizes = {"synthetic": len(inputs.synthetic)}
    sizes |= {name: len(images) for name, images in further.items()}
    warnings = [*size_warnings(sizes), *report.warnings]
    return replace(report, warnings=warnings, compared=compared)


def size_warnings(sizes: Mapping[str, int]) -> list[str]:
    """Warning where synthetic sets have different numbers of images; else an empty list."""
    if len(set(sizes.values())) == 1:
        return []
    each = ", ".join(f"{name} {n}" for name, n in sizes.items())
    return [
        (
            f"The synthetic sets differ in size ({each}), and scores depend on the size. "
            "Generate equal numbers before you call one set better."
        )
    ]


def scores_of(report: EvaluationResults) -> dict[str, Any]:
    """Content of `scores` in adapter.json: sizes of the sets, lights, and each metric.

    They name no image and no patient.

    Args:
        report: From `evaluate`.
    """
    metrics = {
        name: {
            "title": metric_title(name, METRIC_TITLES),
            "value": metric.value,
            "ci": metric.ci,
            "floor": metric.floor,
            "n": metric.n,
        }
        for name, metric in in_reading_order(report.metrics).items()
        if metric.value is not None
    }
    return {
        "n": dict(report.n),
        "seed": report.resampling.seed,
        "lights": [[question, colour] for question, colour, _ in report.lights],
        "metrics": metrics,
    }


def write_report(
    out: Path,
    report: EvaluationResults,
    images: Mapping[str, EvaluationImages],
    edits: Sequence[RecordedEdit] = (),
) -> Path:
    """Write report.json and the self-contained report.html.

    Args:
        out: The folder.
        report: From `evaluate`.
        images: `real` and `synthetic`, `train` where copies were searched, and further sets by
            name.
        edits: Edits that were judged.

    Returns:
        Path of report.html.
    """
    from latentdrift.evaluate.report.report_page import page_blocks

    write_text(out / "report.json", json.dumps(report.contents, indent=1, allow_nan=False))
    blocks = page_blocks(report, images, edits)
    write_page(out / "report.html", "Are the synthetic images any good?", blocks)
    return out / "report.html"
