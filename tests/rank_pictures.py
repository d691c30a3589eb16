"""Pictures whose prompts are known, ranked by a scorer."""

from __future__ import annotations

from typing import Any

import shapes

from latentdrift.evaluate.attributes.image_text_scores import Scorer
from latentdrift.evaluate.attributes.prompt_ranking import retrieve
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling


def found(
    scorer: Scorer,
    synthetic: EvaluationImages,
    real: EvaluationImages | None = None,
    **options: Any,
) -> Any:
    return retrieve(
        scorer,
        real or shapes.held_out(),
        synthetic,
        "drawing",
        shapes.SPEC,
        resampling=Resampling(40),
        scorer_name="shapes",
        **options,
    )


def made(seed: int = 2, asked: int = 2) -> EvaluationImages:
    """Pictures of one table, said to be those of another one."""
    return EvaluationImages(
        shapes.shapes(shapes.table(60, seed), 2).images, attributes=shapes.table(60, asked)
    )
