"""Batches: every image once per epoch, and fixed ones that watch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.batches import Batches, draws, held_out


def test_batches_show_every_image_once_per_epoch_and_some_with_no_prompt() -> None:
    moments = latent_cache.Moments(
        np.arange(10.0, dtype=np.float32)[:, None, None, None], np.zeros((10, 1, 1, 1), np.float32)
    )
    batches = Batches(
        moments, [Example(i, f"picture {i}") for i in range(2, 10)], 4, 0.25, 1000, seed=3
    )
    for epoch in range(3):
        seen = torch.cat([batches(step).x0.flatten() for step in (2 * epoch, 2 * epoch + 1)])
        assert sorted(seen.tolist()) == list(range(2, 10))
    drawn = [batches(step) for step in range(500)]
    shown = [
        (prompt, int(value))
        for batch in drawn
        for prompt, value in zip(batch.prompts, batch.x0, strict=True)
    ]
    assert all(prompt in ("", f"picture {value}") for prompt, value in shown)
    assert Counter(prompt == "" for prompt, _ in shown)[True] == pytest.approx(
        500, abs=77
    )  # 4 standard deviations
    assert torch.equal(batches(5).eps, batches(5).eps)
    assert not torch.equal(batches(5).eps, batches(6).eps)


def test_draws_are_those_of_the_steps() -> None:
    moments = latent_cache.Moments(
        np.arange(10.0, dtype=np.float32)[:, None, None, None], np.zeros((10, 1, 1, 1), np.float32)
    )
    examples = [Example(i, f"picture {i}") for i in range(10)]
    batches = Batches(moments, examples, 4, 0.25, 1000, seed=3)
    rows = [int(value) for step in range(7) for value in batches(step).x0.flatten()]
    assert [example.row for example in draws(examples, 3, 0, 28)] == rows
    assert [example.row for example in draws(examples, 3, 8, 4)] == rows[8:12]


@pytest.mark.usefixtures("held_out_as_users")
def test_held_out_batches_are_fixed_and_spread_over_images_and_times() -> None:
    moments = latent_cache.Moments(
        np.arange(10.0, dtype=np.float32)[:, None, None, None], np.ones((10, 1, 1, 1), np.float32)
    )
    batches, again = (held_out(moments, [Example(1, "p"), Example(5, "p")], 1000) for _ in range(2))
    for one, other in zip(batches, again, strict=True):
        assert torch.equal(one.eps, other.eps)
    assert (
        torch.cat([batch.x0.flatten() for batch in batches]).tolist() == [1.0, 5.0] * 12
    )  # means, not samples
    times = torch.cat([batch.t for batch in batches])
    assert set(times.sort().values.diff().tolist()) == {41, 42}  # 1000 / 24 apart
