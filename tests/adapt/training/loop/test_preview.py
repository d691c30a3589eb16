"""Previews: when they are due, and which prompts they are drawn from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from latentdrift.adapt.training.loop.preview import PICTURES, Previews, seconds_per_image
from latentdrift.model.drift import Drift


def fit(every: int, captions: int = 10) -> Any:
    train = [SimpleNamespace(caption=f"image {i}", row=i) for i in range(captions)]
    return SimpleNamespace(options=SimpleNamespace(preview_every=every), train=train)


def draw(*given: Any) -> np.ndarray:
    return np.zeros((len(given[3]), 8, 8, 3), np.uint8)


@pytest.mark.parametrize(("every", "due"), [(3, [3, 6, 9]), (1, list(range(1, 10))), (0, [])])
def test_a_preview_is_due_after_so_many_steps(every: int, due: list[int]) -> None:
    previews = Previews(draw, fit(every), None, None)
    assert [done for done in range(1, 10) if previews.due(done)] == due
    assert not Previews(None, fit(every), None, None).wanted


def test_prompts_are_spread_over_the_training_images() -> None:
    prompts: list[str] = []

    def note(
        base: Any, drift: Drift, statistics: Any, texts: list[str], images: Any, report: Any
    ) -> np.ndarray:
        prompts.extend(texts)
        assert images == ["hint of 0", "hint of 3", "hint of 6", "hint of 9"]
        return draw(base, drift, statistics, texts)

    def beside(examples: Any) -> list[str]:
        return [f"hint of {example.row}" for example in examples]

    pictures = Previews(note, fit(3), None, beside).draw(None, Drift(), print)
    assert pictures.shape == (PICTURES, 8, 8, 3)
    assert prompts == ["image 0", "image 3", "image 6", "image 9"]


def test_no_previews_take_no_time() -> None:
    assert seconds_per_image(None, fit(0)) == 0.0
