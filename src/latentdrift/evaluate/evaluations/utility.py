"""Are the images of use? Networks learn from real, from synthetic and from both sets of images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from latentdrift.display import html_report
from latentdrift.display.html_report import estimate
from latentdrift.errors import OptionError
from latentdrift.evaluate.downstream import gan
from latentdrift.evaluate.downstream.augmentation_experiment import (
    ENOUGH,
    IMITATED,
    REFERENCE,
    Trial,
    better_than_chance,
    verdict,
)
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.classification_task import Classifying
from latentdrift.evaluate.downstream.segmentation_task import Segmenting
from latentdrift.evaluate.downstream.utility_results import Arm, Utility
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
)
from latentdrift.evaluate.evaluations.page_style import (
    REAL_COLOUR,
    SYNTHETIC_COLOUR,
    THRESHOLD_COLOUR,
)
from latentdrift.evaluate.features.classifier import SMALL
from latentdrift.evaluate.images.attribute_words import attribute
from latentdrift.evaluate.statistics.results import Interval
from latentdrift.resampling import Resampling

VISIBLE_DIFFERENCE = 0.1
"""AUC or Dice. A trial that could miss a difference of this size concludes nothing (ours)."""
JUDGED_ARM = "real + synthetic"
COMPARISONS = {
    "difference": "real images alone",
    "augmented_difference": "real images that are rotated and shifted (standard augmentation)",
    "gan_difference": "real images and images of a small GAN",
}
"""Field of an arm -> the arm that JUDGED_ARM is compared with."""
ARM_OF_DIFFERENCE = {
    "difference": "real",
    "augmented_difference": "real, augmented",
    "gan_difference": "real + GAN",
}
LIGHT_RULE = (
    "Green: all intervals are above 0. Red: an interval is below 0. Not enough to say: "
    f"the first interval includes 0 and is wider than {2 * VISIBLE_DIFFERENCE:g}."
)


class UtilityResult(EvaluationResult):
    """Use of the synthetic images for training."""

    needs_training: ClassVar[bool] = True
    utility: Utility


def mask_column(request: Request) -> str | None:
    """Name of the column in `utility=mask=COLUMN`; None for classes.

    An attribute of the cohort that is called `mask` is a class.
    """
    name, equals, column = (request.options.utility or "").partition("=")
    is_mask = name == "mask" and equals and name not in request.cohort.attributes
    return column if is_mask else None


def task_of(request: Request) -> Classifying | Segmenting | None:
    """Task that networks learn: classification or segmentation; None without `utility`.

    Raises:
        OptionError: An attribute or value that the cohort lacks.
        CohortError: Too few images of a class, or unusable masks.
    """
    options = request.options
    if not options.utility:
        return None
    column = mask_column(request)
    if column is not None:
        return Segmenting.of(request.cohort, options.synthetic, column, options.split)
    network = request.network
    splits = ("train", options.split)
    classes = Classes.of(request.cohort, options.utility, option="utility", splits=splits)
    return Classifying(classes, network)


def check(request: Request) -> list[str]:
    """Check the options of `utility`.

    Returns:
        Sentences for the report.

    Raises:
        OptionError: No usable training split, or `gan_steps` or `classifier` without effect.
        CohortError: Too few images of a class.
    """
    options = request.options
    if options.utility:
        request.require_training_split("utility")
    uses_classifier = mask_column(request) is None or request.needs_predictors
    if not uses_classifier and options.classifier != SMALL.name:
        raise OptionError(
            f"`classifier` has no part in `utility={options.utility}`, which trains a small "
            "U-Net; leave it out"
        )
    task = request.once(task_of)
    if options.gan_steps and not isinstance(task, Classifying):
        raise OptionError(
            "`gan_steps` trains a GAN whose images classifiers learn from, and none are "
            "trained; give `utility=ATTRIBUTE=VALUE`, or leave it out"
        )
    return []


def trial_of(request: Request, device: str = "cpu") -> Trial[Any] | None:
    """Comparison of networks that learn from real and synthetic images; None without `utility`.

    Args:
        request: Options and cohort.
        device: Device of the networks.
    """
    task = request.once(task_of)
    if task is None:
        return None
    options = request.options
    imitate = None
    if options.gan_steps:
        imitate = partial(gan.imitate, steps=options.gan_steps, seed=options.seed, device=device)
    return Trial(
        task,
        options.classifier_steps,
        options.classifier_seeds,
        resampling=Resampling(options.bootstrap, options.seed),
        seed=options.seed,
        device=device,
        gan=imitate,
    )


def cost(request: Request) -> TrainingCost:
    """Cost of all networks of the comparison, and of its GAN."""
    trial = trial_of(request)
    if trial is None:
        return NO_COST
    options = request.options
    seconds = options.classifier_steps * trial.learners * trial.task.seconds_per_step()
    if options.gan_steps:
        seconds += options.gan_steps * gan.seconds_per_step()
    return TrainingCost(trial.learners, seconds)


def compute(inputs: Inputs) -> UtilityResult | None:
    """Train and test all networks; None without `utility` or training images."""
    if inputs.request is None or inputs.train is None:
        return None
    trial = trial_of(inputs.request, inputs.device)
    if trial is None:
        return None
    column = inputs.request.subgroup_column
    utility = trial(inputs.train, inputs.real, inputs.synthetic, column, inputs.progress)
    return UtilityResult(utility=utility, warnings=utility.warnings)


def lights(results: Results) -> list[Light]:
    """Traffic light of the gain from adding synthetic images; empty without a result."""
    result = results.get(UtilityResult)
    return [] if result is None else [utility_light(result.utility)]


def utility_light(utility: Utility) -> Light:
    """Traffic light of one comparison: the gain from adding synthetic images."""
    title = f"Of use? ({attribute(utility.classes)})"
    arm = utility.arms[JUDGED_ARM]
    intervals: dict[str, Interval] = {}
    parts = []
    for name, comparison in COMPARISONS.items():
        value = getattr(arm, name)
        ci = getattr(arm, f"{name}_ci")
        if value is not None and ci is not None:
            intervals[name] = ci
            parts.append(f"{value:+.3f} [{ci[0]:+.3f}, {ci[1]:+.3f}] compared with {comparison}")
    limits = _limits(utility, len(intervals))
    measured = ""
    if parts:
        measured = (
            f"Adding the synthetic images changes the {utility.measure} on real test "
            f"images by {'; '.join(parts)}."
        )
    if any(ci[1] < 0 for ci in intervals.values()):
        return title, "red", " ".join([measured, *limits, LIGHT_RULE])
    if limits:
        return title, "grey", " ".join([*limits, measured]).strip()
    if _could_miss_a_difference(arm.difference_ci):
        return title, "grey", " ".join(["Not enough to say.", measured, LIGHT_RULE])
    all_better = min(ci[0] for ci in intervals.values()) > 0
    return title, "green" if all_better else "amber", f"{measured} {LIGHT_RULE}"


def _limits(utility: Utility, comparisons: int) -> list[str]:
    """Reasons why nothing is concluded."""
    limits = []
    if comparisons < 2 or min(utility.tested.patients) < ENOUGH:
        limits.append(f"Not enough to say: fewer than {ENOUGH} test patients in a group.")
    if not better_than_chance(utility.arms[REFERENCE].ci, utility.chance):
        limits.append(
            "Not enough to say: classifiers that learned from real images are not better than "
            f"chance ({utility.measure} {utility.chance:.2f})."
        )
    return limits


def _could_miss_a_difference(ci: Interval | None) -> bool:
    """Whether the interval includes 0 and is wider than a visible difference to both sides."""
    return ci is not None and ci[0] <= 0 <= ci[1] and ci[1] - ci[0] > 2 * VISIBLE_DIFFERENCE


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: every arm in a table and a plot, and the curves; empty without a
    result."""
    result = page.results.get(UtilityResult)
    return [] if result is None else utility_blocks(result.utility)


def utility_blocks(utility: Utility) -> list[html_report.Block]:
    """Blocks of the page for one comparison: tables, a plot and the curves."""
    rows = [_arm_row(name, arm, utility) for name, arm in utility.arms.items()]
    blocks = [
        html_report.heading("Are the synthetic images of use?"),
        html_report.table(rows, _caption(utility)),
    ]
    subgroup_rows = [
        _subgroup_row(name, arm, utility)
        for name, arm in utility.arms.items()
        if arm.gap is not None
    ]
    if subgroup_rows:
        caption = f"{utility.measure} by {utility.by}, and the largest gap between two values."
        blocks.append(html_report.table(subgroup_rows, caption))
    return [*blocks, _plot(utility)]


def _caption(utility: Utility) -> str:
    counts = zip(utility.tested.images, utility.groups, utility.tested.patients, strict=True)
    tested = ", ".join(
        f"{images} {group} ({patients} patients)" for images, group, patients in counts
    )
    caption = (
        f"{attribute(utility.classes)}: {utility.network} networks ({utility.steps} steps, "
        f"{utility.repeats} seeds) learn from the images that a row names. They are tested "
        f"on real images: {tested}. {utility.measure} without looking at the images: "
        f"{utility.chance:.2f}. Brackets: 95 % intervals over patients and seeds. "
        "Augmented: rotated by up to 10 degrees, shifted, brightened; never mirrored. "
        "Few: a tenth of the real images. Synthetic images are useful where they do "
        "better than augmentation, which needs no model."
    )
    if IMITATED in utility.arms:
        caption += (
            " GAN: a small class-conditional GAN of our own, as a baseline. It learned "
            "from the same real images and draws images of 64 pixels."
        )
    return caption


def _arm_row(name: str, arm: Arm, utility: Utility) -> dict[str, Any]:
    """A row of the table of arms."""
    row: dict[str, Any] = {
        "learned from": name,
        f"{utility.measure} [95 % interval]": estimate(arm.value, arm.ci),
        "SD over seeds": arm.sd,
    }
    for field, other in ARM_OF_DIFFERENCE.items():
        if any(getattr(one, field) is not None for one in utility.arms.values()):
            value = getattr(arm, field)
            ci = getattr(arm, f"{field}_ci")
            row[f"difference to: {other}"] = estimate(value, ci)
    stages = [", ".join(map(str, stage)) for stage in arm.trained]
    row["result"] = verdict(arm, utility.tested)
    row[f"images ({', '.join(utility.groups)})"] = "; then ".join(stages)
    return row


def _subgroup_row(name: str, arm: Arm, utility: Utility) -> dict[str, Any]:
    """A row of the table of an arm by the values of an attribute."""
    values: Mapping[str, float] = arm.subgroups or {}
    return {
        "learned from": name,
        **{f"{utility.by}: {value}": number for value, number in values.items()},
        "largest gap [95 % interval]": estimate(arm.gap, arm.gap_ci),
    }


def _plot(utility: Utility) -> html_report.Block:
    """Every arm on the left, and the curves on the right."""
    height = 0.7 + 0.27 * len(utility.arms)
    figure, (left, right) = html_report.figure(width=8.4, height=height, columns=2)
    reference = utility.arms[REFERENCE].value
    for place, (name, arm) in enumerate(utility.arms.items()):
        colour = SYNTHETIC_COLOUR if "synthetic" in name else REAL_COLOUR
        if arm.ci:
            left.plot(arm.ci, [-place] * 2, color=colour, linewidth=2)
        left.plot(arm.value, -place, "o", color=colour, markersize=5)
    left.set_yticks([-place for place in range(len(utility.arms))], list(utility.arms), fontsize=8)
    left.axvline(reference, color=THRESHOLD_COLOUR, linestyle="--", linewidth=1)
    left.set_xlabel(f"{utility.measure} on real test images", fontsize=8)
    for (name, points), dash in zip(utility.curves.items(), ("-", "--"), strict=True):
        n = [point.n for point in points]
        values = [point.value for point in points]
        style: dict[str, Any] = {"linestyle": dash, "color": SYNTHETIC_COLOUR, "label": name}
        right.plot(n, values, marker="o", **style)
        intervals = [point.ci for point in points if point.ci]
        if len(intervals) == len(points):
            low, high = zip(*intervals, strict=True)
            right.fill_between(n, low, high, color=SYNTHETIC_COLOUR, alpha=0.15)
    style = {"color": REAL_COLOUR, "linestyle": "--", "linewidth": 1, "label": "real alone"}
    right.axhline(reference, **style)
    right.set_xlabel("synthetic images", fontsize=8)
    right.legend(fontsize=7, frameon=False)
    caption = (
        "Left: every training set; dashed line: real images alone. Right: the value with "
        "more synthetic images."
    )
    return html_report.picture(figure, caption)


UTILITY = Evaluation(
    result=UtilityResult,
    compute=compute,
    check=check,
    lights=lights,
    section=section,
    cost=cost,
    first_set_only=True,
)
