"""Do images fit their own prompts better than other prompts?"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from latentdrift.display import html_report
from latentdrift.errors import OptionError
from latentdrift.evaluate.attributes.image_text_scores import (
    JUDGES,
    Scorer,
    by_encoder,
    by_judges,
    load_encoder,
)
from latentdrift.evaluate.attributes.prompt_ranking import (
    METRICS,
    OPPOSED,
    RankCurve,
    RankMetric,
    Retrieval,
    WorstImage,
    retrieve,
)
from latentdrift.evaluate.evaluations.attribute_agreement import (
    AgreementResult,
    agreement_light,
    main_numbers,
    ranked_cells,
)
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    EvaluationResult,
    Inputs,
    Light,
    Page,
    Request,
    Results,
)
from latentdrift.evaluate.evaluations.page_style import (
    REAL_COLOUR,
    SYNTHETIC_COLOUR,
    THRESHOLD_COLOUR,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.strips import pixels
from latentdrift.evaluate.statistics.results import ResultModel


class PromptRanks(ResultModel):
    """Ranks of prompts."""

    retrieval: Retrieval | None
    """Null where images or prompts are too few."""


class RetrievalResult(EvaluationResult):
    """Ranks of the own prompts."""

    needs_training: ClassVar[bool] = True
    alignment: PromptRanks


def check(request: Request) -> list[str]:
    """Check the option `scorer`, and load its network.

    Returns:
        Sentences for the report: none.

    Raises:
        OptionError: `scorer` without `alignment`.
        InputError: The network cannot be read.
    """
    options = request.options
    if options.scorer != JUDGES and not options.alignment:
        raise OptionError(
            f"`scorer={options.scorer}` ranks prompts, and none are ranked; give `alignment`, "
            "or leave it out"
        )
    request.once(encoder_of)
    return []


def encoder_of(request: Request) -> Any:
    """Dual encoder that `scorer` names; None where attribute predictors rank the prompts.

    Raises:
        InputError: It cannot be read.
    """
    scorer = request.options.scorer
    return None if scorer == JUDGES else load_encoder(scorer)


def scorer_of(inputs: Inputs, request: Request) -> Scorer:
    """Function that scores images against prompts: the attribute predictors, or a dual encoder."""
    encoder = request.once(encoder_of)
    if encoder is None:
        return by_judges(inputs.predictors, inputs.seed)
    return by_encoder(encoder, inputs.device)


def compute(inputs: Inputs) -> RetrievalResult | None:
    """Rank each image's own prompt among all prompts; None without `alignment`."""
    request = inputs.request
    if request is None or not request.options.alignment:
        return None
    retrieval = retrieve(
        scorer_of(inputs, request),
        inputs.real,
        inputs.synthetic,
        request.cohort.describe,
        request.cohort.attributes,
        resampling=inputs.resampling,
        scorer_name=Path(request.options.scorer).name,
    )
    return RetrievalResult(alignment=PromptRanks(retrieval=retrieval))


def lights(results: Results) -> list[Light]:
    """Traffic light of all attributes and of the whole prompt; empty without a result."""
    agreement = results.get(AgreementResult)
    if agreement is None:
        return []
    numbers = main_numbers(agreement)
    result = results.get(RetrievalResult)
    if result is not None and result.alignment.retrieval is not None:
        numbers["whole prompt"] = result.alignment.retrieval.metrics["first"]
    return [agreement_light(numbers)]


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: ranks of prompts, the curve, and the worst images; empty without a
    result."""
    result = page.results.get(RetrievalResult)
    if result is None or result.alignment.retrieval is None:
        return []
    return retrieval_blocks(result.alignment.retrieval, page.images["synthetic"])


def retrieval_blocks(retrieval: Retrieval, images: EvaluationImages) -> list[html_report.Block]:
    """Blocks of the page for the ranks.

    Args:
        retrieval: The ranks.
        images: Synthetic images, for the worst ones.
    """
    rows = [
        {"measure": METRICS[name].title, **_cells(metric)}
        for name, metric in retrieval.metrics.items()
    ]
    blocks = [
        html_report.heading("Do images find their prompts?"),
        html_report.table(rows, _caption(retrieval)),
        _curve_plot(retrieval.curve),
    ]
    attribute_rows = [
        {"attribute": name, "compared with a prompt": OPPOSED[way].title, **_cells(metric)}
        for name, ways in retrieval.attributes.items()
        for way, metric in ways.items()
    ]
    if attribute_rows:
        caption = (
            "Share of images that fit their own prompt better than the prompt with one attribute "
            "changed."
        )
        blocks.append(html_report.table(attribute_rows, caption, keys=2))
    worst = [_worst(one, images) for one in retrieval.worst]
    return [
        *blocks,
        html_report.text("The synthetic images that fit their prompts least:"),
        html_report.gallery(worst),
    ]


def _caption(retrieval: Retrieval) -> str:
    n = retrieval.n
    among = retrieval.among
    return (
        f"{retrieval.scorer} ranks the {retrieval.prompts} prompts of {n['synthetic']} "
        f"synthetic and {n['real']} held-out real images for each image. It chooses the "
        f"best of {among}: the own prompt and {among - 1} others at random; chance is "
        f"{1 / among:.0%}. Held-out real images: with their own prompts. Labels shuffled: "
        "synthetic images with prompts in random order. Image withheld: every image is "
        "replaced by the mean of all images. A value above chance there means that some "
        "prompts fit any image."
    )


def _cells(metric: RankMetric) -> dict[str, Any]:
    cells: dict[str, Any] = dict(ranked_cells(metric))
    if metric.blind is not None:
        cells["image withheld"] = metric.blind
    if metric.n is not None:
        cells["n"] = f"{metric.n['synthetic']} synthetic, {metric.n['real']} real"
    return cells


def _worst(one: WorstImage, images: EvaluationImages) -> tuple[Any, str]:
    """An image and its caption."""
    image = pixels(images.images[images.names.index(one.name)])
    return image, f"{one.name}. Asked for: {one.prompt}. Fits best: {one.best}."


def _curve_plot(curve: RankCurve) -> html_report.Block:
    figure, (ax,) = html_report.figure(width=4.4, height=2.9)
    ax.plot(curve.x, curve.real, color=REAL_COLOUR, label="real")
    ax.plot(curve.x, curve.synthetic, color=SYNTHETIC_COLOUR, label="synthetic")
    ax.plot([0, 1], [0, 1], color=THRESHOLD_COLOUR, linestyle="--", linewidth=1, label="chance")
    ax.set_xlabel("rank of the own prompt, as a share of all prompts", fontsize=8)
    ax.set_ylabel("share of the images", fontsize=8)
    ax.legend(fontsize=8, frameon=False, loc="lower right")
    caption = (
        "Share of images whose own prompt is among the best. The further to the upper left, the "
        "better images and prompts fit."
    )
    return html_report.picture(figure, caption)


PROMPT_RETRIEVAL = Evaluation(
    result=RetrievalResult,
    compute=compute,
    check=check,
    lights=lights,
    section=section,
    first_set_only=True,
)
