"""The moving average of weights: its recursion, in a fit and in its previews."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fits import STEPS, same, weights
from safetensors.torch import load_file

from latentdrift.adapt.training.optimization.ema import Average


def test_the_average_is_its_recursion() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average = Average({"w": weight}, 0.5)
    expected = 0.0
    for done in range(20):
        weight.data.fill_(float(done + 1))
        average.follow(done)
        decay = min(0.5, (1 + done) / (10 + done))
        expected = decay * expected + (1 - decay) * (done + 1)
        assert average.weights["w"].item() == pytest.approx(expected, rel=1e-6)
    average.swap()
    assert weight.item() == pytest.approx(expected, rel=1e-6)
    average.swap()
    assert weight.item() == 20


def test_the_adapter_is_the_average_of_the_weights_after_each_step(
    run: Any, tmp_path: Path
) -> None:
    averaged = run("averaged", ema=0.8)
    last = run("last", checkpoint_every=1)
    assert not same(averaged, last)
    stored = load_file(
        tmp_path / "averaged" / "checkpoints" / f"step-{STEPS:06d}" / "state.safetensors"
    )
    final = weights(last)  # the training itself goes the same way
    assert all(
        torch.equal(stored[f"weight/{name.removeprefix('unet.')}"], value)
        for name, value in final.items()
    )
    assert all(
        torch.equal(stored[f"average/{name.removeprefix('unet.')}"], value)
        for name, value in weights(averaged).items()
    )


def test_previews_and_held_out_losses_are_those_of_the_average(run: Any, trainer: Any) -> None:
    made, batch = trainer(ema=0.999)
    for _ in range(3):
        made.update(batch)
    before = {name: weight.clone() for name, weight in made.parameters.items()}
    expected = {name: weight.clone() for name, weight in made.average.weights.items()}
    with made.final_weights():
        assert all(torch.equal(weight, expected[name]) for name, weight in made.parameters.items())
        loss = torch.cat([made.losses(batch)]).mean().item()
    assert made.watch([batch]) == pytest.approx(loss, rel=1e-6)
    assert all(torch.equal(weight, before[name]) for name, weight in made.parameters.items())
