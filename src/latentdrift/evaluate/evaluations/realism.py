"""Do the images show real anatomy? Critics that know ruined real images judge the set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from latentdrift.display import html_report
from latentdrift.display.html_report import Colour, estimate
from latentdrift.evaluate.critics.anatomy_critics import (
    MAX_BEYOND,
    NEARER,
    ORDINARY,
    Anatomy,
    ControlScore,
    Judge,
    judge_of,
)
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    EvaluationResult,
    Features,
    Inputs,
    Page,
)
from latentdrift.evaluate.images.controls import CONTROLS, ruined
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.strips import pixels
from latentdrift.evaluate.statistics.bootstrap import FEWEST, rng
from latentdrift.evaluate.statistics.results import Metric, ResultModel
from latentdrift.resampling import Resampling

MAX_EXAMPLE_PARTNERS = 16
"""Real images of which the first is shown ruined; some controls mix it with others."""
CAPTION = (
    "Ruined controls are held-out real images that were made unrealistic. AUC: how well "
    "critics distinguish them from as many intact real images (0.5: by chance, 1: "
    "always). Position of the synthetic set: 0 where intact real images lie, 1 where the "
    "ruined images lie. Above 0.5, the set is nearer to the ruined images. The position "
    "is given only where the interval of the AUC lies above 0.5. The 95 % intervals "
    "resample patients and synthetic images."
)


class NoAnatomy(ResultModel):
    """Reason why the critics do not judge."""

    reason: str


class RealismResult(EvaluationResult):
    """Judgements of anatomy and the two-sample tests."""

    realism: dict[str, Anatomy | NoAnatomy]
    """Critics of anatomy by feature space."""


def train_critics(
    real: EvaluationImages, train: EvaluationImages | None, spaces: Features, resampling: Resampling
) -> dict[str, Judge | str]:
    """Train critics of anatomy in each feature space; they serve any number of synthetic sets.

    Args:
        real: Real images.
        train: Training images; None: unknown.
        spaces: Feature spaces by label.
        resampling: Resamples and seed.

    Returns:
        Label of a space -> critics, or the reason why there are none.
    """
    return {label: judge_of(real, train, space, resampling) for label, space in spaces.items()}


def compute(inputs: Inputs) -> RealismResult:
    """Score the anatomy of the set in each feature space; critics are trained unless they are
    given."""
    critics: Mapping[str, Judge | str] = inputs.critics or train_critics(
        inputs.real, inputs.train, inputs.spaces, inputs.resampling
    )
    judgements: dict[str, Anatomy | NoAnatomy] = {}
    metrics = {}
    for label in inputs.spaces:
        critic = critics[label]
        if isinstance(critic, str):
            judgements[label] = NoAnatomy(reason=critic)
            continue
        views = critic.views(inputs.synthetic)
        anatomy = critic(views)
        judgements[label] = anatomy
        test = critic.two_sample(views)
        if test is not None:
            n = {name: anatomy.n[name] for name in ("real", "synthetic")}
            metrics[f"c2st.{label}"] = Metric(value=test.auc, ci=test.ci, n=n, floor=test.floor)
    return RealismResult(metrics=metrics, realism=judgements)


def anatomy_light(anatomy: Anatomy | NoAnatomy) -> tuple[Colour, str]:
    """Colour and sentence of the critics' judgement, or of the reason why there is none."""
    if isinstance(anatomy, NoAnatomy):
        return "grey", anatomy.reason
    n = anatomy.n
    recognised = len(anatomy.controls) - len(anatomy.unseen)
    sentence = (
        f"Anatomy: critics distinguish {recognised} of {len(anatomy.controls)} kinds of "
        f"ruined real images from {n['real']} intact real images of {n['patients']} "
        f"patients. {anatomy.beyond:.0%} of the synthetic images are less realistic than "
        f"{ORDINARY:.0%} of the real ones (expected: {1 - ORDINARY:.0%})."
    )
    if anatomy.beyond_ci is None:
        return "grey", f"{sentence} A judgement needs at least {FEWEST} different synthetic images."
    if anatomy.nearer or anatomy.beyond_ci[0] > NEARER:
        kind = ""
        if anatomy.nearer:
            kind = (
                f" The set is nearer to real images {anatomy.nearer[0]} than to intact real images."
            )
        return (
            "red",
            (
                f"{sentence}{kind} Red: the set is clearly nearer to one kind of ruined "
                "images, or clearly more than half of its images are less realistic than "
                f"{ORDINARY:.0%} of the real ones."
            ),
        )
    hidden = [*anatomy.unseen, *anatomy.undecided]
    if hidden:
        return (
            "grey",
            (
                f"{sentence} There are too few images to exclude that the set is nearer to "
                f"real images {'; '.join(hidden)}."
            ),
        )
    positions = [control.position or 0.0 for control in anatomy.controls.values()]
    is_ordinary = max(positions) <= NEARER and anatomy.beyond <= MAX_BEYOND
    rule = (
        "Green: no kind of ruined images is nearer than intact images, and at most "
        f"{MAX_BEYOND:.0%} of the synthetic images are less realistic than {ORDINARY:.0%} "
        "of the real ones."
    )
    return "green" if is_ordinary else "amber", f"{sentence} {rule}"


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: a table for each feature space, and a real image ruined by every
    control."""
    result = page.results.get(RealismResult)
    if result is None:
        return []
    judged = {label: one for label, one in result.realism.items() if isinstance(one, Anatomy)}
    reasons = [one.reason for one in result.realism.values() if isinstance(one, NoAnatomy)]
    blocks = [html_report.heading("Does the set show real anatomy?")]
    blocks += [html_report.text(reason) for reason in dict.fromkeys(reasons)]
    for label, anatomy in judged.items():
        rows = [_row(label, control) for control in anatomy.controls.values()]
        blocks.append(html_report.table(rows, CAPTION))
    if judged:
        blocks.append(html_report.gallery(_examples(page.images["real"])))
    return blocks


def _row(label: str, control: ControlScore) -> dict[str, str | None]:
    return {
        f"real images … ({label} features)": control.title,
        "AUC against real": estimate(control.auc, control.auc_ci),
        "position of the synthetic set": estimate(control.position, control.position_ci),
    }


def _examples(real: EvaluationImages) -> list[tuple[np.ndarray, str]]:
    """The first real image as it is, and ruined by every control."""
    count = min(MAX_EXAMPLE_PARTNERS, len(real))
    partners = real.take(np.linspace(0, len(real) - 1, count).astype(int))
    images = np.asarray(partners.images, dtype=np.float32)
    examples = [(pixels(images[0]), "real, as it is")]
    for name, control in CONTROLS.items():
        altered = ruined(name, images, partners.patients, rng(0, "example", name))
        examples.append((pixels(altered[0]), f"real, ruined: {control.title}"))
    return examples


REALISM = Evaluation(
    result=RealismResult,
    compute=compute,
    section=section,
    titles={"c2st": "Real or synthetic? Classifier's AUC (0.5: cannot tell)"},
)
