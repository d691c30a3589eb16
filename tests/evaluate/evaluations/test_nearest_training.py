"""Distance to training images: none for copies, and about 1 for images as far as real ones."""

from __future__ import annotations

import pytest
from evaluation_inputs import inputs_of, textures

from latentdrift.evaluate.evaluations.nearest_training import compute


def test_copies_keep_no_distance() -> None:
    train = textures(16, 3)
    result = compute(inputs_of(train[:8], train=train))
    assert result is not None
    assert result.metrics["nearest.tone"].value == pytest.approx(0, abs=1e-6)


def test_new_images_are_as_far_as_those_of_other_patients() -> None:
    result = compute(inputs_of(textures(60, 4), real=textures(60, 5), train=textures(60, 6)))
    assert result is not None
    value = result.metrics["nearest.tone"].value
    assert value is not None and 0.5 < value < 2


def test_without_training_images_nothing_is_said() -> None:
    assert compute(inputs_of(textures(8, 4))) is None
