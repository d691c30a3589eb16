"""Re-identification: repeat visits that are the same image are always recognised."""

from __future__ import annotations

import numpy as np
from evaluation_inputs import image_set, inputs_of, textures, tone

from latentdrift.evaluate.evaluations.evaluation import Inputs
from latentdrift.evaluate.evaluations.reidentification import compute
from latentdrift.resampling import Resampling


def test_the_same_image_at_every_visit_is_recognised() -> None:
    patients = [f"p{i // 2}" for i in range(12)]
    real = image_set(np.repeat(textures(6, 1), 2, 0), patients)
    train = image_set(textures(8, 3), [f"t{i}" for i in range(8)])
    inputs = Inputs(real, image_set(textures(4, 4)), train, {"tone": tone}, Resampling(20))
    result = compute(inputs)
    assert result is not None
    assert result.metrics["recognised.tone"].value == 1


def test_without_repeat_visits_or_training_images_nothing_is_said() -> None:
    result = compute(inputs_of(textures(2, 4), real=textures(4, 1), train=textures(4, 3)))
    assert result is not None and result.metrics == {}
    assert compute(inputs_of(textures(8, 4))) is None
